"""Modules of torch.nn as users write them: layers, flags, buffers, hooks."""

import copy

import torch
from torch import nn

from tests.language.conformance import batch, matrix, program


@program(matrix)
def module_with_branches():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.left = nn.Linear(4, 4)
            self.right = nn.Linear(4, 4)

        def forward(self, x):
            if x.sum() > 0:
                return self.left(x)
            return self.right(x)

    model = Gated()

    def step(x):
        return model(x).detach()

    return step


@program(matrix)
def module_list_and_module_dict():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
            self.acts = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})

        def forward(self, x):
            for i, layer in enumerate(self.layers):
                x = self.acts["relu" if i % 2 else "tanh"](layer(x))
            return x + len(self.layers) + self.layers[-1].bias

    model = Stack()

    def step(x):
        return model(x).detach()

    return step


@program(lambda call: (torch.randn(3, 4), call % 2 == 0))
def train_and_eval_flags():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))

    def step(x, training):
        model.train(training)
        y = model(x)
        return y.detach(), model[2].training

    return step


@program(matrix)
def buffers_are_written():
    class Average(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))
            self.register_buffer("count", torch.tensor(0))

        def forward(self, x):
            self.count += 1
            self.mean = self.mean + (x.mean(0) - self.mean) / self.count
            return x - self.mean

    model = Average()

    def step(x):
        return model(x)

    return step


@program(matrix)
def module_hooks():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    seen = []

    def before(module, args):
        return (args[0] * 2,)

    def after(module, args, output):
        seen.append(tuple(output.shape))
        return output + 1

    model[0].register_forward_pre_hook(before)
    model.register_forward_hook(after)

    def step(x):
        return model(x).detach()

    return step


@program(batch)
def gradient_hook_of_a_parameter():
    model = nn.Linear(4, 2)
    model.weight.register_hook(lambda grad: grad.clamp(-0.1, 0.1))

    def step(x, y):
        model.zero_grad()
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        return model.weight.grad.norm()

    return step


@program(matrix)
def module_keeps_what_it_saw():
    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)
            self.last = None
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            self.last = self.linear(x).detach()
            return self.last

    model = Recorder()

    def step(x):
        return model(x) is model.last, model.last.sum() * model.calls

    return step


@program(matrix)
def weights_shared_by_two_modules():
    encoder, decoder = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    decoder.weight = encoder.weight

    def step(x):
        encoder.zero_grad()
        decoder(encoder(x)).sum().backward()
        return decoder.weight.grad is encoder.weight.grad

    return step


@program(matrix)
def parameters_are_listed():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))

    def step(x):
        penalty = sum(p.pow(2).sum() for name, p in model.named_parameters() if "weight" in name)
        sizes = {name: p.numel() for name, p in model.named_parameters()}
        return (model(x).sum() + penalty).detach(), sizes

    return step


@program(matrix)
def hook_is_added_and_removed():
    model = nn.Linear(4, 2)
    seen = []

    def step(x):
        handle = model.register_forward_hook(lambda m, args, out: seen.append(len(args[0])))
        y = model(x)
        handle.remove()
        return (y + model(x)).detach(), len(model._forward_hooks)

    return step


@program(matrix)
def full_backward_hook():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    norms = []
    model[0].register_full_backward_hook(lambda m, inward, outward: norms.append(outward[0].norm()))

    def step(x):
        model.zero_grad()
        model(x).sum().backward()
        return norms[-1]

    return step


@program(lambda call: {"x": torch.randn(2, 4), **({"scale": 2.0} if call % 3 else {})}, graphs=2)
def forward_with_keywords():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x, *, scale=None):
            y = self.linear(x)
            return y if scale is None else y * scale

    model = Scaled()

    def step(**inputs):
        return model(**inputs).detach()

    return step


@program(matrix)
def one_layer_called_with_two_shapes():
    layer = nn.Linear(4, 4)

    def step(x):
        return (layer(x).sum(0) + layer(x[0])).detach()

    return step


@program(lambda call: (torch.randn(2, 4), call % 3))
def slice_of_a_sequential():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())

    def step(x, n):
        return model[: n + 1](x).detach(), len(model[n:])

    return step


@program(lambda call: (torch.randn(2, 4), call % 3))
def layer_is_skipped_by_number():
    model = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def step(x, skipped):
        for i, layer in enumerate(model):
            x = x if i == skipped else torch.tanh(layer(x))
        return x.detach()

    return step


@program(matrix)
def parameter_list_and_dict():
    class Bank(nn.Module):
        def __init__(self):
            super().__init__()
            self.scales = nn.ParameterList([torch.full((4,), float(i)) for i in range(3)])
            self.named = nn.ParameterDict({"shift": torch.ones(4)})

        def forward(self, x):
            for scale in self.scales:
                x = x * scale + self.named["shift"]
            return x

    model = Bank()

    def step(x):
        model.zero_grad()
        model(x).sum().backward()
        return [p.grad.sum() for p in model.parameters()]

    return step


@program(matrix)
def modules_are_walked():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 1)))

    def step(x):
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout):
                module.p = min(module.p + 0.1, 0.5)
        return model(x).detach(), [name for name, _ in model.named_modules()]

    return step


@program(matrix)
def weights_are_set_by_apply():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))

    def reset(module):
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -0.5, 0.5)
            nn.init.zeros_(module.bias)

    def step(x):
        model.apply(reset)
        return model(x).detach()

    return step


@program(matrix)
def module_is_copied_inside():
    model = nn.Linear(4, 2)

    def step(x):
        twin = copy.deepcopy(model)
        with torch.no_grad():
            twin.weight.add_(1)
        return twin(x).detach() - model(x).detach(), twin.bias is model.bias

    return step


@program(matrix)
def module_made_inside():
    def step(x):
        layer = nn.Linear(4, 2)
        layer(x).sum().backward()
        return layer.weight.grad

    return step


@program(lambda call: (torch.randn(2 + call % 2, 4), call % 2 == 0))
def attention_with_an_optional_mask():
    attention = nn.MultiheadAttention(4, 2)

    def step(x, causal):
        mask = torch.ones(len(x), len(x)).triu(1).bool() if causal else None
        out, weights = attention(x, x, x, attn_mask=mask)
        return out.detach(), weights.detach()

    return step


@program(lambda call: (torch.randn(1, 1, 4 + call % 3, 5),))
def convolutions_until_it_is_small():
    layer = nn.Conv2d(1, 1, 2)

    def step(x):
        rounds = 0
        while min(x.shape[2:]) > 2:
            x = layer(x).relu()
            rounds += 1
        return x.detach(), rounds

    return step


@program(matrix)
def weight_norm_by_parametrization():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))

    def step(x):
        model.zero_grad()
        model(x).sum().backward()
        return model.weight.detach()

    return step


@program(lambda call: (torch.randn(2, 4), [torch.float32, torch.float64][call % 2]), graphs=2)
def module_changes_its_dtype():
    model = nn.Linear(4, 2)

    def step(x, dtype):
        model.to(dtype)
        return model(x.to(dtype)).detach()

    return step


@program(matrix)
def layer_replaced_by_setattr():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    spare = [nn.Tanh(), nn.ReLU(), nn.Sigmoid()]

    def step(x):
        y = model(x).detach()
        spare.append(model[1])
        setattr(model, "1", spare.pop(0))
        return y, type(model[1]).__name__

    return step


@program(matrix)
def attribute_of_the_module_is_delegated():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

        def forward(self, x):
            return self.inner(x) * self.out_features

    model = Wrapper(nn.Linear(4, 2))

    def step(x):
        return model(x).detach(), model.in_features

    return step


@program(lambda call: (torch.randn(2, 4), torch.randn(2, 3) if call % 2 else None), graphs=2)
def conditional_branch_modules():
    class Fusion(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.side = nn.Linear(4, 2), nn.Linear(3, 2)
            self.uses = {"main": 0, "side": 0}

        def forward(self, x, extra):
            self.uses["main"] += 1
            y = self.main(x)
            if extra is not None:
                self.uses["side"] += 1
                y = y + self.side(extra)
            return y

    model = Fusion()

    def step(x, extra):
        return model(x, extra).detach(), dict(model.uses)

    return step


@program(matrix)
def parameters_of_two_modules_in_step():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    average = copy.deepcopy(model).requires_grad_(False)

    def step(x):
        with torch.no_grad():
            for own, mean in zip(model.parameters(), average.parameters()):
                mean.lerp_(own, 0.1)
                own.mul_(0.9)
        x = x.to(next(model.parameters()).dtype)
        return average(x), next(average.parameters()).sum()

    return step
