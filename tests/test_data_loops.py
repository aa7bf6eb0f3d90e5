"""Loops over what tensors hold, as detectors and decoders have them: items by indices that are
tensors, lists of numbers of a tensor, min() and max() of numbers that only the run knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from programs.terra.boxes import suppress
from programs.terra.faster_rcnn.model import pool_regions
from programs.terra.faster_rcnn.train import label_anchors
from tests.same_state import Box, check
from tests.test_growing_lists import compare


def boxes(count: int, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    corner = torch.rand(count, 2) * 40
    return torch.cat([corner, corner + torch.rand(count, 2) * 20 + 2], dim=1)


def of_counts(make: Callable[[int, int], Sequence[Any]], counts: Sequence[int]) -> list[Any]:
    return [make(count, number) for number, count in enumerate(counts)]


# ===- Indices that are tensors ---------------------------------------------------------------===


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x[i],
        lambda x, i: x[i, 1:],
        lambda x, i: x[..., i],
        lambda x, i: x[None, :, i] + x[-1, i],
        lambda x, i: x[i][i],
        lambda x, i: x[i.int()] + x[i.short()],
    ],
)
def test_an_index_of_no_dimension(use: Callable[..., Any]) -> None:
    calls = [(torch.randn(4, 4), torch.tensor(i)) for i in (0, 2, -1, 3, -4, 1, 0, 2)]
    compare(use, calls)


def test_what_is_set_at_such_an_index() -> None:
    def step(x: Tensor, i: Tensor) -> Any:
        y = x.clone()
        y[i] = 3
        y[i, x[i].argmax()] = y.sum()
        return y

    compare(step, [(torch.randn(4, 4), torch.tensor(i)) for i in (0, 2, -1, 3, -4, 1, 0, 2)])


def test_an_index_that_is_out_of_range() -> None:
    calls = [(torch.randn(4), torch.tensor(i)) for i in (0, 2, 4, 3, -5, 1, 0, 2)]
    compare(lambda x, i: x[i] * 2, calls, graphs=None)


def test_masks_and_bytes_are_no_indices() -> None:
    calls = [(torch.randn(4), torch.tensor(i % 2)) for i in range(8)]
    compare(lambda x, i: (x[i.bool()], x[i > 0]), calls, graphs=None)


def test_gradients_through_such_an_index() -> None:
    def step(state: Any, x: Tensor, i: Tensor) -> Any:
        loss = (state.w[i] * x[i]).sum() + state.w[x[i].argmax()] ** 2
        state.w.grad = None
        loss.backward()
        return loss.detach()

    calls = [(torch.randn(4, 4), torch.tensor(i)) for i in (0, 2, 1, 3, 0, 1, 0, 2)]
    check(lambda: (step, Box(w=torch.ones(4, requires_grad=True))), calls)


# ===- Numbers --------------------------------------------------------------------------------===


@pytest.mark.parametrize("pick", [min, max])
@pytest.mark.parametrize("bound", [3, 2.5, 2**70, True, -0.0, math.inf])
def test_the_lesser_and_the_greater(pick: Callable[..., Any], bound: Any) -> None:
    def step(x: Tensor) -> Any:
        number = x.item()
        return pick(number, bound), pick(bound, number), pick(number, number * 2), x * 2

    values = [1.0, 4.0, 0.0, -2.0, 2.5, 3.0, -0.0, 7.0]
    compare(step, [(torch.tensor(v),) for v in values], graphs=None)
    compare(step, [(torch.tensor(int(v)),) for v in values], graphs=None)


def test_of_what_is_not_a_number() -> None:
    def step(x: Tensor) -> Any:
        chosen = min(x.item(), 1.0), min(1.0, x.item()), max(x.item(), 1.0), max(1.0, x.item())
        return f"{chosen[0]} {chosen[1]} {chosen[2]} {chosen[3]}"

    compare(step, [(torch.tensor(v),) for v in (2.0, 0.5, math.nan, 3.0, math.nan, 1.0)])


def test_as_many_as_there_are() -> None:
    def step(x: Tensor) -> Any:
        kept = x[x > 0]
        count = min(4, len(kept))
        return kept.topk(count).values.sum(), kept[:count] * 2

    made = [torch.randn(12) for _ in range(8)]
    compare(step, [(x,) for x in made], graphs=None)


def rows(x: Tensor) -> Any:
    parts = []
    for left, right in (x * 2).tolist():
        parts.append(torch.full((2,), left) - max(right, 0.5))
    return torch.stack(parts)


def written_meanwhile(x: Tensor) -> Any:
    y, total = x[:, 0].clone(), torch.zeros(())
    for number in y.tolist():
        y += 1
        total = total + number
    return total, y


def by_kind(x: Tensor) -> Any:
    total = torch.zeros(())
    for kind in (x[:, 0] > 0).tolist():
        total = total + (1.5 if kind else 2.5)
    return total


def counted(x: Tensor) -> Any:
    total = 0
    for number in (x[:, 0] * 3).long().tolist():
        total += number
        if total > 20:
            break
    return total, x


@pytest.mark.parametrize("step", [rows, written_meanwhile, by_kind, counted])
def test_lists_of_a_tensor(step: Callable[..., Any]) -> None:
    compare(step, of_counts(lambda n, _: (torch.randn(n, 2),), (5, 4, 7, 6, 3, 8, 5, 9)))


def test_a_list_of_numbers_is_returned() -> None:
    def step(x: Tensor) -> Any:
        return [number for number in x.long().tolist() if number > 0], [n * 2 for n in x.tolist()]

    compare(step, of_counts(lambda n, _: (torch.arange(n) - 1.0,), (5, 4, 5, 4, 5, 5)), graphs=None)


# ===- Detectors ------------------------------------------------------------------------------===


# Where more is suppressed at first, the loop is unrolled: a size that is less than two is a path.
@pytest.mark.parametrize(("threshold", "graphs"), [(0.7, 1), (0.3, None)])
def test_suppression(threshold: float, graphs: int | None) -> None:
    def make(count: int, seed: int) -> Any:
        return boxes(count, seed), torch.rand(count), threshold

    compare(suppress, of_counts(make, [10] * 8), graphs=graphs)


def test_labels_of_anchors() -> None:
    compare(label_anchors, of_counts(lambda n, seed: (boxes(30, seed), boxes(n)), [2, 3] * 4))


def test_pooled_regions() -> None:
    def step(features: Tensor, found: Tensor) -> Any:
        return pool_regions(features, found, 8, size=3)

    compare(step, of_counts(lambda n, seed: (torch.randn(3, 8, 8), boxes(n, seed)), [5, 4, 6] * 3))


def test_pooled_regions_train() -> None:
    def step(state: Any, found: Tensor) -> Any:
        loss = (pool_regions(state.features * 2, found, 8, size=3) ** 2).mean()
        state.features.grad = None
        loss.backward()
        return loss.detach()

    torch.manual_seed(0)
    features = torch.randn(3, 8, 8)
    converted = check(
        lambda: (step, Box(features=features.clone().requires_grad_())),
        of_counts(lambda n, seed: (boxes(n, seed),), [5, 4, 6] * 3),
    )
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


# ===- What many questions cost ---------------------------------------------------------------===


def test_many_questions_are_foreseen() -> None:
    """The first of them by parts of the graph, the rest as it is recorded."""

    def step(state: Any, x: Tensor) -> Any:
        total = 0
        for number in range(12):
            y = torch.nn.functional.dropout(x * number, 0.5)
            x.add_(1)
            if (y * state.w).sum() > number:
                total += 1
            loss = (state.w**2).sum()
            state.w.grad = None
            loss.backward()
            with torch.no_grad():
                state.w -= 0.01 * state.w.grad
        return total, y

    torch.manual_seed(0)
    made = [torch.randn(3) for _ in range(3)]
    eager, found = [], []
    for results, run in ((eager, step), (found, bifront.function(step))):
        torch.manual_seed(1)
        state = Box(w=torch.ones(3, requires_grad=True))
        results += [run(state, x.clone()) for x in made]
        results.append(state.w)
    for one, other in zip(found, eager, strict=True):
        torch.testing.assert_close(one, other)
