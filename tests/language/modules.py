"""Modules of torch.nn as users write them: layers, flags, buffers, hooks."""

import torch
from torch import nn

from tests.language.conformance import LEFT_BEHIND, LOST, TWICE, batch, matrix, program


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


@program(lambda call: (torch.randn(3, 4), call % 2 == 0), wrong_today=LOST)
def train_and_eval_flags():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))

    def step(x, training):
        model.train(training)
        y = model(x)
        return y.detach(), model[2].training

    return step


@program(matrix, wrong_today=LEFT_BEHIND)
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


@program(matrix, wrong_today=TWICE)
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


@program(matrix, wrong_today=TWICE)
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
