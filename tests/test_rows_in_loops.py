"""Loops through the rows of a tensor: what is taken out of them, and gradients of the rows."""

from __future__ import annotations

import re
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


@STEPS.step(argument=rows)
def a_cell(m: Weights, x: Tensor, series: Any) -> Any:
    """With a bias, a factor that is transposed, and dropout between the rows and the product."""
    xs, h = m.drop(series * m.v), torch.zeros(2, 4)
    for row in xs:
        h = torch.tanh(m.lin(row) + m.lin(h))
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def rows_that_the_loop_writes(m: Weights, x: Tensor, series: Any) -> Any:
    xs, h = series.clone(), torch.zeros(2, 4)
    with torch.no_grad():
        for i in range(len(series)):
            h = torch.tanh(xs[i] @ m.w + h @ m.u)
            xs[-1] = xs[-1] + h
    return h


@STEPS.step(argument=rows)
def a_weight_that_the_loop_writes(m: Weights, x: Tensor, series: Any) -> Any:
    h, w = torch.zeros(2, 4), m.w * 1
    for row in series:
        h = torch.tanh(row @ w + h @ m.u)
        w = w * 0.5
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def a_parameter_that_the_loop_writes(m: Weights, x: Tensor, series: Any) -> Any:
    total = torch.zeros(())
    with torch.no_grad():
        for row in series:
            total = total + (row @ m.w).sum()
            m.w.mul_(0.9)
    return total


@STEPS.step(argument=rows)
def a_loop_that_ends_early(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
        if h.sum() > 1:
            break
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def products_on_some_iterations(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series:
        h = torch.tanh(row @ m.w + h) if h.sum() > 0 else torch.tanh(h + row * m.v)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=lambda x, n: torch.randn(2, 4, 4 + n % 5).permute(2, 0, 1))
def rows_of_other_strides(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def products_that_are_seen(m: Weights, x: Tensor, series: Any) -> Any:
    p, before = torch.zeros(2, 4), torch.zeros(2, 4)
    with torch.no_grad():
        for row in series:
            before, p = p, row @ m.w
        p.add_(1)
    return p, before


@STEPS.step(argument=rows)
def a_gradient_in_each_iteration(m: Weights, x: Tensor, series: Any) -> Any:
    total = torch.zeros(4, 4)
    for row in series:
        (gradient,) = torch.autograd.grad((row @ m.w).pow(2).sum(), m.w)
        total = total + gradient
    return total


@STEPS.step(argument=rows)
def a_gradient_of_the_last_row(m: Weights, x: Tensor, series: Any) -> Any:
    xs, h, last = series * m.v, torch.zeros(2, 4), torch.zeros(2, 4)
    for row in xs:
        last = row
        h = torch.tanh(row @ m.w + h @ m.u)
    return torch.autograd.grad(h.pow(2).sum(), last)[0]


@STEPS.step(argument=rows)
def without_gradients(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series * m.v:
        with torch.no_grad():
            fixed = row @ m.w
        h = torch.tanh(fixed + row @ m.u + h)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def penalised(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
    (gradient,) = torch.autograd.grad(h.pow(2).sum(), m.w, create_graph=True)
    return trained(m, h.sum() + gradient.pow(2).sum())


@STEPS.step(argument=lambda x, n: torch.randn(n % 4, 2, 4))
def no_rows_at_times(m: Weights, x: Tensor, series: Any) -> Any:
    h = m.v * torch.ones(2, 1)
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
    return trained(m, h.pow(2).sum())


@STEPS.step(argument=rows)
def a_loop_in_a_loop(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for outer in series:
        for row in series:
            h = torch.tanh(row @ m.w + h @ m.u)
        h = torch.tanh(outer @ m.w + h)
    return trained(m, h.pow(2).sum())


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


def test_products_of_rows_are_one() -> None:
    side = Side(STEPS["a_cell"], converts=True)
    for n in range(6):
        side.call(n)
    text = str(side.run.graph_texts[-1])
    head, loop = text[: text.index("scf.while")], text[text.index("scf.while") :]
    assert re.search(r'"aten::addmm"\(%\w+, %\w+, %\w+, 1, 1\) : .*tensor<[?]x4xf', head), text
    assert loop[: loop.index("scf.yield")].count("aten::addmm") == 1


def test_products_that_are_seen_have_memory_of_their_own() -> None:
    side = Side(STEPS["products_that_are_seen"], converts=True)
    for n in range(6):
        p, before = side.call(n)["result"]
        assert p.untyped_storage().nbytes() == before.untyped_storage().nbytes() == p.nbytes
    assert side.run.stats["graph_calls"] > 2, bifront.explain(side.run)


@pytest.mark.parametrize("name", ["each_row", "rows_by_number"])
def test_gradients_of_rows_are_added_where_they_lie(name: str) -> None:
    side = Side(STEPS[name], converts=True)
    for n in range(4):
        side.call(n)
    text = str(side.run.graph_texts[-1])
    assert "bifront::add_selected_" in text, bifront.explain(side.run)
    assert "aten::select_backward" not in text
