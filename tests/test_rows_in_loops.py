"""Loops through the rows of a tensor: what is taken out of them, and gradients of the rows."""

from __future__ import annotations

from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.beside_eager import Side, Steps, Weights, assert_same_steps, zero

STEPS = Steps()


def rows(x: Tensor, n: int) -> Tensor:
    return torch.randn(4 + n * 5 % 7, 2, 4)


def trained(m: Weights, loss: Tensor) -> Tensor:
    zero(m)
    loss.backward()
    return loss.detach()


@STEPS.step(argument=rows)
def each_row(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series * m.v:
        h = torch.tanh(row @ m.w + h @ m.u)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def rows_from_both_ends(m: Weights, x: Tensor, series: Any) -> Any:
    xs, h = series * m.v, torch.zeros(2, 4)
    for i in range(len(series)):
        h = torch.tanh(xs[i] @ m.w + xs[-1 - i] @ m.u + h)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def slices_that_overlap(m: Weights, x: Tensor, series: Any) -> Any:
    xs, h = series * m.v, torch.zeros(2, 4)
    for i in range(len(series) - 2):
        h = torch.tanh(xs[i : i + 3].sum(0) @ m.w + h)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def rows_beside_the_whole(m: Weights, x: Tensor, series: Any) -> Any:
    """What the rows' gradients are added to is not zero, and may be a negative zero."""
    xs, h = series * m.v, torch.zeros(2, 4)
    for row in xs[1:]:
        h = torch.tanh(row @ m.w + h)
    return trained(m, h.pow(2).sum() + (xs * -torch.zeros(4)).sum() + xs[0].sum())


@STEPS.step()
def rows_by_number(m: Weights, x: Tensor, series: Any) -> Any:
    """As often as it is written here: no loop of the graph."""
    xs, h = torch.arange(24.0).reshape(3, 2, 4) * m.v, torch.zeros(2, 4)
    for i in range(3):
        h = torch.tanh(xs[i] @ m.w + h)
    return trained(m, h.pow(2).sum())


@pytest.mark.parametrize("name", STEPS)
def test_rows(name: str) -> None:
    assert_same_steps(STEPS[name])


@pytest.mark.parametrize("name", ["each_row", "rows_by_number"])
def test_gradients_of_rows_are_added_where_they_lie(name: str) -> None:
    side = Side(STEPS[name], converts=True)
    for n in range(4):
        side.call(n)
    text = str(side.run.graph_texts[-1])
    assert "bifront::add_selected_" in text, bifront.explain(side.run)
    assert "aten::select_backward" not in text
