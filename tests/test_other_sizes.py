"""Tensors that come to have other sizes, in any dimension, in a loop or on one way of a branch."""

from __future__ import annotations

from collections.abc import Callable

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.same_function import assert_same_value

CALLS = 14

Step = Callable[[Tensor, int, float], object]


def pooled(x: Tensor, place: int, ratio: float) -> Tensor:
    for number in range(3):
        x = x * 2
        if number == place:
            height, width = (max(1, round(size * ratio)) for size in x.shape[-2:])
            x = functional.adaptive_avg_pool2d(x, (height, width))
    return x


def cropped(x: Tensor, place: int, ratio: float) -> tuple[Tensor, int]:
    y = x + 1
    if place > 1:
        y = y[..., : 1 + place].clone()
    return y.sum(0), y.shape[-1]


def padded(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x * 2
    if place:
        y = functional.pad(y, (0, place, place, 0))
    return y.relu()


def halved(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x.abs() + 1
    while y.sum() > 3 * (place + 1) and y.shape[-1] > 1:
        y = functional.avg_pool2d(y, 2, ceil_mode=True)
    return y


def grown(x: Tensor, place: int, ratio: float) -> tuple[Tensor, Tensor]:
    y = x[..., :1] * 1
    while y.abs().sum() < 40 * ratio:
        y = torch.cat([y, y + 1], dim=-1)
    return y, y.mean()


def turned(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x + 1
    if place % 2:
        y = y.transpose(-1, -2).contiguous()
    return y * 2


def not_contiguous(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x + 1
    if place % 2:
        y = y.transpose(-1, -2)
    return y * 2


def other_dimensions(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x + 1
    if place % 2:
        y = y.sum(0)
    return y * 2


def written(x: Tensor, place: int, ratio: float) -> tuple[Tensor, Tensor]:
    y = x + 1
    z = y
    if place % 2:
        y = y[..., 1:].clone()
    y.mul_(2)
    return y, z


def the_same(x: Tensor, place: int, ratio: float) -> tuple[Tensor, Tensor, bool]:
    y = x + 1
    z = y
    if place % 2:
        y = functional.pad(y, (1, 1))
    return y, z, y is z


def nothing_left(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x + 1
    if place:
        y = y[..., place:].clone()
    return y * 3


def matched(x: Tensor, place: int, ratio: float) -> Tensor:
    y = x * 1
    if place > 1:
        y = y[..., :2].clone()
    return torch.einsum("nchw,ncvw->nhv", y, y) + y.shape[-1]


def broadcast(x: Tensor, place: int, ratio: float) -> Tensor:
    """With one column it is broadcast, with as many as `x` has it is not."""
    y = x * 2
    if place % 2:
        y = y.mean(-1, keepdim=True)
    return x + y


STEPS = [
    *(pooled, cropped, padded, halved, grown, turned, not_contiguous, other_dimensions, written),
    *(the_same, nothing_left, matched, broadcast),
]
IN_GRAPHS = {pooled, cropped, padded, turned, halved, matched, grown, nothing_left}
"""In at most this many: both ways are in one graph."""


@pytest.mark.parametrize("step", STEPS)
def test_as_in_eager(step: Step) -> None:
    torch.manual_seed(0)
    converted = bifront.function(lambda x, place, ratio: step(x, int(place), float(ratio)))
    for call in range(CALLS):
        x = torch.randn(2, 3, 4, 4)
        place, ratio = torch.randint(0, 4, ()), torch.rand((), dtype=torch.float64)
        expected = step(x.clone(), int(place), float(ratio))
        assert_same_value(converted(x, place, ratio), expected, f"call {call}")
    if step in IN_GRAPHS:
        assert converted.stats["graphs"] <= 2, bifront.explain(converted)
        assert converted.stats["fallback_calls"] <= 2, bifront.explain(converted)


@pytest.mark.parametrize("step", [pooled, cropped, padded, halved, turned, matched])
def test_gradients(step: Step) -> None:
    def training() -> tuple[nn.Module, Callable[..., Tensor]]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
        model.double()
        optimizer = torch.optim.SGD(model.parameters(), 0.05)

        def train(x: Tensor, place: Tensor, ratio: Tensor) -> Tensor:
            optimizer.zero_grad()
            out = step(model(x), int(place), float(ratio))
            loss = (out[0] if isinstance(out, tuple) else out).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return model, train

    (model, train), (other, eager) = training(), training()
    converted = bifront.function(train)
    torch.manual_seed(1)
    for call in range(CALLS):
        x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
        place, ratio = torch.randint(0, 4, ()), torch.rand((), dtype=torch.float64)
        assert_same_value(converted(x, place, ratio), eager(x, place, ratio), f"call {call}")
        assert_same_value(dict(model.state_dict()), dict(other.state_dict()), f"call {call}")
    assert converted.stats["graph_calls"] >= CALLS - 4, bifront.explain(converted)
