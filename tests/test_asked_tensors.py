"""A tensor from outside that the program asks for its size, dtype, ... and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.test_paths import Two

CALLS = 4


class Holder:
    def __init__(self) -> None:
        self.tensor = nn.Parameter(torch.ones(2))


def rows(holder: Holder) -> int:
    return holder.tensor.shape[0]


def become_a_result(holder: Holder) -> None:
    holder.tensor.requires_grad_(False)
    holder.tensor += torch.ones(2, requires_grad=True)


def give(value: Tensor) -> Callable[[Holder], None]:
    def change(holder: Holder) -> None:
        holder.tensor.data = value.clone(memory_format=torch.preserve_format)

    return change


def every_second(holder: Holder) -> None:
    holder.tensor.data = torch.ones(4)[::2]


def freeze(holder: Holder) -> None:
    holder.tensor.requires_grad_(False)


QUESTIONS: dict[str, tuple[Callable[[Holder], bool], Callable[[Holder], None]]] = {
    "requires_grad": (lambda h: h.tensor.requires_grad, freeze),
    "dtype": (lambda h: h.tensor.dtype == torch.float32, give(torch.ones(2).double())),
    "is_floating_point": (
        lambda h: torch.is_floating_point(h.tensor),
        lambda h: (freeze(h), give(torch.ones(2, dtype=torch.int32))(h))[1],
    ),
    "shape": (lambda h: h.tensor.shape[0] == 2, give(torch.ones(3))),
    "size": (lambda h: h.tensor.size(0) == 2, give(torch.ones(3))),
    "getattr": (lambda h: getattr(h.tensor, "shape")[0] == 2, give(torch.ones(3))),
    "numel": (lambda h: torch.numel(h.tensor) == 2, give(torch.ones(3))),
    "len": (lambda h: len(h.tensor) == 2, give(torch.ones(3))),
    "dim": (lambda h: h.tensor.dim() == 1, give(torch.ones(2, 2))),
    "is_contiguous": (lambda h: h.tensor.is_contiguous(), every_second),
    "stride": (lambda h: h.tensor.stride(0) == 1, every_second),
    "is_leaf": (lambda h: h.tensor.is_leaf, become_a_result),
    "grad_fn": (lambda h: h.tensor.grad_fn is None, become_a_result),
    "a function": (lambda h: rows(h) == 2, give(torch.ones(3))),
    "of its data": (lambda h: h.tensor.data.shape[0] == 2, give(torch.ones(3))),
    "sorted": (
        lambda h: sorted([h.tensor, h.tensor], key=len)[0].dim() == 1,
        give(torch.ones(2, 2)),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_answer_changes(name: str) -> None:
    asks, change = QUESTIONS[name]

    def make() -> tuple[Callable[..., Any], Any]:
        holder = Holder()

        def step(x: Tensor) -> Tensor:
            return x + 1 if asks(holder) else x - 1

        return step, holder

    two = Two(make)
    for call in range(CALLS):
        two.call(call, torch.ones(3))
    assert two.stats["graph_calls"] == CALLS - 1
    for state in (two.state, two.converted_state):
        change(state)
    for call in range(CALLS):
        two.call(call, torch.ones(3))
    assert "TensorMismatch" in two.stats["exits"], two.stats
    assert two.stats["graph_calls"] > CALLS - 1


def inferred() -> Tensor:
    with torch.inference_mode():
        return torch.ones(2)


def retaining() -> Tensor:
    row = torch.ones(2, requires_grad=True) * 1
    row.retain_grad()
    return row


def hooked() -> Tensor:
    row = torch.ones(2, requires_grad=True)
    row.register_hook(lambda gradient: gradient)
    return row


HISTORIES: dict[str, tuple[Callable[[Tensor], Any], Callable[[], Tensor], Callable[[], Tensor]]] = {
    "is_view": (Tensor._is_view, lambda: torch.ones(2), lambda: torch.ones(3)[:2]),
    "base": (lambda x: x._base is None, lambda: torch.ones(2), lambda: torch.ones(3)[:2]),
    "output_nr": (
        lambda x: x.output_nr == 1,
        lambda: torch.ones(2, requires_grad=True) * 1,
        lambda: torch.ones(4, requires_grad=True).split(2)[1],
    ),
    "is_inference": (Tensor.is_inference, lambda: torch.ones(2), inferred),
    "retains_grad": (
        lambda x: x.retains_grad,
        lambda: torch.ones(2, requires_grad=True) * 1,
        retaining,
    ),
    "hooks": (
        lambda x: bool(x._backward_hooks),
        lambda: torch.ones(2, requires_grad=True),
        hooked,
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_what_a_tensor_was_made_of(name: str) -> None:
    ask, *makers = HISTORIES[name]
    two = Two(lambda: (lambda row: row.detach() + 1 if ask(row) else row.detach() - 1, None))
    results = []
    for call in range(2 * CALLS):
        row = makers[call // CALLS]()
        results.append(two.eager(row))
        assert torch.equal(two.converted(row), results[-1])
    assert not torch.equal(results[0], results[-1])


def test_the_version_counts_what_graphs_do_not() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        holder = Holder()

        def step(x: Tensor) -> Tensor:
            with torch.no_grad():
                holder.tensor += 1
            return x + holder.tensor._version

        return step, holder

    two = Two(make)
    for call in range(CALLS):
        two.call(call, torch.ones(3))


def test_gradients_are_asked_and_not_used() -> None:
    """The tensor asked is another one in each call."""

    def make() -> tuple[Callable[..., Any], Any]:
        holder = Holder()

        def step(x: Tensor) -> Any:
            seen = None if holder.tensor.grad is None else holder.tensor.grad.dtype
            holder.tensor.grad = None
            (x.sum() * holder.tensor.sum()).backward()
            return seen

        return step, holder

    two = Two(make)
    for call in range(2 * CALLS):
        two.call(call, torch.ones(3))
    assert two.stats["graph_calls"] >= CALLS
