"""Functions of a graph that call each other 100,000 times, forward and backward."""

from __future__ import annotations

import resource
import sys
import threading
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

DEPTH = 100_000


class Link:
    def __init__(self, value: Tensor, rest: Link | None) -> None:
        self.value, self.rest = value, rest


def chain(length: int) -> Any:
    link = None
    for index in range(length):
        link = Link(torch.full((2,), 0.01 * (index % 7)), link)
    return link


def taken_apart(link: Any) -> None:
    """CPython frees nested objects on the C stack."""
    while link is not None:
        link.rest, link = None, link.rest


def folded() -> tuple[nn.Parameter, Any]:
    weight = nn.Parameter(torch.tensor([0.9, 0.1]))

    def fold(link: Any) -> Tensor:
        if link is None:
            return torch.zeros(2)
        return torch.tanh(fold(link.rest) * weight + link.value)

    def step(link: Any) -> Tensor:
        weight.grad = None
        loss = fold(link).sum()
        loss.backward()
        return loss.detach()

    return weight, step


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def deep_calls() -> None:
    weight, step = folded()
    converted = bifront.function(step)
    for length in (3, 5, 9, 4, 17, 33, 8):
        converted(chain(length))
    before, graphs = peak_mib(), converted.stats["graph_calls"]
    link = chain(DEPTH)
    loss = converted(link)
    slope = weight.grad
    assert peak_mib() - before < 400, "memory is not linear in the depth"
    assert converted.stats["graph_calls"] == graphs + 1, bifront.explain(converted)
    torch.testing.assert_close(loss, step(link))
    torch.testing.assert_close(slope, weight.grad)
    taken_apart(link)


@pytest.mark.parametrize("stack", [1 << 20, 8 << 20, 512 << 20])
def test_a_linked_list(stack: int) -> None:
    """CPython's own limit is the only one, whatever room there is on the C stack."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            deep_calls()
        except BaseException as error:
            raised.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size(stack)
    sys.setrecursionlimit(4 * DEPTH)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    for error in raised:
        raise error


def test_no_deeper_than_cpython() -> None:
    _, step = folded()
    converted = bifront.function(step)
    for length in (3, 5, 9, 4, 17, 33, 8):
        converted(chain(length))
    link = chain(2 * sys.getrecursionlimit())
    with pytest.raises(RecursionError):
        converted(link)
    taken_apart(link)
