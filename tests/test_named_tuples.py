"""Named tuples among the arguments and behind them, their fields read by name."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import bifront
import torch
from torch import Tensor, nn

from tests.same_state import Box

Pair = collections.namedtuple("Pair", ["x", "y"])


class Batch(NamedTuple):
    x: Tensor
    y: Tensor
    scale: int = 3

    def total(self) -> Tensor:
        return self.x.sum() + self.scale


def same(actual: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return all(
        torch.equal(one, other) if isinstance(other, Tensor) else one == other
        for one, other in zip(actual, expected, strict=True)
    )


def test_a_step_takes_a_batch_by_name() -> None:
    torch.manual_seed(0)
    sides = [nn.Linear(3, 2), nn.Linear(3, 2)]
    sides[1].load_state_dict(sides[0].state_dict())

    def step(model: Any, batch: Any) -> Tensor:
        loss: Tensor = (model(batch.x) - batch.y).square().mean()
        loss.backward()
        return loss.detach()

    converted = bifront.function(step)
    for call in range(8):
        batch = Pair(torch.randn(4 + call % 3, 3), torch.randn(4 + call % 3, 2))
        torch.testing.assert_close(converted(sides[0], batch), step(sides[1], batch))
        for ours, theirs in zip(sides[0].parameters(), sides[1].parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
            ours.grad = theirs.grad = None
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 7, bifront.explain(converted)


def test_methods_and_fields_that_change() -> None:
    def function(batch: Batch) -> Any:
        doubled = batch._replace(x=batch.x * 2)
        return doubled.x * batch.scale + batch.total(), batch._asdict()["y"] * 1, batch._fields

    converted = bifront.function(function)
    for call in range(9):
        batch = Batch(torch.randn(4, 3), torch.randn(4, 2), call // 3)
        assert same(converted(batch), function(batch)), call
    assert converted.stats["graph_calls"] >= 6, bifront.explain(converted)


def test_one_behind_an_object_is_exchanged() -> None:
    box = Box(batch=Batch(torch.ones(2, 3), torch.ones(2, 2), 4))

    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (box.batch.x * x * box.batch.scale,)

    converted = bifront.function(function)
    for call in range(12):
        if call % 4 == 3:
            box.batch = Batch(torch.full((2, 3), float(call)), torch.ones(2, 2), call)
        x = torch.randn(2, 3)
        assert same(converted(x), function(x)), call
    assert converted.stats["graph_calls"] >= 6, bifront.explain(converted)
