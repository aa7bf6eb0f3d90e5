"""Loops over zip() and enumerate() of what the graph counts: tensors, lists of their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

Step = Callable[[Tensor, Tensor], Any]
LENGTHS = [3, 5, 4, 7, 2, 6, 3, 9]


def check(
    step: Step, *, graphs: int = 1, fallbacks: int = 1, others: list[int] | None = None
) -> Any:
    """Rows and labels in each call, of lengths of their own; both sides give the same."""
    converted = bifront.function(step)
    for call, length in enumerate(LENGTHS):
        torch.manual_seed(call)
        rows = torch.rand(length, 2)
        labels = torch.randint(0, 3, ((others or LENGTHS)[call],))
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(rows.clone(), labels.clone()))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    return converted


def numbers_of_two(rows: Tensor, labels: Tensor) -> Any:
    total = 0.0
    for (a, b), kind in zip(rows.tolist(), labels.tolist()):
        total = total + a * kind - b
    return rows.sum() * total


def rows_of_two(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum(0)
    for row, kind in zip(rows, labels):
        total = total * 0.5 + row * kind
    return total


def numbered(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum(0)
    for number, row in enumerate(rows):
        total = total + row * number
    return total


def numbered_from(rows: Tensor, labels: Tensor) -> Any:
    total = 0.0
    for number, (a, b) in enumerate(rows.tolist(), start=7):
        total = total + a * number - b
    return rows.sum() * total, number


def numbered_pairs(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for number, ((a, _), row) in enumerate(zip(rows.tolist(), rows), 2):
        total = total + row.sum() * a * number
    return total


def leaves_early(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for (a, b), kind in zip(rows.tolist(), labels.tolist()):
        if kind == 2 and a > b:
            break
        if kind == 0:
            continue
        total = total + a
    return total


def what_is_gone_through_is_written(rows: Tensor, labels: Tensor) -> Any:
    for number, (before, row) in enumerate(zip(rows.tolist(), rows)):
        rows[-1] += row + before[0] + number
    return rows


def keeps_the_pair(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for pair in zip(rows, labels):
        total = total + pair[0].sum() * pair[1] * len(pair)
    return total


@pytest.mark.parametrize(
    "step",
    [
        numbers_of_two,
        rows_of_two,
        numbered,
        numbered_from,
        numbered_pairs,
        leaves_early,
        what_is_gone_through_is_written,
        keeps_the_pair,
    ],
)
def test_any_length_is_one_graph(step: Step) -> None:
    check(step)


@pytest.mark.parametrize("step", [numbers_of_two, rows_of_two, keeps_the_pair])
def test_the_shorter_one_ends_it(step: Step) -> None:
    check(step, others=[4, 3, 6, 5, 3, 9, 2, 3], graphs=4, fallbacks=4)


def test_an_empty_one() -> None:
    def step(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for row, kind in zip(rows, labels[:0]):
            total = total + row.sum() * kind
        for number, row in enumerate(rows[:0]):
            total = total + row.sum() * number
        return total

    check(step, graphs=2, fallbacks=3)


def test_together_with_what_is_not_counted() -> None:
    """A list of Python's: CPython's zip goes through it."""
    weights = [0.5, 1.5]

    def step(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for weight, (a, _) in zip(weights, rows.tolist()):
            total = total + weight * a
        return total

    check(step, graphs=8, fallbacks=8)


def test_strict_and_wrong_arguments_are_cpythons() -> None:
    def strict(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for (a, _), kind in zip(rows.tolist(), labels.tolist(), strict=True):
            total = total + a * kind
        return total

    def no_number(rows: Tensor, labels: Tensor) -> Any:
        for _ in enumerate(rows, "one"):  # type: ignore[arg-type]
            pass

    for step in (strict, no_number):
        converted = bifront.function(step)
        for call in range(4):
            rows, labels = torch.rand(call + 2, 2), torch.ones(2, dtype=torch.int64)
            outcomes = []
            for run in (step, converted):
                try:
                    outcomes.append(run(rows, labels))
                except Exception as error:
                    outcomes.append((type(error), str(error)))
            assert_same_value(outcomes[1], outcomes[0], f"call {call}")


def test_gradients_of_rows() -> None:
    weight = torch.ones(2, requires_grad=True)

    def step(rows: Tensor, labels: Tensor) -> Any:
        weight.grad = None
        loss = rows.sum() * 0
        for row, kind in zip(rows, labels):
            loss = loss + (row * weight * kind).sum() * loss.detach().cos()
        loss.backward()
        return loss.detach(), weight.grad.clone()  # type: ignore[union-attr]

    check(step)
