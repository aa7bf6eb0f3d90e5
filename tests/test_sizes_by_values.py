"""Shapes that depend on values: one graph for masks that hold for none, one and all elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.same_function import assert_same_value

ELEMENTS = 8
HELD = (3, 5, 0, 1, 8, 2) * 3


def vector(held: int) -> Tensor:
    """So many of its elements are positive."""
    x = -torch.rand(ELEMENTS) - 0.1
    x[torch.randperm(ELEMENTS)[:held]] *= -1
    return x


def outcome(step: Callable[..., Any], x: Tensor) -> Any:
    try:
        return step(x.clone())
    except Exception as error:
        return type(error), str(error)


def run(fn: Callable[..., Any], least: int, graphs: int = 1, held: tuple[int, ...] = HELD) -> Any:
    torch.manual_seed(0)
    converted = bifront.function(fn)
    for number, count in enumerate(held):
        x = vector(count)
        assert_same_value(outcome(converted, x), outcome(fn, x), f"call {number}")
    stats = converted.stats
    assert stats["graphs"] == graphs, bifront.explain(converted)
    assert stats["graph_calls"] >= least, bifront.explain(converted)
    return converted


ALL = len(HELD) - 1


def first_positive(x: Tensor) -> Any:
    return x[x > 0]


def both_sides(x: Tensor) -> Any:
    kept = x[x > 1e-3]
    return kept, kept.numel(), x[~(x > 1e-3)].sum(), kept.shape[0] * 2


def two_by_one_mask(x: Tensor) -> Any:
    mask = x > 0
    return x[mask] * x.exp()[mask] + 1, torch.masked_select(x, mask) - x[mask]


def equal_masks(x: Tensor) -> Any:
    y = x.clone()
    y[(x > 0) & (x < 0.8)] *= x[(x > 0) & (x < 0.8)] + torch.exp(y)[(x > 0) & (x < 0.8)]
    return y, x[x > 0] + y[x > 0]


def rows_and_columns(x: Tensor) -> Any:
    matrix = x.view(2, 4) * x[:4, None, None]
    return matrix[matrix > 0], matrix[:, :, matrix[0, 0] > 0], matrix[x[:4] > 0, :, 1]


def where(x: Tensor) -> Any:
    (positions,) = torch.where(x > 0)
    return x[positions] + positions, torch.zeros(len(positions), 2)


def assigned(x: Tensor) -> Any:
    y = x.clone()
    y[x > 0] = y[x > 0] * 2
    y[x < -0.5] = 7.0
    return y


def sizes_from_numbers(x: Tensor) -> Any:
    n = (x > 0).sum().item()
    return torch.zeros(n), x[:n], x[n:], torch.arange(n), n, x.topk(n), x[n - 1 : n]


def shapes_from_numbers(x: Tensor) -> Any:
    n = int((x > 0).sum())
    return torch.ones(n, 3).view(-1) * 2, x[:n].expand(2, n), x.repeat(n), x.new_full((n, n), 0.5)


def writes_to_slices(x: Tensor) -> Any:
    n, y = (x > 0).sum().item(), x.clone()
    y[:n] = 0
    y[n:] += 1
    y[:n].add_(x[:n])
    return y, y.roll(n), y.view(2, 4)[:, : n // 2] * 2


def unique(x: Tensor) -> Any:
    values, inverse, counts = torch.unique((x * 2).round(), return_inverse=True, return_counts=True)
    return values, inverse, counts, values[inverse], torch.unique_consecutive(x > 0)


def repeated(x: Tensor) -> Any:
    counts = (x.abs() * 3).long()
    return (
        torch.repeat_interleave(x, counts),
        torch.repeat_interleave(x.view(2, 4), counts[:4], dim=1),
        torch.bincount(counts),
        torch.bincount(counts, weights=x, minlength=3),
    )


def in_a_loop(x: Tensor) -> Any:
    total = x.sum() * 0
    for i in range(x.nonzero().shape[0]):
        total = total + i
    for k in range(3):
        some = x[x > k / 3 - 0.5]
        total = total + some.sum() + some.numel()
    return total


@pytest.mark.parametrize(
    "fn",
    [
        first_positive,
        lambda x: x.relu().nonzero(),
        lambda x: torch.argwhere(x.view(2, 2, 2) > 0),
        both_sides,
        two_by_one_mask,
        equal_masks,
        rows_and_columns,
        where,
        assigned,
        shapes_from_numbers,
        writes_to_slices,
        unique,
        repeated,
        in_a_loop,
    ],
)
def test_one_graph_for_all_counts(fn: Callable[[Tensor], Any]) -> None:
    run(fn, ALL)


def test_numbers_as_sizes() -> None:
    run(sizes_from_numbers, ALL - 2)


def test_a_window_is_clipped_as_python_clips_it() -> None:
    def fn(x: Tensor) -> Any:
        n = (x > 0).sum().item()
        return x[n : n + 2], x[-n:], x[: 2 * n - 8], x[n - 4 : 6], x[2:n:2]

    torch.manual_seed(0)
    converted = bifront.function(fn)
    for count in (*HELD, 4, 6, 7):
        x = vector(count)
        assert_same_value(converted(x.clone()), fn(x), f"{count} hold")
    assert converted.stats["graph_calls"] > ALL // 2, bifront.explain(converted)


def test_as_many_as_there_are() -> None:
    """Bounds that more or fewer rows than they ask for lie between: no question is asked."""

    def fn(x: Tensor) -> Any:
        kept = x[x > 0]
        kept[:2] *= 2
        kept[-2:].add_(1)
        middle = kept[1:-1]
        return kept[:3], kept[-3:] * 2, middle, middle[::2], kept[4:2], kept[:3].shape[0], kept

    assert "AssertionFailed" not in run(fn, ALL).stats["exits"]


# ===- Questions -----------------------------------------------------------------------------------


def test_both_ways_of_a_branch_by_a_count() -> None:
    def fn(x: Tensor) -> Any:
        kept = x[x > 0]
        return x.sum() if kept.shape[0] == 0 else kept.mean()

    run(fn, ALL - 1)


def test_a_dimension_that_may_go() -> None:
    """squeeze() has another rank where one element is left: CPython runs that path."""
    converted = run(lambda x: x.relu().nonzero().squeeze(), ALL - 6)
    assert converted.stats["exits"]["GraphRaised"] >= 2


def test_a_list_by_a_size() -> None:
    """Each length is a path."""
    run(lambda x: [row * 2 for row in x[x > 0]], ALL - 6)


def test_a_loop_by_a_size() -> None:
    def fn(x: Tensor) -> Any:
        total = x.sum()
        for row in x[x > 0]:
            total = total * 0.5 + row
        return total

    run(fn, ALL - 3)


def test_sizes_that_only_python_knows_to_be_equal() -> None:
    """Two masks, of which nobody else knows that they select as much: each length has a graph."""
    w = weights(ELEMENTS)

    def fn(x: Tensor) -> Any:
        w.grad = None
        y = (w * 1.5).clone()
        y[x > 0] = w[x * 2 > 0] ** 2
        (y * x).sum().backward()
        return y.detach(), w.grad

    converted = bifront.function(fn)
    for count in HELD:
        x = vector(count)
        outcomes = []
        for step in (converted, fn):
            value, gradient = step(x.clone())
            outcomes.append((value, gradient.clone()))
        assert_same_value(*outcomes, f"{count} hold")
    assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)


def test_a_call_that_raises() -> None:
    """An element that is not there."""
    converted = run(lambda x: x[x > 0][2] * 2, 6)
    assert converted.stats["graph_calls"] < ALL


def test_sizes_that_python_must_know() -> None:
    def fn(x: Tensor) -> Any:
        kept = x[x > 0]
        return ["none", "one", "some"][min(len(kept), 2)], kept

    run(fn, ALL - 6)


def test_a_broadcast_of_a_size_by_values() -> None:
    """Eight elements meet eight where all hold, or one: else eager raises."""

    def fn(x: Tensor) -> Any:
        return x[x > 0] * torch.arange(ELEMENTS)

    torch.manual_seed(0)
    converted = bifront.function(fn)
    for count in (8, 8, 8, 1, 3, 8, 1, 0, 8):
        x = vector(count)
        assert_same_value(outcome(converted, x), outcome(fn, x), f"{count} hold")


def test_a_mask_that_changes_selects_anew() -> None:
    def fn(x: Tensor) -> Any:
        mask = x > 0
        before = x[mask]
        mask[0] = True
        mask &= x > -0.5
        return before, x[mask], x[mask].numel() - before.numel()

    run(fn, ALL)


def test_equal_masks_that_part() -> None:
    def fn(x: Tensor) -> Any:
        first, second = x > 0, x > 0
        second[:2] = True
        third = x > 0
        third[2:] = False
        return x[first], x[second], x[third], x[first].shape[0] == x[second].shape[0]

    run(fn, ALL - 8)


def test_a_mask_that_is_written_behind_its_back() -> None:
    def fn(x: Tensor) -> Any:
        y, mask = x.clone(), x > 0
        before, first = x[mask], y[y > 0]
        mask.data[:4] = True
        y.data[4:] = 1
        after, second = x[mask], y[y > 0]
        return before.numel() == after.numel(), first.numel() == second.numel(), after, second

    run(fn, ALL - 8)


def test_a_mask_of_what_is_written() -> None:
    def fn(x: Tensor) -> Any:
        before = x[x > 0]
        x[:3] = 1
        after = x[x > 0]
        return before, after, before.numel() == after.numel()

    run(fn, ALL - 8)


def test_a_mask_that_a_loop_changes() -> None:
    """What was selected before has another size in the second iteration."""

    def fn(x: Tensor) -> Any:
        mask, total = x > 0, x.sum() * 0
        before = x[mask]
        while total < 1:
            some = x[mask]
            total = total + 1 if some.shape[0] == before.shape[0] else total + 0.25 + some.sum() * 0
            mask[2:] = False
            total = total - 0.5
            if total < -2:
                break
        return total, before

    torch.manual_seed(0)
    converted = bifront.function(fn)
    for count in HELD:
        x = vector(count)
        assert_same_value(converted(x.clone()), fn(x), f"{count} hold")


def test_a_size_below_zero() -> None:
    """The tensor that eager refuses to make is needed by nobody."""

    def fn(x: Tensor) -> Any:
        n = (x > 0).sum().item() - 2
        torch.zeros(n)
        return x * n, n >= 0

    run(fn, ALL - 8)


# ===- Gradients -----------------------------------------------------------------------------------


def weights(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape).requires_grad_()


def by_mask(x: Tensor, w: Tensor) -> Tensor:
    return ((x * w)[x > 0] ** 2).sum() + (w[x < 0] ** 3).mean().nan_to_num()


def by_number(x: Tensor, w: Tensor) -> Tensor:
    n = (x > 0).sum().item()
    parts = [w[:n] * 2, w[n:] ** 2, w.expand(n, ELEMENTS).sum(0), (w[:n] * torch.arange(n))]
    return torch.cat(parts).mean()


def by_assignment(x: Tensor, w: Tensor) -> Tensor:
    y, mask = (w * 1.5).clone(), x > 0
    y[mask] = w[mask] ** 2
    y[~mask] = 0.5
    return (y * x).sum()


def by_positions(x: Tensor, w: Tensor) -> Tensor:
    (positions,) = torch.where(x > 0)
    repeats = torch.repeat_interleave(w, (x.abs() * 3).long())
    return w[positions].exp().sum() + w.index_select(0, positions).sum() + repeats.pow(2).sum()


def through_layers(x: Tensor, w: Tensor) -> Tensor:
    rows = (w[:, None] * torch.arange(1.0, 4.0))[x > 0]
    hidden = F.layer_norm(rows @ rows.t() @ rows, (3,)).softmax(-1).log_softmax(0).tanh()
    flat = hidden.reshape(-1)
    return flat.pow(2).sum() + torch.stack([flat, flat]).sum() + torch.cat([flat, w]).sum()


def through_reductions(x: Tensor, w: Tensor) -> Tensor:
    kept = w[x > 0]
    some = kept.unsqueeze(1) * kept.unsqueeze(0)
    return (
        some.sum(0).norm()
        + kept.cumsum(0).sum()
        + F.mse_loss(kept, kept.detach() * 2, reduction="sum")
        + kept.sort().values.pow(3).sum()
    )


@pytest.mark.parametrize(
    "loss",
    [by_mask, by_number, by_assignment, by_positions, through_layers, through_reductions],
)
def test_gradients(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    w = weights(ELEMENTS)

    def fn(x: Tensor) -> Any:
        w.grad = None
        value = loss(x, w)
        value.backward()
        return value.detach(), w.grad

    run(fn, ALL - 6)  # some derivatives ask whether there are less than two elements


def test_gradients_of_as_many_as_there_are() -> None:
    w = weights(ELEMENTS)

    def fn(x: Tensor) -> Any:
        w.grad = None
        kept = (x * w)[x > 0]
        value = kept[:3].pow(2).sum() + (kept[-2:] * w[:1]).exp().sum()
        value.backward()
        return value.detach(), w.grad

    assert "AssertionFailed" not in run(fn, ALL).stats["exits"]


def test_results_that_train() -> None:
    w = weights(ELEMENTS)

    def fn(x: Tensor) -> Any:
        return (x * w)[x > 0], w[: (x > 0).sum().item()] * 2

    converted = bifront.function(fn)
    for number, count in enumerate(HELD):
        x = vector(count)
        gradients = []
        for step in (converted, fn):
            w.grad = None
            kept, rows = step(x)
            (kept.pow(2).sum() + (rows * torch.arange(count)).sum()).backward()
            gradients.append((kept.detach(), w.grad))
        assert_same_value(*gradients, f"call {number}")
    assert converted.stats["graph_calls"] >= ALL - 1, bifront.explain(converted)
