"""Several ways out of one loop of the graph, by branches that stand behind and in each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 12


def one_after_another(x: Tensor) -> Any:
    steps = 0
    while True:
        x = x * 1.7 + torch.rand(2)
        steps += 1
        if x[0] > 8:
            break
        if x[1] > 6:
            break
    return x, steps


def on_both_ways(x: Tensor) -> Any:
    while x.sum() < 90:
        x = x * 1.4 + torch.rand(2)
        if x[0] > x[1]:
            if x[0] > 9:
                break
            x = x + 1
        else:
            if x[1] > 7:
                break
    return x


def on_one_way_only(x: Tensor) -> Any:
    while x.sum() < 90:
        x = x * 1.4 + torch.rand(2)
        if x[0] > x[1]:
            if x[0] > 9:
                x = x - 100
                break
        x = x + 0.5
    return x


def break_and_continue(x: Tensor) -> Any:
    steps = 0
    while True:
        x = x * 1.3 + torch.rand(2)
        if x[0] > 30:
            break
        if x[0] < x[1]:
            continue
        steps += 1
        if x[0] > 6:
            break
        if x[1] > 3:
            continue
        x = x + 1
    return x, steps


def three_in_a_row(x: Tensor) -> Any:
    for i in range(x.long().sum().item() + 12):
        x = x * 1.5 + torch.rand(2)
        if x[0] > 12:
            x = x + 1000
            break
        if x[1] > 9:
            x = x + 2000
            break
        if x.sum() > 11:
            x = x + 3000 + i
            break
    return x


def deep_inside(x: Tensor) -> Any:
    while True:
        x = x * 1.3 + torch.rand(2)
        if x[0] > 2:
            if x[1] > 2:
                if x.sum() > 9:
                    break
                x = x + 0.5
            elif x[0] > 8:
                break
        else:
            x = x + 0.25
    return x


@pytest.mark.parametrize(
    "step",
    [
        one_after_another,
        on_both_ways,
        on_one_way_only,
        break_and_continue,
        three_in_a_row,
        deep_inside,
    ],
)
def test_ways_out_of_a_loop(step: Callable[[Tensor], Any]) -> None:
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for run in (step, converted):
            torch.manual_seed(call)
            outcomes.append([run(torch.rand(2) * (0.3 + call % 4)), torch.rand(1)])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    assert converted.stats["graph_calls"] >= CALLS - 4, bifront.explain(converted)
