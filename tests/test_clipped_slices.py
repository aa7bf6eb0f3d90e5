"""Slices of what values select, in branches and loops: nobody can say there which bound is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

SLICES = [
    *(slice(1, None), slice(None, 2), slice(None, -1), slice(-2, None), slice(1, 3)),
    *(slice(2, -1), slice(-3, -1), slice(3, 1), slice(0, 0), slice(None, None, 2)),
    *(slice(1, None, 3), slice(-1, 4, 2), slice(None, None)),
]
COUNTS = (5, 3, 0, 1, 2, 6, 4, 0, 1, 8, 2, 0, 3)


def calls(fn: Callable[..., Any], least: int) -> Any:
    """With so many numbers above zero in turn."""
    converted = bifront.function(fn)
    torch.manual_seed(0)
    for number, count in enumerate(COUNTS):
        x = -torch.rand(8)
        x[torch.randperm(8)[:count]] *= -1
        assert_same_value(converted(x), fn(x), f"call {number}")
    assert converted.stats["graph_calls"] >= least, bifront.explain(converted)
    return converted


@pytest.mark.parametrize("part", SLICES)
def test_in_a_loop(part: slice) -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        rest = x[x > 0]
        total, lengths = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        while rest.numel() > 0:
            here = rest[part]
            total = total * 0.5 + here.sum()
            lengths = lengths * 3 + here.shape[0]
            rest = rest[1:]
        return total, lengths

    calls(step, least=9)


@pytest.mark.parametrize("part", SLICES)
def test_on_one_way_of_a_branch(part: slice) -> None:
    def step(x: Tensor) -> Tensor:
        some = x[x > 0]
        if x[0] > 0:
            here = some[part]
            return here.sum() * 2 + len(here)
        return some.sum()

    calls(step, least=9)


def test_between_numbers_that_the_run_finds() -> None:
    """As regions of a map are cut out: from where, and how far, is up to the values."""

    def step(x: Tensor) -> tuple[Tensor, int]:
        total, lengths = torch.zeros(()), 0
        for part in (x[x > 0] * 9).tolist():
            start, stop = int(part) - 4, round(part * 1.6) - 5
            for some in (x[start:stop], x[:stop], x[start:], x[-3:stop], x[start:-1], x[start::2]):
                total = total * 0.9 + some.sum()
                lengths = lengths * 2 + len(some)
        return total, lengths

    converted = calls(step, least=11)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_what_is_left_of_a_list_goes_by_what_is_best() -> None:
    """As boxes are suppressed: each round takes the best, and drops what is near it."""

    def kept(x: Tensor) -> Tensor:
        order = x.argsort(descending=True)
        found = []
        while order.numel() > 0:
            best = order[0]
            found.append(best)
            rest = order[1:]
            order = rest[(x[rest] - x[best]).abs().unsqueeze(0).squeeze(0) > 0.3]
        return torch.stack(found)

    def step(x: Tensor) -> Tensor:
        some = x[x > 0]
        count = min(5, len(some))
        best = some.topk(count).indices
        if count > 0:
            best = best[kept(some[best])]
        return some[best[:2]].sum()

    calls(step, least=7)


def test_a_dimension_of_one_goes_and_rows_stay() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x[x > 0].unsqueeze(0)
        return rows.squeeze(0) * 2, rows.unsqueeze(-1).squeeze((0, 2)) + 1

    converted = calls(step, least=len(COUNTS) - 1)
    assert converted.stats["graphs"] == 1
    assert converted.stats["conversions"] == 1


def test_a_column_steps_over_rows_of_which_there_are_as_many_as_one_of_many_masks_selects() -> None:
    def step(x: Tensor) -> Tensor:
        total = torch.zeros(())
        for number in range(70):
            total = total + x[x > number / 70].sum()
        table = x[:, None] - x[x > 0][None]
        return total + table[:, -1].argmax() if table.shape[1] > 0 else total

    calls(step, least=9)


def test_many_numbers_decide_in_a_long_function() -> None:
    """What asking for them costs is what has to be run for it, each op once."""

    def step(x: Tensor) -> Tensor:
        for number in range(60):
            for _ in range(50):
                x = (x * 1.01).sin()
            if x[number % 8] > 0.5:
                x = x * 2
        return x

    converted = bifront.function(step)
    x = torch.linspace(0.1, 0.8, 8)
    for number in range(3):
        assert_same_value(converted(x), step(x), f"call {number}")
    assert converted.stats["graph_calls"] == 2, bifront.explain(converted)
