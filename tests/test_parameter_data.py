"""`.data` of a tensor from outside: its memory without its history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from tests.test_paths import Two

Step = Callable[..., Any]


def test_data_of_a_parameter() -> None:
    def make() -> tuple[Step, Any]:
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(3))

        def step(x: Tensor) -> Any:
            loss = (x * weight).sum()
            weight.grad = None
            loss.backward()
            weight.data.sub_(0.1 * cast(Tensor, weight.grad))
            weight.data[0] = 2
            return loss.detach(), weight.data.requires_grad, weight.data.sum()

        return step, weight

    two = Two(make)
    for call in range(8):
        two.call(call, torch.randn(2 + call % 2, 3))
    two.assert_one_graph(least=6)
