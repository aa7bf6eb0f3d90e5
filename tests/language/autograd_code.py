"""Python code that autograd calls: functions of torch.autograd.Function, and hooks."""

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
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


@program(rows)
def checkpoint_with_dropout():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 2))

    def loss_of(x):
        h = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
        return h.pow(2).mean() + torch.rand(())

    return trained(loss_of, model)


@program(rows)
def reentrant_checkpoint_with_dropout():
    first, second = nn.Linear(4, 3), nn.Sequential(nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 2))

    def loss_of(x):
        h = torch.utils.checkpoint.checkpoint(second, first(x), use_reentrant=True)
        return h.pow(2).mean() + torch.rand(())

    return trained(loss_of, nn.ModuleList([first, second]))


@program(rows)
def checkpoint_counts_what_it_runs():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.BatchNorm1d(3))
    calls = []

    def block(x, scale):
        calls.append(scale)
        return model(x) * scale

    def loss_of(x):
        calls.clear()
        h = torch.utils.checkpoint.checkpoint(block, x, 2.0, use_reentrant=False)
        h = torch.utils.checkpoint.checkpoint(block, F.pad(h, (0, 1)), 0.5, use_reentrant=False)
        return h.pow(2).sum()

    step = trained(loss_of, model)
    return lambda x: (step(x), list(calls))


@program(rows)
def saved_tensors_have_hooks():
    layer = nn.Linear(4, 3)
    saved = []

    def pack(tensor):
        saved.append(tuple(tensor.shape))
        return tensor.detach() * 2

    def loss_of(x):
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed / 2):
            return layer(x).tanh().pow(2).sum()

    step = trained(loss_of, layer)
    return lambda x: (step(x), list(saved))


@program(vector)
def argument_that_trains_from_now_on():
    def step(x):
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad, x.requires_grad

    return step


@program(rows)
def penalty_on_the_slope_at_an_argument():
    critic = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))

    def loss_of(x):
        x.requires_grad = True
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return (slope.norm(dim=1) - 1).pow(2).mean()

    return trained(loss_of, critic)


@program(rows)
def weights_rest_for_a_while():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))

    def step(x):
        model.zero_grad()
        for p in model[0].parameters():
            p.requires_grad_(False)
        model(x).pow(2).mean().backward()
        rested = [p.grad is None for p in model.parameters()]
        for p in model[0].parameters():
            p.requires_grad_(True)
        model(x).mean().backward()
        return rested, [p.grad for p in model.parameters()]

    return step


@program(rows)
def weights_rest_from_call_to_call():
    generator, critic = nn.Linear(4, 3), nn.Linear(3, 1)

    def rest(module, rests):
        for p in module.parameters():
            p.requires_grad = not rests

    def step(x):
        rest(critic, False)
        critic.zero_grad()
        critic(generator(x).detach()).mean().backward()
        rest(critic, True)
        generator.zero_grad()
        critic(generator(x)).mean().backward()
        return generator.weight.grad, critic.weight.grad, critic.weight.requires_grad

    return step


@program(rows)
def module_that_is_made_and_trained_inside():
    def step(x):
        probe = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(probe.parameters(), lr=0.1)
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = probe(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    return step


@program(vector)
def dropout_is_drawn_again_from_a_state():
    def step(x):
        state = torch.get_rng_state()
        first = F.dropout(x, 0.5)
        torch.set_rng_state(state)
        return first, F.dropout(x, 0.5), torch.rand(1)

    return step


@program(vector)
def random_state_waits_for_the_next_call():
    kept = {"state": torch.get_rng_state()}

    def step(x):
        outer = torch.get_rng_state()
        torch.set_rng_state(kept["state"])
        noise = torch.randn(len(x))
        kept["state"] = torch.get_rng_state()
        torch.set_rng_state(outer)
        return x + noise * torch.rand(1)

    return step


@program(vector)
def seed_of_a_tensor():
    def step(x):
        torch.manual_seed(int(x.sum() * 10) - 3)
        return torch.randn(len(x)) + x

    return step


@program(rows)
def first_iteration_may_end_the_loop():
    layer = nn.Linear(4, 4)

    def loss_of(x):
        h, turns = x, 0
        while turns < 4:
            h = layer(h).tanh()
            turns += 1
            if h.sum() > 0:
                break
        else:
            h = h * 3
        return h.pow(2).mean() / turns

    return trained(loss_of, layer)


@program(rows)
def first_iteration_may_end_a_plain_loop():
    layer = nn.Linear(4, 4)

    def loss_of(x):
        h, turns = x, 0
        while turns < 4:
            h = layer(h).tanh()
            turns += 1
            if h.sum() > 0:
                break
        return h.pow(2).mean() / turns

    return trained(loss_of, layer)


@program(rows)
def steps_that_are_taken_or_not():
    """Whether the first step is taken decides nothing about which weights train."""
    layer = nn.Linear(4, 4)

    def loss_of(x):
        y, t = x, torch.zeros(())
        while t < 1:
            new = y + 0.5 * layer(y).tanh()
            if (new - y).detach().norm() < 1 + t:
                y = new
            t = t + 0.3
        return (y + layer.bias.sum() * 0 + layer.weight.sum() * 0).pow(2).mean()

    return trained(loss_of, layer)
