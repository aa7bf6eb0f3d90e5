"""Python code that autograd calls: functions of torch.autograd.Function, and hooks."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from tests.language.conformance import program, vector


def rows(call):
    return (torch.randn(2 + call % 3, 4),)


def trained(loss_of, modules):
    optimizer = torch.optim.SGD(modules.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return loss.detach(), [p.grad for p in modules.parameters()]

    return step


class Scale(torch.autograd.Function):
    """Its gradient is wrong on purpose: it must be the one that is used."""

    @staticmethod
    def forward(ctx, x, factor, offset=None):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x * factor if offset is None else x * x * factor + offset

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        assert len(ctx.needs_input_grad) in (2, 3)
        return (grad * x * ctx.factor * 5, None, None)[: len(ctx.needs_input_grad)]


@program(rows)
def function_with_plain_arguments():
    layer = nn.Linear(4, 3)
    return trained(
        lambda x: Scale.apply(layer(x), 0.5, None).sum() + Scale.apply(x, 2).sum(), layer
    )


class Parts(torch.autograd.Function):
    @staticmethod
    def forward(x, y, factor=2.0):
        return x * y * factor, (x + y).argmax(), y - x

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y, factor = inputs
        ctx.save_for_backward(x, y)
        ctx.factor = factor
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, product, position, difference):
        x, y = ctx.saved_tensors
        assert position is None
        if difference is not None:
            return product * y - difference, None, None
        for_x = product * y * ctx.factor if ctx.needs_input_grad[0] else None
        return for_x, product * x * 3 if ctx.needs_input_grad[1] else None, None


@program(rows)
def function_with_several_results():
    layer = nn.Linear(4, 3)

    def loss_of(x):
        y = layer(x)
        product, position, difference = Parts.apply(y, y.tanh())
        detached, _, _ = Parts.apply(y.detach(), y, 1.5)
        return product.sum() + difference.pow(2).sum() + position + detached.sum()

    return trained(loss_of, layer)


@program(rows)
def function_that_is_differentiated_once():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    layer = nn.Linear(4, 3)
    return trained(lambda x: Once.apply(layer(x)).sum(), layer)


@program(rows)
def function_that_is_differentiated_twice():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x**2

    layer = nn.Linear(4, 3)

    def loss_of(x):
        y = layer(x)
        (slope,) = torch.autograd.grad(Cube.apply(y).sum(), y, create_graph=True)
        return slope.pow(2).mean() + y.mean()

    return trained(loss_of, layer)


@program(rows)
def function_that_writes_its_argument():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    layer = nn.Linear(4, 3)
    return trained(lambda x: Doubled.apply(layer(x) + 1).tanh().sum(), layer)


@program(rows)
def straight_through_estimator():
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, grad):
            return grad

    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    return trained(lambda x: model[1](Round.apply(model[0](x) * 3)).pow(2).mean(), model)


@program(rows)
def function_that_counts_its_calls():
    calls = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, name):
            ctx.name = name
            calls.append(("forward", name))
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            calls.append(("backward", ctx.name))
            return grad * 2, None

    layer = nn.Linear(4, 3)
    step = trained(lambda x: Counted.apply(Counted.apply(layer(x), "a").tanh(), "b").sum(), layer)

    def clearing(x):
        calls.clear()
        return step(x), list(calls)

    return clearing


@program(rows)
def dropout_in_a_function():
    class Noise(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            mask = torch.rand_like(x) > 0.3
            ctx.save_for_backward(mask)
            return x * mask

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0] + torch.randn_like(grad) * 0.1

    layer = nn.Linear(4, 3)
    return trained(lambda x: Noise.apply(layer(x)).pow(2).sum() + torch.rand(()), layer)


@program(rows)
def reversed_gradient_of_a_domain():
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, strength):
            ctx.strength = strength
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad):
            return -ctx.strength * grad, None

    features, label, domain = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(3, 1)
    model = nn.ModuleList([features, label, domain])

    def loss_of(x):
        h = features(x).tanh()
        return label(h).pow(2).mean() + domain(Reverse.apply(h, 0.3)).sigmoid().mean()

    return trained(loss_of, model)


@program(rows)
def hook_of_a_tensor():
    layer = nn.Linear(4, 3)
    seen = []

    def loss_of(x):
        seen.clear()
        h = layer(x)
        h.register_hook(lambda grad: seen.append(("h", grad.norm())))
        h.register_hook(lambda grad: grad * 3)
        y = h.tanh()
        y.register_hook(lambda grad: seen.append(("y", grad.sum())))
        return y.sum()

    step = trained(loss_of, layer)
    return lambda x: (step(x), list(seen))


@program(rows)
def hook_of_a_tensor_is_removed():
    layer = nn.Linear(4, 3)

    def loss_of(x):
        h = layer(x)
        kept = h.register_hook(lambda grad: grad * 3)
        removed = h.register_hook(lambda grad: grad * 100)
        removed.remove()
        assert kept is not None
        return h.tanh().sum()

    return trained(loss_of, layer)


@program(vector)
def hook_of_a_local_leaf():
    def step(x):
        seen = []
        w = torch.ones(len(x), requires_grad=True)
        w.register_hook(lambda grad: grad.clamp(max=0.5))
        w.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor.grad * 2))
        (w * x).sum().backward()
        return w.grad, seen[0]

    return step


@program(rows)
def gradients_that_are_retained():
    layer = nn.Linear(4, 3)

    def step(x):
        layer.zero_grad()
        h = layer(x)
        h.retain_grad()
        y = h.tanh()
        y.retain_grad()
        y.pow(2).sum().backward()
        return h.grad, y.grad, layer.bias.grad

    return step


@program(rows)
def optimizer_in_the_backward():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    optimizers = {p: torch.optim.SGD([p], lr=0.1, momentum=0.9) for p in model.parameters()}

    def update(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(update)

    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()
        return loss.detach(), [p.grad is None for p in model.parameters()]

    return step


@program(rows)
def hooks_of_parameters_change_gradients():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    norms = []
    for p in model.parameters():
        p.register_hook(lambda grad: grad / (1 + grad.norm()))
        p.register_hook(lambda grad: norms.append(grad.norm()))

    def step(x):
        norms.clear()
        model.zero_grad()
        (model(x).mean() + model(x * 2).pow(2).mean()).backward()
        return torch.stack(norms), [p.grad for p in model.parameters()]

    return step


@program(rows)
def backward_hooks_of_modules():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    seen = []
    model[1].register_full_backward_hook(lambda m, inward, outward: seen.append(outward[0].norm()))
    model[2].register_full_backward_hook(lambda m, inward, outward: (inward[0] * 2,))
    model[2].register_full_backward_pre_hook(lambda m, outward: (outward[0].clamp(-0.1, 0.1),))

    def step(x):
        seen.clear()
        model.zero_grad()
        F.mse_loss(model(x), torch.zeros(len(x), 2)).backward()
        return seen[0], [p.grad for p in model.parameters()]

    return step


@program(rows)
def hook_raises_now_and_then():
    layer = nn.Linear(4, 3)

    def check(grad):
        if grad.abs().max() > 3.5:
            raise ValueError("a large gradient")

    def step(x):
        layer.zero_grad()
        h = layer(x)
        h.register_hook(check)
        try:
            h.pow(2).sum().backward()
        except ValueError as error:
            return str(error), layer.bias.grad
        return "small", layer.bias.grad

    return step
