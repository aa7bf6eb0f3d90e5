"""Tensors that come to have other rows in a loop or on one way of a branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 14


def shrinks(x: Tensor, limit: float) -> Tensor:
    while x.numel() > 2:
        x = x[x > x.mean() * limit] * 1.5
        limit = limit * 0.9
    return x


def grows(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    y = x[:1].clone()
    while y.sum() < 4 * limit:
        y = torch.cat([y, y[-1:] + x[0].abs() + 1])
    return y, y.mean()


def two_together(x: Tensor, limit: float) -> tuple[Tensor, Tensor, float]:
    a, b = x, x * 2
    while a.numel() > 1 and b.numel() > 1:
        mask = a > a.mean()
        a, b = b[mask], a[mask] + 1
        limit = limit - 1
    return a, b, limit


def doubles(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    h = x[:2].unsqueeze(1)
    sums = []
    while h.abs().sum() < 4 * limit and h.shape[0] < 40:
        h = torch.cat([h + x.sum(), h - x.mean()])
        sums.append(h.sum())
    return torch.stack(sums).sum() if sums else torch.zeros(()), h


def a_front(x: Tensor, limit: float) -> tuple[Tensor, int]:
    seen = torch.zeros(16, dtype=torch.bool)
    front = torch.tensor([int(x.numel())])
    steps = 0
    while len(front) > 0 and steps < 20 * limit:
        seen[front] = True
        after = torch.cat([(front * 2 + 1) % 16, (front * 3 + 2) % 16]).unique()
        front = after[~seen[after]]
        steps += 1
    return seen, steps


def rows_of_pairs(x: Tensor, limit: float) -> tuple[int, Tensor]:
    rows = torch.stack([x, x.flip(0)], 1) + 1
    taken = 0
    while len(rows) > 0:
        best, rest = rows[0], rows[1:]
        rows = rest[(rest - best).abs().sum(1) > limit]
        taken += 1
    return taken, rows


def fewer_on_one_way(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    y = x * 2
    if y.sum() > limit:
        y = y[y > 0]
    return y.sum() + y.numel(), y


def other_rows_on_each_way(x: Tensor, limit: float) -> Tensor:
    y = x * 2
    y = torch.cat([y, y]) if y.sum() > limit else y[1:]
    return y * y


def step_by_step(x: Tensor, limit: float) -> Tensor:
    """As an ordinary difference equation: nothing is left where it ends."""
    while x.shape[0] > 1:
        x = (x[1:] - x[:-1]) * limit
    return x


@pytest.mark.parametrize(
    "step",
    [
        *(shrinks, grows, two_together, doubles, a_front, rows_of_pairs, fewer_on_one_way),
        *(other_rows_on_each_way, step_by_step),
    ],
)
def test_values(step: Callable[..., Any]) -> None:
    converted = bifront.function(step)
    torch.manual_seed(0)
    for number in range(CALLS):
        x = torch.randn(int(torch.randint(1, 9, ())))
        limit = float(torch.rand(()))
        assert_same_value(converted(x, limit), step(x, limit), f"call {number}")
    assert converted.stats["graph_calls"] >= CALLS - 5, bifront.explain(converted)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def fewer_of_what_is_trained(w: Tensor, x: Tensor, limit: float) -> tuple[Tensor, int]:
    y = torch.tanh(x @ w)
    rounds = 0
    while y.shape[0] > 1:
        sums = y.sum(1)
        y = torch.tanh(y[sums > sums.median()] @ w) * limit
        rounds += 1
    return y.sum(), rounds


def more_of_what_is_trained(w: Tensor, x: Tensor, limit: float) -> tuple[Tensor, int]:
    y = x[:1] @ w
    while y.sum() < limit and y.shape[0] < 12:
        y = torch.cat([y, torch.tanh(y[-1:] @ w) + 0.5])
    return (y * y).sum(), y.shape[0]


def trained_on_one_way(w: Tensor, x: Tensor, limit: float) -> tuple[Tensor, int]:
    y = x @ w
    if y.sum() > limit:
        y = y[1:] * 2
    return torch.tanh(y).sum(), y.shape[0]


@pytest.mark.parametrize(
    "loss_of", [fewer_of_what_is_trained, more_of_what_is_trained, trained_on_one_way]
)
def test_gradients(loss_of: Callable[..., tuple[Tensor, int]]) -> None:
    def step(w: Tensor, x: Tensor, limit: float) -> tuple[float, int]:
        loss, number = loss_of(w, x, limit)
        loss.backward()
        return loss.item(), number

    converted = bifront.function(step)
    torch.manual_seed(0)
    weights = [torch.randn(4, 4, dtype=torch.float64).requires_grad_()]
    weights.append(weights[0].detach().clone().requires_grad_())
    for number in range(CALLS):
        x = torch.randn(int(torch.randint(1, 9, ())), 4, dtype=torch.float64)
        limit = float(torch.rand(()))
        results = [fn(w, x, limit) for fn, w in zip((step, converted), weights)]
        assert_same_value(results[1], results[0], f"call {number}")
        assert_same_value(weights[1].grad, weights[0].grad, f"gradient {number}")
    assert converted.stats["graph_calls"] >= CALLS - 4, bifront.explain(converted)


def a_write_in_the_loop(x: Tensor, limit: float) -> tuple[Tensor, Tensor, float]:
    y = x + 1
    before = y
    while y.numel() > 2:
        y = y[y > y.mean()]
        if y.numel() > 0:
            y[0] = 0.0
        limit = limit + 1
    before[0] = 5.0
    return y, before, limit


def a_write_behind_the_branch(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    y = x + 1
    before = y
    if x.sum() > limit:
        y = y[1:]
    y.mul_(2)
    return y, before


def a_write_to_an_argument(x: Tensor, limit: float) -> tuple[Tensor, float]:
    y = x
    if x.sum() > limit:
        y = x[x > 0]
    x.add_(1)
    return y * 1, float(x.sum())


def a_write_in_each_iteration(x: Tensor, limit: float) -> tuple[Tensor, float]:
    y, total = x, 0.0
    while y.numel() > 1 and total < limit + 3:
        x.add_(1)
        total = total + float(y.sum().abs())
        y = y[: y.numel() // 2] if y.numel() > 3 else y[1:]
    return y * 1, total


def a_write_to_one_of_two_behind_the_loop(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    other = x.flip(0)
    y = x if x.sum() > limit else other
    while y.numel() > 1:
        y = y[: y.numel() // 2]
    x.add_(1)
    return y * 1, other


def a_write_to_one_of_two_in_the_loop(x: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    other = x.flip(0)
    y = x if x.sum() > limit else other
    while y.numel() > 1:
        x.add_(1)
        y = y[: y.numel() // 2]
    return y * 1, other


def the_same_object(x: Tensor, limit: float) -> tuple[bool, Tensor, Tensor]:
    y = x + 1
    before = y
    if x.sum() > limit:
        y = y[y > 0.5]
    return y is before, y, before


def the_same_object_behind_a_loop(x: Tensor, limit: float) -> tuple[bool, Tensor, Tensor]:
    y = x + 1
    before = y
    while y.sum() > limit and y.numel() > 1:
        y = y[1:]
    return y is before, y, before


def the_argument_itself(x: Tensor, limit: float) -> tuple[Tensor, bool]:
    y = x
    if x.sum() > limit:
        y = x[x > 0]
    return y, y is x


@pytest.mark.parametrize(
    "step",
    [
        *(a_write_in_the_loop, a_write_behind_the_branch, a_write_to_an_argument),
        *(a_write_to_one_of_two_behind_the_loop, a_write_to_one_of_two_in_the_loop),
        *(a_write_in_each_iteration, the_same_object, the_same_object_behind_a_loop),
        the_argument_itself,
    ],
)
def test_nobody_can_tell_that_they_are_others(step: Callable[..., Any]) -> None:
    converted = bifront.function(step)
    torch.manual_seed(0)
    for number in range(2 * CALLS):
        x = torch.randn(int(torch.randint(1, 9, ())))
        other, limit = x.clone(), float(torch.rand(()))
        actual, expected = converted(x, limit), step(other, limit)
        assert_same_value(actual, expected, f"call {number}")
        assert_same_value(x, other, f"argument of call {number}")
        held, own = [*_tensors(actual), x], [*_tensors(expected), other]
        for left in range(len(held)):
            for right in range(left):
                where = f"results {left} and {right} of call {number}"
                assert (held[left] is held[right]) == (own[left] is own[right]), where
                shares = held[left].untyped_storage().data_ptr()
                is_shared = shares == held[right].untyped_storage().data_ptr()
                own_shares = own[left].untyped_storage().data_ptr()
                assert is_shared == (own_shares == own[right].untyped_storage().data_ptr()), where


def _tensors(results: tuple[Any, ...]) -> list[Tensor]:
    return [result for result in results if isinstance(result, Tensor) and result.numel() > 0]
