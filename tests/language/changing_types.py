"""Values whose type, dtype, shape or presence changes between calls and between iterations."""

import torch
from torch import nn

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)


@program()
def none_on_one_path():
    def step(x):
        found = None
        if x.sum() > 0:
            found = x.max()
        return found

    return step


@program(lambda call: (torch.randn(3), torch.rand(3) if call % 3 else None), graphs=2)
def optional_argument():
    def step(x, mask):
        if mask is not None:
            x = x * mask
        return x.sum()

    return step


@program(lambda call: (torch.randn(3, 4), None if call % 2 else torch.randn(3, 4)), graphs=2)
def optional_hidden_state():
    cell = nn.RNNCell(4, 4)

    def step(x, hidden):
        if hidden is None:
            hidden = torch.zeros_like(x)
        hidden = cell(x, hidden)
        return hidden.detach()

    return step


@program()
def none_becomes_a_tensor_in_a_loop():
    def step(x):
        best = None
        for value in x:
            if best is None or value > best:
                best = value
        return best

    return step


@program()
def state_is_none_at_first():
    class Smoother:
        def __init__(self):
            self.mean = None

        def __call__(self, x):
            value = x.mean()
            self.mean = value if self.mean is None else 0.9 * self.mean + 0.1 * value
            return self.mean

    smoother = Smoother()

    def step(x):
        return smoother(x)

    return step


@program(lambda call: ([2, 2.5, True, torch.tensor(3.0)][call % 4], torch.ones(2)), graphs=4)
def number_or_tensor():
    def step(scale, x):
        y = x * scale
        return y, isinstance(scale, torch.Tensor), scale + 1

    return step


@program()
def int_becomes_float_in_a_loop():
    def step(x):
        total = 0
        for i in range(3):
            total = total + i if i < 2 else total + 0.5
        return x * total, total, type(total).__name__

    return step


@program()
def number_becomes_a_tensor_in_a_loop():
    def step(x):
        total = 0
        for value in x:
            if value > 0:
                total = total + value
        return total, isinstance(total, torch.Tensor)

    return step


@program(vector_and_number)
def int_or_float_by_the_path():
    def step(x, n):
        scale = 3 if n == 0 else 3.0
        return x * scale, scale, torch.arange(3) * scale

    return step


@program(
    lambda call: (torch.ones(3).to([torch.float32, torch.float64, torch.int64][call % 3]),),
    graphs=3,
)
def dtype_changes_between_calls():
    def step(x):
        return x * 2, x / 2, x.sum()

    return step


@program(vector_and_number)
def dtype_changes_between_iterations():
    def step(x, n):
        y = torch.arange(len(x))
        for i in range(3):
            y = y + x if i == n else y * 2
        return y

    return step


@program(lambda call: (torch.randn(2 + call % 3, 1 + call % 2),))
def shape_changes_between_calls():
    def step(x):
        return x @ x.T, x.reshape(-1), x.shape

    return step


@program(lambda call: (torch.randn(2), call % 4))
def shape_grows_in_a_loop():
    def step(x, n):
        out = x
        for _ in range(n):
            out = torch.cat([out, x * len(out)])
        return out

    return step


@program(lambda call: (torch.randn(8),))
def shape_halves_in_a_loop():
    def step(x):
        rounds = 0
        while x.shape[0] > 1:
            x = x[::2] + x[1::2]
            rounds += 1
        return x, rounds

    return step


@program(vector_and_number)
def dimensions_change_between_iterations():
    def step(x, n):
        for _ in range(n):
            x = x.unsqueeze(0)
        return x, x.dim()

    return step


@program(vector_and_number, graphs=3)
def result_of_another_type_by_the_path():
    def step(x, n):
        if n == 0:
            return x
        if n == 1:
            return [x, x * 2]
        return {"x": x, "n": n}

    return step


@program(vector_and_number)
def tuple_of_another_length_by_the_path():
    def step(x, n):
        parts = (x,) * (n + 1)
        first, *rest = parts
        return len(parts), first + len(rest)

    return step


@program(matrix)
def list_grows_between_calls():
    seen = []

    def step(x):
        seen.append(x.mean(0))
        return torch.stack(seen).sum(0)

    return step


@program(matrix)
def tensor_grows_between_calls():
    cache = {"keys": None}

    def step(x):
        row = x[:1]
        cache["keys"] = row if cache["keys"] is None else torch.cat([cache["keys"], row])
        return (x @ cache["keys"].T).softmax(-1)

    return step


@program(lambda call: (torch.randn(1, 4),))
def key_value_cache_of_attention():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(4, 12)
            self.cache = None

        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, -1)
            if self.cache is not None:
                k, v = torch.cat([self.cache[0], k]), torch.cat([self.cache[1], v])
            self.cache = (k, v)
            return (q @ k.T).softmax(-1) @ v

    model = Attention()

    def step(x):
        with torch.no_grad():
            return model(x)

    return step


@program(lambda call: (torch.randn(3), [1, "two", 3.0, None, (4,)][call % 5]), graphs=5)
def argument_of_any_type():
    def step(x, extra):
        if isinstance(extra, str):
            return x * len(extra)
        if isinstance(extra, (int, float)):
            return x * extra
        return x, extra

    return step


@program(vector_and_number)
def attribute_changes_its_type():
    class Config:
        dropout = 0

    config = Config()

    def step(x, n):
        config.dropout = (None, 0.5, "off")[n]
        if config.dropout is None or config.dropout == "off":
            return x
        return x * config.dropout

    return step


@program(vector_and_number)
def variable_is_reused_for_another_thing():
    def step(x, n):
        value = x.sum()
        value = [value, n]
        value = {"pair": value}
        value = len(value["pair"]) + n
        return x * value

    return step


@program(vector_and_number)
def callee_sees_many_types():
    def double(value):
        return value + value

    def step(x, n):
        return double(x), double(n), double(1.5), double("a"), double([x])

    return step


@program(lambda call: ([torch.randn(1 + i) for i in range(1 + call % 3)],))
def list_of_tensors_of_many_shapes():
    def step(parts):
        total = torch.zeros(())
        for part in parts:
            total = total + (part.mean() if part.numel() > 1 else part[0])
        return total, [tuple(p.shape) for p in parts]

    return step


@program(lambda call: ([torch.ones(2), 3, [torch.zeros(1)], None, 2.0][: 2 + call % 4],))
def list_of_many_types():
    def step(items):
        out = []
        for item in items:
            if item is None:
                out.append("none")
            elif isinstance(item, list):
                out.extend(item)
            elif isinstance(item, torch.Tensor):
                out.append(item.sum())
            else:
                out.append(item * 2)
        return out

    return step


@program(
    lambda call: ({"a": torch.ones(2), **({"b": torch.ones(3)} if call % 2 else {})},), graphs=2
)
def key_that_is_sometimes_there():
    def step(batch):
        loss = batch["a"].sum()
        if "b" in batch:
            loss = loss + batch["b"].mean()
        return loss, batch.get("c")

    return step


@program(lambda call: (torch.randn(3, requires_grad=call % 2 == 0),), graphs=2)
def requires_grad_changes():
    def step(x):
        y = (x * 2).sum()
        if y.requires_grad:
            y.backward()
            return x.grad
        return y

    return step


@program(lambda call: (torch.randn(2, 3) if call % 2 else torch.randn(3, 2).t(),), graphs=2)
def layout_in_memory_changes():
    def step(x):
        if x.is_contiguous():
            return x.view(-1)
        return x.contiguous() + 1, x.stride()

    return step


@program(lambda call: (torch.randn([(), (1,), (2, 2)][call % 3]),), graphs=3)
def rank_changes_between_calls():
    def step(x):
        return x + torch.ones(2, 2), x.numel()

    return step


@program(lambda call: (torch.zeros(call % 3, 2),))
def sizes_of_zero_and_one():
    def step(x):
        total = x.sum(0)
        return total + 1, x.mean().isnan(), x.squeeze(0).shape

    return step


@program(lambda call: (torch.randn(3), call * 2**30))
def ints_outgrow_64_bits():
    def step(x, n):
        big = n * n * n + 1
        return x * (big % 7), big

    return step


@program(lambda call: (torch.randn(2), [1.0, float("inf"), float("nan"), -0.0][call % 4]))
def unusual_floats():
    def step(x, f):
        return x + f, f == f, str(f), min(f, 0.0), max(0.0, f)

    return step


@program(lambda call: (torch.tensor([1 + 2j, call]),))
def complex_numbers():
    def step(x):
        z = complex(x[1].item()) + 2j
        return x * z, z.real, abs(z), x.abs()

    return step


@program(two_vectors)
def result_is_an_argument_or_new():
    def step(a, b):
        out = a if a.sum() > b.sum() else a + b
        return out, out is a

    return step


@program(vector)
def parameter_appears_later():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 3:
                self.gain = nn.Parameter(torch.full((1,), 2.0))
            return x * self.gain if hasattr(self, "gain") else x

    model = Lazy()

    def step(x):
        return model(x).detach()

    return step


@program(lambda call: (torch.randn(2 + call % 2, 3),))
def layer_is_replaced_by_a_wider_one():
    model = nn.ModuleDict({"head": nn.Linear(3, 1)})
    calls = [0]

    def step(x):
        calls[0] += 1
        if calls[0] % 4 == 0:
            model["head"] = nn.Linear(3, model["head"].out_features + 1)
        return model["head"](x).detach()

    return step
