"""What a tracer gets wrong without a word: changing state, identity, aliasing, stale constants."""

import gc
import weakref

import torch
from torch import nn

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)

scale = 2.0
layers = [torch.relu]
config = {"shift": 1.0}


class Settings:
    gain = 1.0


@program()
def list_of_a_closure_is_appended_to():
    steps = []

    def step(x):
        steps.append(None)
        return x * len(steps)

    return step


@program()
def dict_of_a_closure_counts():
    counts = {}

    def step(x):
        counts["n"] = counts.get("n", 0) + 1
        return x + counts["n"]

    return step


@program()
def float_of_a_closure_decays():
    rate = 1.0

    def step(x):
        nonlocal rate
        rate *= 0.9
        return x * rate

    return step


@program()
def tensor_of_a_closure_is_replaced():
    mean = torch.zeros(1)

    def step(x):
        nonlocal mean
        old, mean = mean, x.mean(0, keepdim=True)
        return x - old

    return step


@program()
def global_number_changes_outside():
    def step(x):
        return x * scale

    def bump():
        global scale
        scale += 1.0

    def both(x):
        y = step(x)
        bump()
        return y

    return both


@program()
def global_list_of_functions_grows():
    def step(x):
        for layer in layers:
            x = layer(x)
        if len(layers) < 4:
            layers.append(torch.sin)
        return x

    return step


@program()
def global_dict_is_replaced():
    def step(x):
        global config
        y = x + config["shift"]
        config = {"shift": config["shift"] * 2}
        return y

    return step


@program(vector_and_number)
def class_attribute_changes_under_instances():
    holder = Settings()

    def step(x, n):
        y = x * holder.gain
        Settings.gain = n + 1.0
        return y

    return step


@program(vector_and_number)
def identity_decides_a_branch():
    keys = [object(), object(), object()]
    special = keys[1]

    def step(x, n):
        return x * 2 if keys[n] is special else x

    return step


@program(
    lambda call: (lambda t: (t, t) if call % 2 else (t, t.clone()))(torch.randn(3)),
    graphs=2,
)
def same_tensor_given_twice():
    def step(a, b):
        if a is b:
            return a * 2
        return a - b

    return step


@program(
    lambda call: (lambda t: (t, t[1:] if call % 2 else t[1:].clone()))(torch.ones(4)), graphs=2
)
def write_through_an_overlapping_view():
    def step(a, b):
        a.mul_(2)
        b.add_(1)
        return a.sum()

    return step


@program()
def view_returned_then_base_written():
    def step(x):
        head = x[:2]
        x.zero_()
        return head

    return step


@program()
def alias_through_self():
    class Pair:
        def __init__(self):
            self.left = [0.0]
            self.right = self.left

        def step(self, x):
            self.left[0] += 1.0
            return x * self.right[0]

    pair = Pair()

    def step(x):
        return pair.step(x)

    return step


@program()
def alias_is_broken_then_written():
    class Holder:
        pass

    holder = Holder()
    holder.a = holder.b = torch.zeros(2)

    def step(x):
        holder.a.add_(x[:2])
        if holder.a is holder.b:
            holder.b = holder.b.clone()
        return holder.a - holder.b

    return step


@program()
def result_is_kept_and_written_by_the_next_call():
    kept = []

    def step(x):
        if kept:
            kept.pop().zero_()
        y = x[:2] * 2
        kept.append(y)
        return y

    return step


@program()
def result_is_the_state_itself():
    class Cell:
        h = None

        def __call__(self, x):
            self.h = x[:2] if self.h is None else self.h.add_(x[:2])
            return self.h

    cell = Cell()

    def step(x):
        out = cell(x)
        return out, out is cell.h

    return step


@program(lambda call: (torch.randn(2), torch.zeros(3)))
def argument_is_kept_and_read_later():
    previous = {"x": None}

    def step(x, y):
        out = y if previous["x"] is None else y[:2] + previous["x"]
        previous["x"] = x
        return out

    return step


@program(lambda call: ([1, 2, 3, 4 + call % 3], torch.ones(2)))
def list_changed_while_iterated():
    def step(numbers, x):
        for n in numbers:
            if n % 2:
                numbers.remove(n)
            x = x * n
        return x

    return step


@program(lambda call: ([1.0, 2.0], torch.ones(1)))
def list_grows_while_iterated():
    def step(numbers, x):
        for n in numbers:
            x = x + n
            if len(numbers) < 5:
                numbers.append(n * 2)
        return x

    return step


@program(lambda call: ({"a": 1, "b": 2}, torch.ones(1)), graphs=0)
def dict_grows_while_iterated_raises():
    def step(table, x):
        for key in table:
            x = x * 2
            table[key + "x"] = x
        return x

    return step


@program()
def layer_list_changes_between_calls():
    stack = [nn.Linear(2, 2), nn.Linear(2, 2)]

    def step(x):
        y = x[:2]
        for layer in stack:
            y = layer(y)
        stack.reverse()
        return y.detach()

    return step


@program(vector_and_number)
def method_of_a_class_is_replaced():
    class Model:
        def act(self, x):
            return x.relu()

    model = Model()

    def other(self, x):
        return x.sigmoid()

    original = Model.act

    def step(x, n):
        Model.act = other if n == 2 else original
        return model.act(x)

    return step


@program(vector_and_number)
def weight_is_swapped_for_another():
    model = nn.Linear(2, 2)
    weights = [nn.Parameter(torch.eye(2) * i) for i in range(3)]

    def step(x, n):
        model.weight = weights[n]
        return model(x[:2]).detach()

    return step


@program(vector_and_number)
def weight_data_is_swapped():
    weight = nn.Parameter(torch.ones(2))
    alias = weight.data

    def step(x, n):
        weight.data = torch.full((2,), float(n))
        return (x[:2] * weight).detach(), alias

    return step


@program(matrix)
def training_flag_is_flipped_inside():
    model = nn.Dropout(0.5)

    def step(x):
        model.training = not model.training
        return model(x)

    return step


@program(vector)
def exception_leaves_state_half_changed():
    state = {"begun": 0, "done": 0}

    def step(x):
        state["begun"] += 1
        if x.sum() < 0:
            raise ValueError("half")
        state["done"] += 1
        return x * state["begun"]

    return step


@program(vector)
def exception_after_an_in_place_write():
    weight = torch.ones(1)

    def step(x):
        weight.mul_(1.5)
        x.add_(1)
        if x.sum() < 0:
            raise RuntimeError("after the write")
        return x * weight

    return step


@program(vector_and_number)
def default_argument_holds_a_tensor():
    def remember(x, total=torch.zeros(1)):
        total += x.sum()
        return total

    def step(x, n):
        return remember(x) * n

    return step


@program(vector)
def counter_on_the_function_itself():
    def step(x):
        step.calls += 1
        return x * step.calls

    step.calls = 0
    return step


@program(vector)
def counter_on_a_module_object():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0
            self.register_buffer("total", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.total += x.sum()
            return self.total / self.calls

    model = Model()

    def step(x):
        return model(x)

    return step


@program(vector)
def item_is_read_from_a_tensor_of_the_closure():
    threshold = torch.tensor(0.0)

    def step(x):
        limit = threshold.item()
        threshold.add_(0.5)
        return x.clamp(max=limit)

    return step


@program(vector)
def list_of_floats_becomes_a_tensor():
    history = [0.0]

    def step(x):
        history.append(x.mean().item())
        return torch.tensor(history[-3:]).sum() + x

    return step


@program(two_vectors)
def tensor_hashes_by_identity():
    def step(a, b):
        table = {a: 1, b: 2}
        table[a] += 5
        return a * table[a] + b * table[b], len({a, b, a})

    return step


@program(vector, graphs=0)
def reference_counts_and_weak_references():
    def step(x):
        y = x * 2
        watched = weakref.ref(y)
        alive = watched() is y
        z = y + 1
        del y
        gc.collect(0)
        return z, alive, watched() is None

    return step


@program(vector, graphs=0)
def finalizer_runs_in_the_step():
    log = []

    class Guard:
        def __del__(self):
            log.append("freed")

    def step(x):
        guard = Guard()
        y = x * 2
        del guard
        return y, log[-1]

    return step


@program(vector_and_number)
def equal_but_distinct_values():
    table = {1: "int"}

    def step(x, n):
        key = (1, 1.0, True)[n]
        return x * key, table[key], type(key).__name__, key == 1

    return step


@program(vector)
def negative_zero_and_nan_in_containers():
    nan = float("nan")

    def step(x):
        values = [nan, -0.0]
        return x, nan in values, values[0] == nan, str(values[1] * 1), {0.0: 1}[-0.0]

    return step


@program(vector)
def small_and_large_ints_by_identity():
    big = 10**20

    def step(x):
        kept = [big]
        return x, kept[0] is big, kept[0] + 1 == big + 1

    return step


@program(lambda call: (torch.randn(3), call // 2 % 3))
def setting_in_an_argument_object():
    class Options:
        def __init__(self, n):
            self.power = n

    shared = Options(0)

    def step(x, n):
        shared.power = n
        return x**shared.power

    return step


@program(vector)
def grad_accumulates_over_calls():
    weight = nn.Parameter(torch.ones(1))

    def step(x):
        (weight * x.sum()).backward()
        return weight.grad.clone()

    return step


@program(vector_and_number)
def grad_is_cleared_sometimes():
    weight = nn.Parameter(torch.ones(1))

    def step(x, n):
        if n == 0:
            weight.grad = None
        elif n == 1:
            weight.grad.zero_()
        (weight * x.sum()).backward()
        return weight.grad

    return step


@program(vector)
def sorted_dict_order_depends_on_the_data():
    order = {}

    def step(x):
        for i in x.argsort().tolist():
            order[i] = order.pop(i, 0) + 1
        return list(order)

    return step


@program(matrix)
def mutated_shape_list():
    shape = [1, -1]

    def step(x):
        y = x.reshape(shape)
        shape.reverse()
        return y

    return step


@program(vector)
def loop_variable_captured_late():
    callbacks = []

    def step(x):
        for i in range(2):
            callbacks.append(lambda: i)
        return x * sum(c() for c in callbacks)

    return step


@program(vector_and_number)
def short_lived_override_of_a_builtin():
    def step(x, n):
        len = lambda value: n
        return x * len(x)

    return step


@program(vector)
def in_place_on_a_slice_of_the_state():
    memory = torch.zeros(3, 2)
    cursor = [0]

    def step(x):
        memory[cursor[0]] = x[:2]
        cursor[0] = (cursor[0] + 1) % 3
        return memory.sum(0)

    return step


@program(vector)
def expanded_tensor_shares_its_memory():
    base = torch.zeros(1, 2)

    def step(x):
        wide = base.expand(3, 2)
        base.add_(x[:2])
        return wide.sum(), wide

    return step
