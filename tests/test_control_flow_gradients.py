"""Gradients through branches and loops that depend on tensors, inside one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_function import assert_same_value

CALLS = 8
STEPS: dict[str, Callable[..., Any]] = {}


def step(fn: Callable[..., Any]) -> Callable[..., Any]:
    STEPS[fn.__name__] = fn
    return fn


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4) * 0.4)
        self.v = nn.Parameter(torch.randn(4) * 0.4)
        self.cell = nn.LSTMCell(4, 4)


def argument(call: int) -> Tensor:
    torch.manual_seed(call)
    return torch.randn(3 + call % 4, 2, 4) * (1 if call % 2 else -1) + 0.2 * (call % 3 - 1)


@step
def a_branch_scales(m: Weights, x: Tensor) -> Tensor:
    y = torch.tanh(x @ m.w + m.v)
    y = y * 2 if y.sum() > 0 else y.sin() - 1
    return y.pow(2).mean()


@step
def branches_in_branches(m: Weights, x: Tensor) -> Tensor:
    y = x @ m.w
    if y.sum() > 0:
        z = y * m.v
        if z.mean() > 0.1:
            z = z.exp().clamp(max=3)
        else:
            z = z - y
    else:
        z = (y * m.v).sigmoid()
    return (z * y).mean()


@step
def a_loop_while_it_is_large(m: Weights, x: Tensor) -> Tensor:
    y = (x @ m.w + m.v) * 3
    while y.abs().sum() > 5:
        y = torch.tanh(y) * 0.8 @ m.w * 0.5
    return (y + m.v).pow(2).sum()


@step
def a_recurrent_network(m: Weights, x: Tensor) -> Tensor:
    h, c = x.new_zeros(2, 4), x.new_zeros(2, 4)
    loss = x.new_zeros(())
    for t in range(x.size(0)):
        h, c = m.cell(x[t], (h, c))
        loss = loss + (h @ m.w - m.v).pow(2).mean()
    return loss / x.size(0)


@step
def a_loop_with_a_branch(m: Weights, x: Tensor) -> Tensor:
    h = torch.tanh(x[0] @ m.w)
    for t in range(1, x.size(0)):
        if x[t].sum() > 0:
            h = torch.tanh(h @ m.w + x[t])
        else:
            h = h * m.v + h
    return (h * m.v).sum()


@step
def a_loop_in_a_loop(m: Weights, x: Tensor) -> Tensor:
    h = x[0] @ m.w * m.v
    for t in range(1, x.size(0)):
        h = torch.tanh(h @ m.w + x[t])
        while h.abs().max() > 0.5:
            h = h * 0.7 * m.v.abs().clamp(max=0.9)
    return h.sum()


@step
def what_is_swapped_and_kept(m: Weights, x: Tensor) -> Tensor:
    a, b, kept = x[0] @ m.w, x[1] @ m.w, x[2] * m.v
    n = 0
    while n < x.size(0):
        a, b = b * 0.9, a + kept * n
        n += 1
    return (a * b).sum() + kept.sum()


@step
def dropout_in_a_loop(m: Weights, x: Tensor) -> Tensor:
    h = x[0] @ m.w + m.v
    for t in range(1, x.size(0)):
        h = nn.functional.dropout(torch.tanh(h @ m.w + x[t]), 0.3)
    return h.pow(2).mean()


@step
def in_place_in_a_loop(m: Weights, x: Tensor) -> Tensor:
    h = x[0] @ m.w + m.v
    for t in range(1, x.size(0)):
        g = h @ m.w
        g.add_(x[t]).tanh_()
        h = h * 0.5 + g
    return h.mean()


def run(fn: Callable[..., Any], model: Weights, optimizer: torch.optim.Optimizer) -> Any:
    def train(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = fn(model, x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return train


@pytest.mark.parametrize("name", STEPS)
def test_training_steps(name: str) -> None:
    torch.manual_seed(0)
    expected_model = Weights()
    actual_model = copy.deepcopy(expected_model)
    used = a_recurrent_network.__name__ == name
    steps = []
    for model in (expected_model, actual_model):
        parameters = model.parameters() if used else [model.w, model.v]
        steps.append(run(STEPS[name], model, torch.optim.Adam(parameters, 0.01)))
    converted = bifront.function(steps[1])
    for call in range(CALLS):
        expected = steps[0](argument(call))
        torch_state = torch.get_rng_state()
        actual = converted(argument(call))
        assert_same_value(actual, expected, f"call {call}", loosen=20)
        assert torch.equal(torch.get_rng_state(), torch_state)
        for (where, ours), theirs in zip(
            actual_model.named_parameters(), expected_model.parameters(), strict=True
        ):
            assert_same_value(ours, theirs, f"call {call}: {where}", loosen=100)
    stats = converted.stats
    assert stats["graphs"] == 1, bifront.explain(converted)
    assert stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)


def assert_same_gradients(fn: Callable[..., Any], graphs: int | None = None) -> None:
    """What is `None` in eager is so here."""
    torch.manual_seed(0)
    expected_model = Weights()
    actual_model = copy.deepcopy(expected_model)
    converted = bifront.function(lambda x: fn(actual_model, x))
    for call in range(CALLS):
        actual, expected = converted(argument(call)), fn(expected_model, argument(call))
        assert_same_value(actual, expected, f"call {call}", loosen=10)
        for (where, ours), theirs in zip(
            actual_model.named_parameters(), expected_model.parameters(), strict=True
        ):
            assert_same_value(ours.grad, theirs.grad, f"call {call}: {where}", loosen=20)
            ours.grad = theirs.grad = None
    if graphs is not None:
        assert converted.stats["graphs"] == graphs, bifront.explain(converted)


def test_a_weight_that_one_way_uses() -> None:
    def fn(m: Weights, x: Tensor) -> Tensor:
        y = (x * x).sum() * m.v if x.sum() > 0 else x @ m.w
        y.sum().backward()
        return y.detach()

    assert_same_gradients(fn)


def test_a_loop_that_may_not_run() -> None:
    def fn(m: Weights, x: Tensor) -> Tensor:
        y = x * m.v
        while y.abs().sum() > 14:
            y = y @ m.w * 0.3
        y.sum().backward()
        return y.detach()

    assert_same_gradients(fn)


def test_a_loop_whose_first_value_does_not_train() -> None:
    def fn(m: Weights, x: Tensor) -> tuple[Tensor, bool]:
        y = x
        n = 0
        while y.abs().sum() > 10:
            y = y * m.v * 0.5
            n += 1
        trains = y.requires_grad
        if trains:
            y.sum().backward()
        return y.detach(), trains

    assert_same_gradients(fn)


def test_a_weight_that_only_later_iterations_reach() -> None:
    def fn(m: Weights, x: Tensor) -> Tensor:
        a, b, c = x[0] * m.v, x[0] * 2, (x[0] @ m.w)
        for _ in range(x.size(0) - 3):
            a, b, c = b, c, x[0] * 1.0
        (a.sum() + m.v.sum()).backward()
        return a.detach()

    assert_same_gradients(fn)


def test_whether_a_tensor_trains_decides() -> None:
    def fn(m: Weights, x: Tensor) -> tuple[bool, bool, bool]:
        y = x * m.v if x.sum() > 0 else x * 2
        return y.requires_grad, y.is_leaf, y.grad_fn is None

    assert_same_gradients(fn)
