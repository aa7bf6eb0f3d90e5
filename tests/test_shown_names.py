"""locals(), vars() and dir() of a function, as CPython has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor


def plain(x: Tensor, n: int = 2, *more: int, named: str = "a", **rest: Any) -> Any:
    scale = n + 1
    return list(locals()), x * locals()["scale"]


def with_cells(x: Tensor, n: int = 2) -> Any:
    first = 1

    def inner() -> int:
        return n + first

    later = inner()
    return list(locals().items())[1:4:2], sorted(vars()), later * x


def unbound_names(x: Tensor) -> Any:
    before = list(locals())
    late = 1
    between = dict(locals())
    del late
    behind = dir()
    return before, between["late"], behind, x * 1


def one_dict_or_two(x: Tensor) -> Any:
    first = locals()
    size = len(first)
    second = locals()
    return first is second, size, "size" in first, x * 2


def own_entries(x: Tensor) -> Any:
    names = locals()
    names["mine"] = 3
    again = locals()
    return "mine" in again, x * 2


def behind_a_comprehension(x: Tensor) -> Any:
    squares = [i * i for i in range(3)]
    names = list(locals())
    return names, x * sum(squares)


def in_a_comprehension(x: Tensor) -> Any:
    return [sorted(locals()) for i in range(2)], [sorted(vars()) for _ in x], x * 2


def in_a_branch(x: Tensor) -> Any:
    names = locals() if x.sum() > 0 else {}
    return sorted(names), x * 2


def in_a_loop(x: Tensor) -> Any:
    names = []
    for i in range(3):
        names.append(list(locals()))
        late = i
    return names, x * late


class Outer:
    def method(self, x: Tensor) -> Any:
        super().__init__()
        return list(locals()), x * 2


@pytest.mark.parametrize(
    "function",
    [
        plain,
        with_cells,
        unbound_names,
        one_dict_or_two,
        own_entries,
        behind_a_comprehension,
        in_a_comprehension,
        in_a_branch,
        in_a_loop,
        Outer().method,
    ],
)
def test_as_cpython(function: Callable[..., Any]) -> None:
    converted = bifront.function(function)
    for call in range(7):
        x = torch.arange(3.0 + call % 2) - 1.5 * (call % 2) * 2
        *expected, last = function(x)
        *actual, result = converted(x)
        assert str(actual) == str(expected)
        torch.testing.assert_close(result, last)


def test_is_in_the_graph() -> None:
    converted = bifront.function(plain)
    for call in range(5):
        converted(torch.ones(3), call)
    assert converted.stats["graph_calls"] == 4
    assert converted.stats["graphs"] == 1
