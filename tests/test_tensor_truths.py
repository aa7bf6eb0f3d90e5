"""torch.equal and torch.allclose decide in the graph."""

from __future__ import annotations

from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import same

A = torch.tensor([1.0, 2.0, 3.0])
NAN = torch.tensor([1.0, float("nan"), 3.0])
PAIRS = [(A, A + 1), (A, A.clone()), (A, A + 1e-7), (NAN, NAN.clone()), (NAN, A)]


@pytest.mark.parametrize("ask", ["equal", "allclose", "method", "nan", "is_nonzero"])
def test_decides_a_branch(ask: str) -> None:
    def agrees(a: Tensor, b: Tensor) -> bool:
        if ask == "equal":
            return torch.equal(a, b)
        if ask == "method":
            return a.equal(b) or not a.allclose(b)
        if ask == "is_nonzero":
            return torch.is_nonzero((a - b).sum())
        return torch.allclose(a, b, atol=1e-3, equal_nan=ask == "nan")

    def step(a: Tensor, b: Tensor) -> Any:
        a = a * 2
        return a + 1 if agrees(a, b * 2) else b - 1

    converted = bifront.function(step)
    for call in range(15):
        a, b = PAIRS[call % len(PAIRS)]
        torch.testing.assert_close(converted(a, b), step(a, b), equal_nan=True)
    stats = converted.stats
    assert stats["graphs"] == 1, bifront.explain(converted)
    assert stats["graph_calls"] >= 12


def test_is_a_result() -> None:
    def step(a: Tensor, b: Tensor) -> Any:
        return torch.equal(a * 1, b), torch.equal(a * 1, a[:2]), torch.allclose(a * 1, b)

    converted = bifront.function(step)
    for call in range(10):
        same(converted(*PAIRS[call % 3]), step(*PAIRS[call % 3]))
    assert converted.stats["graph_calls"] >= 8, bifront.explain(converted)


def test_ends_a_loop() -> None:
    def step(x: Tensor) -> Any:
        count = 0
        while True:
            smaller = (x / 2).floor()
            if torch.equal(smaller, x):
                return x, count
            x, count = smaller, count + 1

    converted = bifront.function(step)
    for call in range(12):
        x = torch.tensor([float(call), call * 3.0])
        same(converted(x), step(x))
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_other_dtypes_and_shapes() -> None:
    def step(a: Tensor, b: Tensor) -> Any:
        return torch.equal(a * 1, b), torch.equal(a + 0, b[:1])

    converted = bifront.function(step)
    for b in (A, A.double(), torch.ones(3, 1), torch.ones(1)) * 3:
        same(converted(A, b), step(A, b))
