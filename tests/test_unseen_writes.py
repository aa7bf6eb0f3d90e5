"""Writes that autograd does not see: other contents, and the history that was there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

CALLS = 8

Step = Callable[[Tensor], Any]


def under_no_grad(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y.clamp_(max=1)
    return (y * y).sum()


def through_detach(x: Tensor) -> Tensor:
    y = x * 3
    y.detach().clamp_(max=1)
    return (y * y).sum()


def through_a_view(x: Tensor) -> Tensor:
    y = x * 3
    part = y[:2]
    with torch.no_grad():
        part.clamp_(max=1)
    return (y * y).sum() + (part**3).sum()


def of_a_base_with_views(x: Tensor) -> Tensor:
    y = x * 3
    rows, last = y.view(2, 2), y[-1]
    with torch.no_grad():
        y.mul_(torch.tensor([1.0, -1.0, 2.0, 0.5]))
    return (rows * rows).sum() + last * y[0]


def then_seen(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y.add_(1)
    y.mul_(x)
    return (y + y.detach()).sum()


def several_times(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y.add_(x)
        y.sub_(1).mul_(2)
    return (y**2).sum()


def of_an_operand_too(x: Tensor) -> Tensor:
    """What is written depends on x, and no gradient goes that way."""
    y = x * 3
    with torch.no_grad():
        y.copy_(x.exp())
    return (y * x).sum()


def in_an_unrolled_loop(x: Tensor) -> Tensor:
    h = x * 1
    for _ in range(3):
        h = h * x
        with torch.no_grad():
            h.clamp_(min=-0.5)
        h = h + 1
    return h.sum()


def in_a_loop_of_the_graph(x: Tensor) -> Tensor:
    h = x * 1
    while h.sum() < 6:
        h = h + x.abs()
        with torch.no_grad():
            h.clamp_(max=2.5)
        h = h + 0.1
    return (h * h).sum()


def in_a_branch(x: Tensor) -> Tensor:
    h = x * 2
    if h.sum() > 0:
        with torch.no_grad():
            h.mul_(2)
    return (h * h).sum()


def cosine_similarity(x: Tensor) -> Tensor:
    return functional.cosine_similarity(x[None], x[None] * 2 + 1).sum()


def gaussian_loss(x: Tensor) -> Tensor:
    return functional.gaussian_nll_loss(x, x.detach() + 1, (x * x).exp())


def twice_differentiated(x: Tensor) -> Tensor:
    y = x * x
    with torch.no_grad():
        y.clamp_(max=1)
    (g,) = torch.autograd.grad((y * x).sum(), x, create_graph=True)
    return (g * g).sum()


@pytest.mark.parametrize(
    "loss",
    [
        under_no_grad,
        through_detach,
        through_a_view,
        of_a_base_with_views,
        then_seen,
        several_times,
        of_an_operand_too,
        in_an_unrolled_loop,
        in_a_loop_of_the_graph,
        in_a_branch,
        cosine_similarity,
        gaussian_loss,
        twice_differentiated,
    ],
)
def test_as_in_eager(loss: Step) -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        value = loss(x)
        return value.detach(), torch.autograd.grad(value, x)[0]

    converted = bifront.function(step)
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4, dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(converted(x), step(x))
    assert converted.stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)


def reads_what_was_saved(x: Tensor) -> Tensor:
    y = x.exp()
    with torch.no_grad():
        y.mul_(2)
    return y.sum()


def reads_what_was_saved_of_a_view(x: Tensor) -> Tensor:
    y = x * 3
    z = y * y
    y[:1].detach().zero_()
    return z.sum()


@pytest.mark.parametrize("loss", [reads_what_was_saved, reads_what_was_saved_of_a_view])
def test_what_eager_refuses(loss: Step) -> None:
    def step(x: Tensor) -> Tensor:
        return torch.autograd.grad(loss(x), x)[0]

    converted = bifront.function(step)
    for _ in range(4):
        for function in (step, converted):
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                function(torch.randn(4, requires_grad=True))


def test_training_with_clipped_activations() -> None:
    def training() -> tuple[nn.Module, Step]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)).double()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

        def step(x: Tensor) -> Tensor:
            optimizer.zero_grad()
            hidden = model[0](x)
            with torch.no_grad():
                hidden.clamp_(-1, 1)
            loss = -functional.cosine_similarity(model[1](hidden), x.roll(1, 1)).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return model, step

    (expected, eager), (found, plain) = training(), training()
    converted = bifront.function(plain)
    for call in range(10):
        x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(call))
        torch.testing.assert_close(converted(x), eager(x))
    for p, q in zip(expected.parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(q, p)
    assert converted.stats["graph_calls"] >= 8, bifront.explain(converted)
