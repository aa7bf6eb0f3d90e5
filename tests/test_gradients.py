"""Automatic differentiation: every way to ask for a gradient."""

import copy
from typing import cast

import bifront
import pytest
import torch
from torch import nn
from torch.autograd import Function

from tests.same_function import assert_same, assert_same_value


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return leaf(3, 4), leaf(3, 4)


def backward(x, y):
    (x * y).sum().backward()


def backward_with_seed(x, y):
    (x * y).backward(y.detach() * 2)


def backward_accumulates(x, y):
    (x * y).sum().backward()
    (x.sin() + y).sum().backward()


def backward_twice_retained(x, y):
    loss = (x * y).exp().sum()
    loss.backward(retain_graph=True)
    loss.backward()


def backward_of_several(x, y):
    torch.autograd.backward([(x * 2).sum(), (y * x).sum()])


def backward_with_inputs(x, y):
    (x * y).sum().backward(inputs=[x])


def gradient(x, y):
    return torch.autograd.grad((x * y).sin().sum(), [x, y])


def gradient_unused(x, y):
    return torch.autograd.grad(x.sin().sum(), [x, y], allow_unused=True)


def gradient_materialized(x, y):
    return torch.autograd.grad(x.sin().sum(), [x, y], allow_unused=True, materialize_grads=True)


def gradient_of_intermediate(x, y):
    z = x * y
    return torch.autograd.grad((z * z).sum(), [z, x])


def gradient_of_a_view(x, y):
    a = (x * y).view(-1)
    b = a.view(4, 3)
    return torch.autograd.grad((b * b).sum(), a)


def gradient_of_one_of_two_equal_values(x, y):
    a, b = x * 2, x * 2
    return torch.autograd.grad((a * b).sum(), a)


def gradient_of_one_of_two_equal_detached(x, y):
    a = x.detach().requires_grad_()
    b = x.detach().requires_grad_()
    return torch.autograd.grad((a * b).sum(), a)


def gradient_of_gradient(x, y):
    first = torch.autograd.grad((x * x * y).sum(), x, create_graph=True)[0]
    return torch.autograd.grad(first.sum(), [x, y])


def third_derivative(x, y):
    value = (x.sin() * y).sum()
    for _ in range(3):
        value = torch.autograd.grad(value, x, create_graph=True)[0].sum()
    return value.detach()


def gradient_penalty(x, y):
    score = (x @ y.t()).tanh().sum()
    slope = torch.autograd.grad(score, x, create_graph=True)[0]
    loss = ((slope.norm(dim=1) - 1) ** 2).mean()
    loss.backward()
    return loss.detach()


def backward_create_graph(x, y):
    (x**3).sum().backward(create_graph=True)
    slope = x.grad
    x.grad = None
    (slope * y.detach()).sum().backward()


def hessian_vector_product(x, y):
    slope = torch.autograd.grad((x**3).sum(), x, create_graph=True)[0]
    return torch.autograd.grad(slope, x, y.detach())


def softmax_hessian(x, y):
    slope = torch.autograd.grad((x.softmax(1) * y).sum(), x, create_graph=True)[0]
    return torch.autograd.grad((slope**2).sum(), [x, y])


def linear_hessian(x, y):
    loss = torch.nn.functional.mse_loss(torch.nn.functional.linear(x, y), torch.ones(3, 3))
    slope = torch.autograd.grad(loss, y, create_graph=True)[0]
    return torch.autograd.grad(slope.pow(2).sum(), [x, y])


def detach(x, y):
    return torch.autograd.grad((x * y.detach() * x.detach()).sum(), x)


def detached_output(x, y):
    (x * y).sum().backward()
    return (x * y).detach()


def data_attribute(x, y):
    (x * y.data).sum().backward()


def no_grad(x, y):
    with torch.no_grad():
        scale = x.abs().sum()
    return torch.autograd.grad((x * scale * y).sum(), [x, y])


def enable_grad(x, y):
    with torch.no_grad():
        z = x * 2
        with torch.enable_grad():
            w = x * y
    return torch.autograd.grad((w * z).sum(), [x, y])


def set_grad_enabled(x, y):
    with torch.set_grad_enabled(False):
        z = x * y
    return z, torch.autograd.grad((x * z).sum(), x)


def inference_mode(x, y):
    with torch.inference_mode():
        scale = float(2)
    return torch.autograd.grad((x * scale).sum(), x)


def requires_grad_inside(x, y):
    z = torch.zeros(3, 4, requires_grad=True)
    ((x + z) * y).sum().backward()
    return z.grad


def freezing(x, y):
    x.requires_grad_(False)
    (x * y).sum().backward()


def zero_grad(x, y):
    (x * y).sum().backward()
    x.grad.zero_()
    (x * x).sum().backward()


def grad_is_read(x, y):
    (x * y).sum().backward()
    return x.grad * 2, x.grad.norm()


def grad_is_written(x, y):
    (x * y).sum().backward()
    x.grad.mul_(0.5)
    y.grad = x.grad + 1


def clip_gradients(x, y):
    (x * y).exp().sum().backward()
    return nn.utils.clip_grad_norm_([x, y], 1.0)


def clip_values(x, y):
    (x * y).exp().sum().backward()
    nn.utils.clip_grad_value_([x, y], 0.3)


def inplace_update(x, y):
    (x * y).sum().backward()
    with torch.no_grad():
        x -= 0.1 * x.grad
        y.sub_(0.1 * y.grad)


def retain_grad(x, y):
    z = x * y
    z.retain_grad()
    (z * z).sum().backward()
    return z.grad


def tensor_hook(x, y):
    z = x * y
    z.register_hook(lambda slope: slope * 3)
    z.sum().backward()


class Square(Function):
    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * value

    @staticmethod
    def backward(ctx, slope):
        (value,) = ctx.saved_tensors
        return slope * value * 5  # wrong on purpose: this must be what is used


def custom_function(x, y):
    (Square.apply(x) * y).sum().backward()


def checkpoint(x, y):
    from torch.utils.checkpoint import checkpoint as run

    run(lambda a, b: (a * b).sin(), x, y, use_reentrant=False).sum().backward()


def several_steps(x, y):
    losses = []
    for _ in range(3):
        x.grad = y.grad = None
        loss = ((x * y - 1) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            x -= x.grad
            y -= y.grad
        losses.append(loss.detach())
    return losses


def functional_grad(x, y):
    return torch.func.grad(lambda a: (a * y.detach()).sin().sum())(x.detach())


def shared_subexpression(x, y):
    z = (x * y).tanh()
    return torch.autograd.grad((z * z + z).sum() + z.mean(), [x, y])


def loss_is_returned(x, y):
    loss = (x * y).sum()
    loss.backward()
    return loss


def graph_is_returned(x, y):
    return x * y


TRAINING = {
    function.__name__: function
    for function in [
        backward,
        backward_with_seed,
        backward_accumulates,
        backward_twice_retained,
        backward_of_several,
        backward_with_inputs,
        gradient,
        gradient_unused,
        gradient_materialized,
        gradient_of_intermediate,
        gradient_of_a_view,
        gradient_of_one_of_two_equal_values,
        gradient_of_one_of_two_equal_detached,
        gradient_of_gradient,
        third_derivative,
        gradient_penalty,
        backward_create_graph,
        hessian_vector_product,
        softmax_hessian,
        linear_hessian,
        detach,
        detached_output,
        data_attribute,
        no_grad,
        enable_grad,
        set_grad_enabled,
        inference_mode,
        requires_grad_inside,
        zero_grad,
        grad_is_read,
        grad_is_written,
        clip_gradients,
        clip_values,
        inplace_update,
        shared_subexpression,
        several_steps,
        loss_is_returned,
    ]
}
MAY_FALL_BACK = {
    function.__name__: function
    for function in [
        freezing,
        retain_grad,
        tensor_hook,
        custom_function,
        checkpoint,
        functional_grad,
        graph_is_returned,
    ]
}


@pytest.mark.parametrize("name", TRAINING)
def test_in_a_graph(name: str) -> None:
    assert_same(TRAINING[name], pair, loosen=20)


@pytest.mark.parametrize("name", MAY_FALL_BACK)
def test_right_whichever_way_it_runs(name: str) -> None:
    assert_same(MAY_FALL_BACK[name], pair, loosen=20, in_graph=False)


@pytest.mark.parametrize("name", ["backward", "gradient", "clip_gradients", "inplace_update"])
def test_dynamic(name: str) -> None:
    sizes = iter([3, 3, 8, 8, 17, 17, 3, 3])
    shape = {"size": 0, "uses": 0}

    def arguments():
        shape["size"] = next(sizes)
        return leaf(shape["size"], 4), leaf(shape["size"], 4)

    assert_same(TRAINING[name], arguments, loosen=20, dynamic=[(0, 0), (1, 0)])


def test_gradient_accumulates_into_what_is_there() -> None:
    """x.grad is None at first, then set: two graphs, or one call in CPython; never a wrong sum."""
    expected, actual = leaf(3), leaf(3)
    with torch.no_grad():
        actual.copy_(expected)
    converted = bifront.trace(lambda: (actual * actual).sum().backward())
    for call in range(6):
        if call == 4:
            expected.grad = actual.grad = None
        (expected * expected).sum().backward()
        converted()
        torch.testing.assert_close(actual.grad, expected.grad)


def test_gradient_is_not_taken_where_requires_grad_changed() -> None:
    weight = leaf(3)

    def fn(x):
        y = (x * weight).sum()
        if y.requires_grad:
            y.backward()
        return y.detach()

    converted = bifront.trace(fn)
    for requires_grad in [True, True, True, False, False, True]:
        weight.requires_grad_(requires_grad)
        weight.grad = None
        converted(torch.ones(3))
        assert (weight.grad is not None) == requires_grad


def test_backward_through_a_result_of_the_graph() -> None:
    """What a converted function returns takes part in the caller's own autograd, as in eager."""
    converted = bifront.trace(lambda x, w: (x * w).relu())
    for _ in range(4):
        x, w = leaf(5), leaf(5)
        (converted(x, w) ** 2).sum().backward()
        a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
        ((a * b).relu() ** 2).sum().backward()
        torch.testing.assert_close(x.grad, a.grad)
        torch.testing.assert_close(w.grad, b.grad)


@pytest.mark.parametrize("kind", ["float", "int", "bool"])
def test_a_number_of_the_graph_scales_what_trains(kind: str) -> None:
    numbers = {
        "float": lambda x: x.sum().item(),
        "int": lambda x: x.argmax().item() + 1,
        "bool": lambda x: (x[0] > x[1]).item(),
    }

    def step(w, x):
        return torch.autograd.grad((w * x * numbers[kind](x)).square().sum(), w)

    converted = bifront.function(step)
    for _ in range(5):
        w, x = torch.randn(3, requires_grad=True), torch.randn(3)
        torch.testing.assert_close(converted(w, x), step(w, x))
    assert converted.stats["graph_calls"] >= 3, bifront.explain(converted)


def test_a_spent_loss_has_hooks_of_its_own() -> None:
    weight = torch.randn(3, requires_grad=True)

    def step(x):
        loss = (weight * x).sum()
        loss.backward()
        return loss

    converted, x, seen = bifront.trace(step), torch.randn(3), []
    for round in range(8):
        loss = converted(x)
        assert loss.grad_fn is not None and loss.requires_grad
        if round % 2 == 0:
            loss.register_hook(seen.append)
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
        assert len(seen) == round // 2 + 1  # a hook before the node runs, and only its own
    assert converted.stats["graphs"] == 1


def test_gradient_of_a_factor_with_more_dimensions_than_the_rest() -> None:
    weights = [torch.ones(1, requires_grad=True) for _ in range(2)]

    def step(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        weight.grad = None
        (weight * x.sum()).backward()
        return cast(torch.Tensor, weight.grad).clone()

    converted = bifront.function(step)
    for _ in range(3):
        x = torch.randn(3)
        torch.testing.assert_close(converted(x, weights[0]), step(x, weights[1]))
    assert converted.stats["graph_calls"] == 2, bifront.explain(converted)


class Twice(nn.Module):
    """One BatchNorm in two calls, both with gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.zero_grad()
        first = self.norm(self.inner(x))
        loss = first.sum() + self.norm(self.inner(x + 1)).pow(2).sum()
        loss.backward()
        return loss.detach()


class Adversaries(nn.Module):
    """Two backward passes that add up, ahead of a third."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(3, 3)
        self.judge = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.zero_grad()
        fake = self.generator(x)
        self.judge(x).pow(2).sum().backward()
        self.judge(fake.detach()).sum().backward()
        loss = self.judge(fake).pow(2).sum()
        loss.backward()
        return loss.detach()


@pytest.mark.parametrize("model", [Twice, Adversaries])
def test_steps_with_several_backward_passes(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    expected = model()
    actual = copy.deepcopy(expected)
    converted = bifront.function(actual)
    for call in range(6):
        x = torch.randn(5, 3)
        assert_same_value(converted(x), expected(x), f"call {call}", loosen=10)
        theirs = dict(expected.named_parameters()) | dict(expected.named_buffers())
        for name, ours in [*actual.named_parameters(), *actual.named_buffers()]:
            assert_same_value(ours, theirs[name], f"call {call}: {name}", loosen=10)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 5, bifront.explain(converted)


def test_two_losses_through_items_that_are_set() -> None:
    """The derivative of a copy writes, and the second loss goes through it again."""

    def step(x: torch.Tensor) -> None:
        rows = (x * 1).clone()
        rows[0] = x.mean(0)
        rows[1] = x[2].exp()
        rows.sin().sum().backward(retain_graph=True)
        rows.cos().sum().backward()

    converted = bifront.function(step)
    for _ in range(4):
        x = torch.randn(3, 4, dtype=torch.float64)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        converted(mine)
        step(other)
        assert_same_value(mine, other, "x")
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)


def test_losses_of_two_paths_through_items_that_are_set() -> None:
    def step(x: torch.Tensor, turns: int) -> None:
        rows = (x * 1).clone()
        for turn in range(turns):
            rows[turn] = x[turn].mean()
            if torch.equal(rows, x):
                break
        rows.sin().sum().backward()

    converted = bifront.function(step)
    for call in range(10):
        x = torch.randn(3, 4, dtype=torch.float64)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        converted(mine, 1 + call % 3)
        step(other, 1 + call % 3)
        assert_same_value(mine, other, f"call {call}")
    assert converted.stats["graph_calls"] >= 5, bifront.explain(converted)
