"""Whether two runs of a program have ended in the same state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def difference(actual: Tensor, expected: Tensor) -> float:
    """Relative to the largest of the expected values; any at all is infinite where none may be."""
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return float("inf")
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        return 0.0 if torch.equal(actual, expected) else float("inf")
    if expected.numel() == 0:
        return 0.0
    actual, expected = actual.detach().double(), expected.detach().double()
    apart = (actual - expected).abs()
    apart[actual.isnan() & expected.isnan()] = 0
    found = float(apart.max() / expected.nan_to_num().abs().max().clamp(min=1e-6))
    return float("inf") if found != found else found


def _sizes_of_gradients(state: dict[str, Any]) -> dict[str, float]:
    return {
        name.removesuffix(".grad"): float(value.abs().max())
        for name, value in state.items()
        if name.endswith(".grad") and isinstance(value, Tensor) and value.numel() > 0
    }


def differences(
    actual: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-4
) -> Iterator[str]:
    """What differs by more, in words. Gradients and what optimizers make of them are sums of
    numbers that cancel: they may differ by ten times as much, and by the rounding of large ones.
    Parameters on which the loss does not depend, such as a bias of all keys of an attention, have
    gradients that are zero but for rounding, of which Adam makes steps as large as any."""
    sizes = _sizes_of_gradients(actual), _sizes_of_gradients(expected)
    rounding = 1e-7 * max((size for of in sizes for size in of.values()), default=0.0)
    free = set.intersection(*({name for name in of if of[name] < 10 * rounding} for of in sizes))
    for name in [*expected, *(name for name in actual if name not in expected)]:
        if name not in actual or name not in expected:
            yield f"{name} is {'missing' if name in expected else 'too much'}"
            continue
        found, wanted = actual[name], expected[name]
        if isinstance(found, Tensor) and isinstance(wanted, Tensor):
            loose = name.endswith(".grad") or ".state." in name
            apart = difference(found, wanted)
            if apart <= (10 * tolerance if loose else tolerance):
                continue
            by_rounding = (found.dtype, found.shape) == (wanted.dtype, wanted.shape) and (
                (name in free and bool(found.isfinite().all()))
                or (loose and float((found - wanted).abs().max()) <= rounding)
            )
            if not by_rounding:
                yield f"{name} differs by {apart:.1e}"
        elif isinstance(found, float) and isinstance(wanted, float):
            if not abs(found - wanted) <= tolerance * max(abs(wanted), 1e-6):
                yield f"{name} is {found}, not {wanted}"
        elif type(found) is not type(wanted) or found != wanted:
            yield f"{name} is {found!r}, not {wanted!r}"
