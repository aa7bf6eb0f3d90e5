"""Gradients through a converted function that are differentiated again, outside of the function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

CALLS = 6


def penalty(function: Callable[..., Tensor], x: Tensor, model: nn.Module) -> list[Any]:
    """A step of a critic whose gradient is to have a length of one."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = function(x)
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    ((gradient.flatten(1).norm(dim=1) - 1).square().mean() + y.mean()).backward()
    return [gradient.detach(), x.grad, *(p.grad for p in model.parameters())]


def assert_same_gradients(
    make: Callable[[], nn.Module], step: Callable[..., list[Any]] = penalty, **stats: int
) -> None:
    torch.manual_seed(0)
    model = make()
    eager = copy.deepcopy(model)
    converted = bifront.function(model)
    for call in range(CALLS):
        x = torch.randn(4 + call % 2, 6)
        results = []
        for function, trained in ((converted, model), (eager, eager)):
            torch.manual_seed(call)
            results.append([*step(function, x, trained), torch.rand(2)])
        for index, (actual, expected) in enumerate(zip(*results, strict=True)):
            assert (actual is None) == (expected is None), (call, index)
            if actual is not None:
                torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert converted.stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))  # type: ignore[no-any-return]


def test_a_gradient_penalty() -> None:
    assert_same_gradients(Critic)


class WithDropout(Critic):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.dropout(self.first(x).sigmoid(), 0.5, self.training))  # type: ignore[no-any-return]


def test_numbers_are_drawn_again() -> None:
    assert_same_gradients(WithDropout)


class WithALoop(Critic):
    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.zeros(8)
        for row in x:
            hidden = torch.tanh(self.first(row) + hidden)
        while hidden.norm() > 0.5:
            hidden = hidden * 0.7
        return self.second(hidden) * x  # type: ignore[no-any-return]


def test_through_loops() -> None:
    assert_same_gradients(WithALoop)


class WithABranch(Critic):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = y.exp() if x.sum() > 0 else y * y
        return self.second(y)  # type: ignore[no-any-return]


def test_through_branches() -> None:
    assert_same_gradients(WithABranch)


class WithConvolution(Critic):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 3, 3, padding=1)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.norm(self.convolution(x[:, None])))
        return self.second(torch.softmax(self.first(y.mean(1)), -1).log())  # type: ignore[no-any-return]


def test_through_a_convolution() -> None:
    assert_same_gradients(WithConvolution)


class WithAGradientInside(Critic):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).tanh()
        (kept,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (dropped,) = torch.autograd.grad(y.exp().sum(), x, retain_graph=True)
        return self.second(y) * (kept + dropped)  # type: ignore[no-any-return]


def test_through_a_gradient() -> None:
    assert_same_gradients(WithAGradientInside)


def three_times(function: Callable[..., Tensor], x: Tensor, model: nn.Module) -> list[Any]:
    model.zero_grad()
    x = x.clone().requires_grad_()
    value = function(x).pow(3).sum()
    for _ in range(2):
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        value = gradient.square().sum()
    value.backward()
    return [x.grad, *(p.grad for p in model.parameters())]


def test_three_times() -> None:
    assert_same_gradients(Critic, three_times)


def of_a_product(function: Callable[..., Tensor], x: Tensor, model: nn.Module) -> list[Any]:
    """The Hessian of the parameters times a vector, by two backwards."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(function(x).square().mean(), parameters, create_graph=True)
    vectors = [torch.randn_like(p) for p in parameters]
    dot = sum((g * v).sum() for g, v in zip(gradients, vectors, strict=True))
    return list(torch.autograd.grad(dot, parameters, allow_unused=True))  # type: ignore[arg-type]


def test_a_hessian_times_a_vector() -> None:
    assert_same_gradients(Critic, of_a_product)


def with_a_history(function: Callable[..., Tensor], x: Tensor, model: nn.Module) -> list[Any]:
    """Input and seed come of the same tensor."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = function(x.sin())
    (gradient,) = torch.autograd.grad(y, x, x.exp()[:, :1] * y, create_graph=True)
    gradient.square().sum().backward()
    return [x.grad, *(p.grad for p in model.parameters())]


def test_inputs_and_seeds_with_a_history() -> None:
    assert_same_gradients(Critic, with_a_history)


class Both(Critic):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self.first(x) * self.first(y).sigmoid()
        return z, self.second(z)


def of_two_results(
    function: Callable[..., tuple[Tensor, Tensor]], x: Tensor, model: nn.Module
) -> list[Any]:
    """One input comes of the other, and the results are differentiated one by one."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    first, second = function(x, x * x)
    (of_first,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (of_second,) = torch.autograd.grad(second.sum(), x, create_graph=True)
    (of_first * of_second).sum().backward()
    return [of_first.detach(), of_second.detach(), x.grad, *(p.grad for p in model.parameters())]


def test_two_results_of_inputs_that_depend() -> None:
    assert_same_gradients(Both, of_two_results)


def test_without_a_second_time() -> None:
    w = torch.randn(3, requires_grad=True)
    converted = bifront.function(lambda x: (x * w).exp().sum())
    for _ in range(4):
        converted(torch.ones(3)).backward(create_graph=True)
        assert w.grad is not None
        assert torch.equal(w.grad, w.detach().exp())
        w.grad = None


def again(result: Tensor, x: Tensor) -> None:
    (gradient,) = torch.autograd.grad(result.sum(), x, create_graph=True)
    gradient.sum().backward()


def refused(why: str) -> Any:
    return pytest.raises(RuntimeError, match="converted by Bifront is differentiated.*" + why)


def test_an_input_that_is_written_meanwhile() -> None:
    w = torch.randn(3, requires_grad=True)
    converted = bifront.function(lambda x: (x * w).exp())
    for _ in range(3):
        result = converted(torch.ones(3))
    (gradient,) = torch.autograd.grad(result.sum(), w, create_graph=True)
    with torch.no_grad():
        w.add_(1)
    with refused("modified by an inplace operation"):
        gradient.sum().backward()


def test_an_input_that_the_function_writes() -> None:
    """Whose contents are not what they were: the statistics of a layer."""
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    x = torch.randn(5, 6, requires_grad=True)
    converted = bifront.function(model)
    for _ in range(3):
        result = converted(x)
    assert converted.stats["graph_calls"] > 0
    with refused("modified by an inplace operation"):
        again(result.square(), x)
    model.eval()
    for _ in range(3):
        result = converted(x)
    again(result.square(), x)


def test_it_is_freed() -> None:
    x = torch.randn(3, requires_grad=True)
    converted = bifront.function(lambda x: x.exp().sum())
    for _ in range(3):
        result = converted(x)
    (gradient,) = torch.autograd.grad(result, x, create_graph=True)
    gradient.sum().backward(retain_graph=True)
    gradient.sum().backward()
    assert torch.allclose(x.grad, 2 * x.detach().exp())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="second time"):
        gradient.sum().backward()
