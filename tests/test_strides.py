"""What leaves a graph lies in memory as eager lays it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value


def transposed_like(x: Tensor) -> Tensor:
    """The same numbers, the first dimension fastest."""
    return x.t().contiguous().t()


def copied_into_a_transposed_one(x: Tensor) -> Tensor:
    y = torch.empty(3, 2).t()
    y.copy_(x)
    return y


def copied_through_a_view(x: Tensor) -> Tensor:
    y = torch.zeros(3, 2)
    y.t().copy_(x)
    return y


def copied_into_strides(x: Tensor) -> Tensor:
    y = torch.empty_strided((2, 3), (1, 2))
    y.copy_(x)
    return y


def filled_and_added_to(x: Tensor) -> Tensor:
    y = torch.empty_strided((2, 3), (1, 2))
    y.fill_(0)
    y += x
    return y


def item_assignment_of_another_order(x: Tensor) -> Tensor:
    y = torch.zeros(2, 3)
    y[:] = transposed_like(x)
    return y


def sum_of_another_order(x: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.zeros(2, 3)
    y += transposed_like(x)
    return y, y * 2


def kept_in_channels_last(x: Tensor) -> Tensor:
    y = torch.zeros(1, 2, 3, 4).to(memory_format=torch.channels_last)
    y.copy_(x.sum() + torch.ones(1, 2, 3, 4))
    return y


def a_view_beside_it(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    return y, y.t()


@pytest.mark.parametrize(
    "function",
    [
        copied_into_a_transposed_one,
        copied_through_a_view,
        copied_into_strides,
        filled_and_added_to,
        item_assignment_of_another_order,
        sum_of_another_order,
        kept_in_channels_last,
        a_view_beside_it,
    ],
)
@pytest.mark.parametrize("lay", [torch.clone, transposed_like])
def test_results(function: Callable[[Tensor], Any], lay: Callable[[Tensor], Tensor]) -> None:
    converted = bifront.function(function)
    for call in range(4):
        x = lay(torch.arange(6.0).reshape(2, 3) + call)
        assert_same_value(converted(x), function(x), f"call {call}")
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)


def reshaped_loss(x: Tensor) -> Tensor:
    return x.permute(2, 0, 1).reshape(-1, x.size(0)).sin().sum()


def looped_loss(x: Tensor) -> Tensor:
    h = torch.zeros(2, 3)
    for _ in range(int(x.detach().abs().sum()) % 3 + 2):
        h = torch.tanh(h + x[..., 0].t().contiguous().t())
    return h.sum()


def copied_loss(x: Tensor) -> Tensor:
    return (x.contiguous() + 1).sin().sum()


def loss_of_a_branch(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x.permute(2, 0, 1).reshape(-1).cos().sum()
    return x.transpose(0, 1).contiguous().exp().sum()


@pytest.mark.parametrize("loss_of", [reshaped_loss, copied_loss, looped_loss, loss_of_a_branch])
def test_gradients(loss_of: Callable[[Tensor], Tensor]) -> None:
    def step(x: Tensor) -> Tensor:
        loss = loss_of(x)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    converted = bifront.function(step)
    for call in range(8):
        torch.manual_seed(call)
        x = torch.randn(2, 3, 4).abs() * (1 if call % 3 else -1)
        x = x if call % 2 else x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        assert_same_value(converted(mine), step(other), f"call {call}")
        assert_same_value(mine, other, f"call {call}: argument")
    assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)


def test_gradients_of_a_branch_are_tensors_of_their_own() -> None:
    def step(a: Tensor, b: Tensor) -> Tensor:
        if a.sum() > 0:
            out = a + b if b[0] > a[0] else a * b
        else:
            out = a - b
        loss = out.sin().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    converted = bifront.function(step)
    for call in range(12):
        torch.manual_seed(call)
        a, b = (torch.randn(3, requires_grad=True) for _ in range(2))
        converted(a, b)
        assert a.grad is not None and b.grad is not None
        assert a.grad is not b.grad
        assert a.grad.data_ptr() != b.grad.data_ptr()
    assert converted.stats["graph_calls"] >= 6, bifront.explain(converted)
