"""Images that are made larger or smaller, whose sizes differ from call to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.same_function import assert_same_value

SIZES = [8, 12, 10, 8, 14, 9, 12, 10]
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}
WAYS: dict[str, Callable[[Tensor], dict[str, Any]]] = {
    "twice": lambda image: {"scale_factor": 2},
    "by factors": lambda image: {"scale_factor": (1.5, 0.7, 2.0)[: image.dim() - 2]},
    "size": lambda image: {"size": [2 * size + 1 for size in image.shape[2:]]},
    "square": lambda image: {"size": image.shape[2] + 1},
    "fixed": lambda image: {"size": 6},
    "recomputed": lambda image: {"scale_factor": 0.6, "recompute_scale_factor": True},
}
CASES = [
    pytest.param(rank, {"mode": mode}, WAYS[way], id=f"{mode}-{rank}-{way}")
    for rank, modes in MODES.items()
    for mode in modes
    for way in WAYS
]
CASES += [
    pytest.param(2, {"mode": mode, option: True}, WAYS["twice"], id=f"{mode}-{option}")
    for mode in ("bilinear", "bicubic")
    for option in ("align_corners", "antialias")
]


@pytest.mark.parametrize(("rank", "options", "way"), CASES)
def test_as_in_eager(rank: int, options: dict[str, Any], way: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    convolution = CONVOLUTIONS[rank](2, 3, 3, padding=1)

    def step(image: Tensor) -> tuple[Tensor, torch.Size]:
        convolution.zero_grad()
        y = convolution(image)
        larger = functional.interpolate(y, **way(y), **options)
        larger.square().mean().backward()
        return larger.detach(), larger.shape

    converted = bifront.function(step)
    for number, size in enumerate(SIZES):
        image = torch.rand(2, 2, *(size + d for d in range(rank)))
        expected, gradient = step(image), convolution.weight.grad
        assert_same_value(expected, converted(image), f"call {number}")
        assert_same_value(gradient, convolution.weight.grad, f"gradient of call {number}")
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["fallback_calls"] == 0, bifront.explain(converted)


def test_sizes_that_the_run_decides() -> None:
    def step(image: Tensor, places: Tensor) -> Tensor:
        rows = int(places.sum())
        return functional.interpolate(image, size=(rows, rows + 1), mode="bilinear") * 2

    converted = bifront.function(step)
    image = torch.rand(1, 2, 5, 6)
    for number in (3, 4, 9, 3, 6, 2, 7):
        places = torch.arange(10) < number
        assert_same_value(step(image, places), converted(image, places), f"{number} rows")


def test_what_eager_refuses() -> None:
    def step(image: Tensor, size: int) -> Tensor:
        return functional.interpolate(image * 2, size=(image.shape[2], size))

    converted = bifront.function(step)
    for number in (4, 5, 6):
        image = torch.rand(1, 2, number, 6)
        assert_same_value(step(image, number), converted(image, number), f"size {number}")
    for function in (step, converted):
        with pytest.raises(RuntimeError, match="should be greater than"):
            function(torch.rand(1, 2, 4, 6), 0)
