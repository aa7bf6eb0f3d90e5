"""What only the way of a branch uses that is not taken has no gradient in eager, not one of zeros:
zero times an infinite derivative would be NaN."""

from __future__ import annotations

from collections.abc import Callable

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 12


def length(x: Tensor) -> Tensor:
    return (x * x).sum().sqrt()


def unit_or_itself(x: Tensor, w: Tensor) -> Tensor:
    r = length(x)
    y = x
    if r > 0.1:
        y = x / r
    return (y * w).sum()


def two_guards(x: Tensor, w: Tensor) -> Tensor:
    r, s = length(x), torch.log(x.abs().sum())
    y = x * w
    if r > 0.1:
        y = y / r
    if s > 0:
        y = y * s
    return y.sum()


def one_in_the_other(x: Tensor, w: Tensor) -> Tensor:
    r = length(x)
    y = x * w
    if x.sum() > -1:
        if r > 0.1:
            y = y / r
        else:
            y = y * 2
    return y.sum()


def used_before_as_well(x: Tensor, w: Tensor) -> Tensor:
    r = (x * x).sum()
    root = r.sqrt()
    y = x * w + r
    if root > 0.1:
        y = y / root
    return y.sum() + r


def made_by_a_branch(x: Tensor, w: Tensor) -> Tensor:
    if w[0] > 0:
        r = length(x)
    else:
        r = length(x * 2) + 1 / x.abs().sum()
    y = x * w
    if x.abs().sum() > 0.1:
        y = y / r
    return y.sum()


def powers(x: Tensor, w: Tensor) -> Tensor:
    """They grow beyond all bounds in a loop, and are not used then."""
    y, count = x * 3, 0
    while y.abs().max() < 1e300 and count < 20:
        y = y * y * 2
        count += 1
    loss = (x * w).sum()
    if torch.isfinite(y).all() and y.abs().max() < 1e300:
        loss = loss + y.sum()
    return loss


def two_in_a_loop(x: Tensor, w: Tensor) -> Tensor:
    y, z = x * 3, x * w
    for _ in range(int(w.abs().sum() * 3) + 2):
        y = y * y * y * 2
        z = torch.tanh(z) + w
    if y.abs().max() < 1e200:
        z = z + y
    return z.sum()


def in_each_iteration(x: Tensor, w: Tensor) -> Tensor:
    total, left = x.sum() * 0, 3
    y = x
    while left > 0 and y.sum() < 10:
        r = length(y)
        if r > 0.1:
            y = y / r + w
        total = total + y.sum()
        left -= 1
    return total


def given_to_a_function(x: Tensor, w: Tensor) -> Tensor:
    def scaled(y: Tensor, r: Tensor, depth: int) -> Tensor:
        if depth == 0:
            return y / r if r > 0.1 else y
        return scaled(y * w, r, depth - 1)

    return scaled(x, length(x), int(w.abs().sum() * 2) % 3 + 1).sum()


@pytest.mark.parametrize(
    "loss_of",
    [
        *(unit_or_itself, two_guards, one_in_the_other, used_before_as_well, made_by_a_branch),
        *(powers, two_in_a_loop, in_each_iteration, given_to_a_function),
    ],
)
def test_gradients(loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    def step(x: Tensor, w: Tensor) -> Tensor:
        loss = loss_of(x, w)
        loss.backward()
        return loss.detach()

    converted = bifront.function(step)
    torch.manual_seed(0)
    for number in range(CALLS):
        made = [torch.randn(3, dtype=torch.float64) for _ in range(2)]
        made[0] = made[0] * (0.0, 1.0, 0.01)[number % 3]
        eager, graph = ([tensor.clone().requires_grad_() for tensor in made] for _ in range(2))
        expected = step(*eager)
        assert_same_value(converted(*graph), expected, f"loss {number}")
        for name, tensor, other in zip("xw", graph, eager, strict=True):
            assert (tensor.grad is None) == (other.grad is None), f"{name}.grad {number}"
            if other.grad is not None:
                assert_same_value(tensor.grad, other.grad, f"{name}.grad {number}")
    assert converted.stats["graph_calls"] >= CALLS // 3, bifront.explain(converted)
