"""Tensors of what an array of bools selects of numpy's arrays: as many rows as there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.same_function import assert_same_value

CALLS = 8
Step = Callable[[Tensor], Any]


def check(step: Step, *, graphs: int = 2, fallbacks: int = 2) -> Any:
    """Calls in which none to all of five are selected; both sides give the same."""
    converted = bifront.function(step)
    for call, count in enumerate([3, 2, 4, 1, 0, 5, 3, 0][:CALLS]):
        x = torch.arange(10.0).view(5, 2) + call
        x[:, 0] = torch.tensor([float((n * 2 + call) % 5 < count) for n in range(5)])
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(x.clone()))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert stats["graphs"] <= graphs, bifront.explain(converted)
    assert stats["graphs"] or fallbacks == CALLS, bifront.explain(converted)
    return converted


def chosen(x: Tensor) -> Tensor:
    a = x.numpy() * 2
    return torch.from_numpy(a[a[:, 0] > 0]) * 3


def chosen_numbers(x: Tensor) -> Tensor:
    a = x.numpy() + 1
    return torch.as_tensor(a[a > 3]).sum() + torch.tensor(a[a > 4]).cos().sum()


def with_a_tensors_mask(x: Tensor) -> Any:
    mask = x.numpy()[:, 0] > 0
    values = np.arange(15.0).reshape(5, 3)
    here = x[torch.from_numpy(mask)]
    there = torch.from_numpy(values[mask]).to(x)
    return functional.mse_loss(here, there[:, 1:], reduction="sum"), here * there[:, :2]


def of_another_type(x: Tensor) -> Any:
    mask = x.numpy()[:, 0] > 0
    here = x[torch.from_numpy(mask)]
    there = torch.from_numpy(np.arange(5)[mask].astype(np.float32).copy())
    return here[:, 1] + there


def of_two_dimensions(x: Tensor) -> Any:
    mask = x.numpy() > 2
    values = np.arange(30.0).reshape(5, 2, 3)
    here = x[torch.from_numpy(mask)]
    return here[:, None] * torch.from_numpy(values[mask]).to(x)


@pytest.mark.parametrize(
    "step", [chosen, chosen_numbers, with_a_tensors_mask, of_another_type, of_two_dimensions]
)
def test_any_number_is_of_one_graph(step: Step) -> None:
    check(step)


def test_the_mask_comes_to_select_others() -> None:
    """Between the two it is written: they have as many rows only by chance."""

    def step(x: Tensor) -> Any:
        mask = x.numpy()[:, 0] > 0
        values = np.arange(5.0)
        here = x[torch.from_numpy(mask.copy())][:, 1]
        shared = x[torch.from_numpy(mask)][:, 1]
        mask[int(x[2, 0].item())] = True
        there = torch.from_numpy(values[mask]).to(x)
        return here.sum(), shared.sum(), there, there.shape[0] == here.shape[0]

    check(step, graphs=8, fallbacks=CALLS)


def test_rows_that_do_not_fit_raise() -> None:
    def step(x: Tensor) -> Any:
        mask = x.numpy()[:, 0] > 0
        here = x[torch.from_numpy(mask)]
        return here * torch.from_numpy(np.ones((5, 2))[~mask]).to(x)

    check(step, graphs=8, fallbacks=CALLS)


def test_gradients_of_what_fits() -> None:
    weight = torch.ones(2, requires_grad=True)

    def step(x: Tensor) -> Any:
        weight.grad = None
        mask = x.numpy()[:, 0] > 0
        here = (x * weight)[torch.from_numpy(mask)]
        wanted = torch.from_numpy(np.arange(10.0).reshape(5, 2)[mask]).to(x)
        loss = functional.binary_cross_entropy_with_logits(here, wanted, reduction="sum")
        loss.backward()
        return loss.detach(), weight.grad.clone()  # type: ignore[union-attr]

    check(step)
