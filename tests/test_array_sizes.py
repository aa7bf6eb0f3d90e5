"""Arrays of numpy that have the sizes of a tensor, which differ from call to call."""

from __future__ import annotations

from collections.abc import Callable

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

SIZES = [3, 5, 4, 4, 7, 3, 2, 5, 6, 4, 8, 3]

Step = Callable[[Tensor, int], object]


def mask_of_its_shape(x: Tensor, place: int) -> object:
    found = np.zeros(tuple(x.shape), dtype=bool)
    found[0, place % found.shape[-1]] = True
    mask = torch.from_numpy(found)
    return x[mask].sum(), torch.zeros_like(x[~mask]).shape, mask


def shape_itself(x: Tensor, place: int) -> object:
    weights = np.ones(x.shape)
    return torch.from_numpy(weights).to(x) * x, weights.shape


def more_dimensions(x: Tensor, place: int) -> object:
    targets = np.zeros((*x.shape, 4))
    found = np.zeros(shape=tuple(x.shape), dtype=bool)
    found[1, 0] = found[0, place % x.shape[1]] = True
    targets[1, 0] = 2.0
    chosen = torch.from_numpy(targets[found]).to(x)
    return x[torch.from_numpy(found)].sum() + chosen.sum(), chosen.shape


def one_size(x: Tensor, place: int) -> object:
    row = np.full(x.shape[1], float(place))
    return x + torch.from_numpy(row).float(), row.shape[0] * 2


def kept_by_others(x: Tensor, place: int) -> object:
    first = np.zeros((x.shape[0], x.shape[1] + 1), dtype=np.int64)
    first[0, 0] = place
    second = np.ones_like(first).astype(np.float32)
    third = ~(first.copy() > 0)
    return torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(third), third.shape


def fortran_order(x: Tensor, place: int) -> object:
    array = np.zeros(x.shape, order="F")
    array[0] = place
    return torch.from_numpy(array) + x


def other_order(x: Tensor, place: int) -> object:
    array = np.zeros((x.shape[1], x.shape[0])).T.copy()
    array[0, 0] = place
    return torch.from_numpy(array) + x, array.shape


def one_of_two(x: Tensor, place: int) -> object:
    if x.sum() > 0:
        array = np.zeros((x.shape[1], 2))
    else:
        array = np.zeros((2, x.shape[1]))
    array[0, 1] = place
    return torch.from_numpy(array).sum(), array.shape[0], array.size


def replaced_in_a_loop(x: Tensor, place: int) -> object:
    array = np.zeros(x.shape[1])
    total = x.sum()
    while total < 40:
        array = np.concatenate([array, array + 1])
        total = total + 20
    return array.shape[0], total, float(array.sum())


def longer_each_time(x: Tensor, place: int) -> object:
    sums = []
    for _ in range(3):
        array = np.zeros((x.shape[1], place % 3 + 1))
        array[0] = len(sums) + 1
        sums.append(torch.from_numpy(array).sum())
    return sums


def new_shape(x: Tensor, place: int) -> object:
    array = np.zeros((x.shape[1], 2))
    array[0, 0] = place
    array = array.reshape(2, -1)
    return array.shape, torch.from_numpy(array) * x.sum()


def filled(size: int, depth: int) -> np.ndarray:
    if depth == 0:
        return np.zeros((size, 2))
    array = filled(size + 1, depth - 1)
    array[0] += depth
    return array


def by_a_function(x: Tensor, place: int) -> object:
    array = filled(x.shape[1], place % 3)
    return array.shape, torch.from_numpy(array).sum()


STEPS = [
    mask_of_its_shape,
    shape_itself,
    more_dimensions,
    one_size,
    kept_by_others,
    fortran_order,
    other_order,
    one_of_two,
    replaced_in_a_loop,
    longer_each_time,
    new_shape,
    by_a_function,
]
IN_ONE_GRAPH = STEPS[:5]


def arguments(number: int, size: int) -> tuple[Tensor, int]:
    return torch.randn(2, size, generator=torch.Generator().manual_seed(number)), number


@pytest.mark.parametrize("step", STEPS)
def test_as_in_eager(step: Step) -> None:
    converted = bifront.function(step)
    for number, size in enumerate(SIZES):
        given = arguments(number, size)
        assert_same_value(step(*given), converted(*given), f"call {number}")
    if step in IN_ONE_GRAPH:
        assert converted.stats["graphs"] == 1, bifront.explain(converted)
        assert converted.stats["fallback_calls"] == 0, bifront.explain(converted)


def test_gradients() -> None:
    weight = torch.randn(2, 1, requires_grad=True)

    def step(x: Tensor) -> Tensor:
        weight.grad = None
        y = x * weight
        found = np.zeros(tuple(y.shape), dtype=bool)
        found[1, x.shape[1] // 2] = True
        mask = torch.from_numpy(found)
        loss = y[mask].square().sum() + y[~mask].mean()
        loss.backward()
        return loss.detach()

    converted = bifront.function(step)
    for number, size in enumerate(SIZES):
        x, _ = arguments(number, size)
        expected, gradient = step(x), weight.grad
        assert_same_value(expected, converted(x), f"call {number}")
        assert_same_value(gradient, weight.grad, f"call {number}")
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
