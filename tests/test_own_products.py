"""Products of the executor's own (decision 033): weights that are packed once a run, and change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

Step = Callable[[nn.Module, torch.optim.Optimizer, Tensor], Tensor]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(96 + 64, 96)

    def forward(self, xs: Tensor) -> Tensor:
        h = torch.zeros(xs.shape[1], 96)
        for x in xs:
            h = torch.tanh(self.cell(torch.cat([h, x], dim=1)))
        return h.pow(2).mean()


def once(model: nn.Module, optimizer: torch.optim.Optimizer, xs: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss: Tensor = model(xs)
    loss.backward()
    optimizer.step()
    return loss.detach()


def twice(model: nn.Module, optimizer: torch.optim.Optimizer, xs: Tensor) -> Tensor:
    """The second half of the call multiplies by what the first half has written."""
    return once(model, optimizer, xs) + once(model, optimizer, xs)


def written_between(model: nn.Module, optimizer: torch.optim.Optimizer, xs: Tensor) -> Tensor:
    with torch.no_grad():
        before = model(xs)
        for parameter in model.parameters():
            parameter.mul_(1.5)
        between = model(xs)
        for parameter in model.parameters():
            parameter.div_(1.5)
    return before + between + once(model, optimizer, xs)


@pytest.mark.parametrize("lengths", [[4] * 6, [3, 5, 2, 7, 4, 6]], ids=["one", "many"])
@pytest.mark.parametrize("step", [once, twice, written_between])
def test_weights_that_change(step: Step, lengths: list[int]) -> None:
    torch.manual_seed(0)
    model = Recurrent()
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    twins = torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.9)
    converted: Any = bifront.function(step)
    for length in lengths:
        xs = torch.randn(length, 20, 64)
        torch.testing.assert_close(
            converted(model, optimizer, xs), step(twin, twins, xs), rtol=1e-4, atol=1e-6
        )
        for a, b in zip(model.parameters(), twin.parameters()):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    assert converted.stats["graph_calls"] > 0, bifront.explain(converted)


def test_weights_that_are_written_between_calls() -> None:
    torch.manual_seed(0)
    model = Recurrent()
    converted: Any = bifront.function(model.forward)
    xs = torch.randn(5, 20, 64)
    for call in range(6):
        with torch.no_grad():
            model.cell.weight.copy_(torch.randn(96, 160) * 0.1)
        if call == 3:
            model.cell.weight = nn.Parameter(torch.randn(96, 160) * 0.1)
        torch.testing.assert_close(converted(xs), model(xs), rtol=1e-4, atol=1e-6)
    assert converted.stats["graph_calls"] > 2, bifront.explain(converted)
