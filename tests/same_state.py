"""Runs functions on objects of their own, eager and converted, and compares all that is left."""

from __future__ import annotations

import collections
import copy
import types
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor


def same(actual: Any, expected: Any) -> None:
    """Equal nests, with the same objects in the same places."""
    pairs: dict[int, tuple[Any, Any]] = {}
    images: dict[int, Any] = {}

    def compare(a: Any, b: Any) -> None:
        assert type(a) is type(b), (a, b)
        if isinstance(a, (int, float, str, bytes, bool, type(None), type, torch.dtype)):
            assert repr(a) == repr(b)
            return
        if id(a) in pairs:
            assert pairs[id(a)][1] is b, "one object here, two there"
            return
        assert id(b) not in images, "two objects here, one there"
        pairs[id(a)] = (a, b)
        images[id(b)] = b
        if isinstance(a, Tensor):
            torch.testing.assert_close(a, b)
            return
        if isinstance(a, dict):
            attributes(a, b)
        elif isinstance(a, (list, tuple, collections.deque)):
            assert len(a) == len(b)
            for x, y in zip(a, b, strict=True):
                compare(x, y)
        elif isinstance(a, (set, frozenset)):
            assert a == b
        elif isinstance(a, BaseException):
            compare(a.args, b.args)
        elif isinstance(a, types.FunctionType):
            for x, y in zip(a.__closure__ or (), b.__closure__ or (), strict=True):
                compare(x.cell_contents, y.cell_contents)
            return
        for name in getattr(type(a), "__slots__", ()):
            assert hasattr(a, name) == hasattr(b, name)
            if hasattr(a, name):
                compare(getattr(a, name), getattr(b, name))
        attributes(getattr(a, "__dict__", {}), getattr(b, "__dict__", {}))

    def attributes(a: dict[Any, Any], b: dict[Any, Any]) -> None:
        assert list(a) == list(b)
        for key in a:
            compare(a[key], b[key])

    compare(actual, expected)


class Box:
    """An object of the program."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def check(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    calls: list[tuple[Any, ...]],
    *,
    between: Callable[[Any, int], None] = lambda state, call: None,
    graph_calls: int | None = None,
    max_graphs: int = 8,
) -> Any:
    """Run `make`'s function eager and converted on states of their own; compare after every call.

    `graph_calls`: how many calls a graph must have run at least; by default all but the first.
    """
    eager, eager_state = make()
    function, state = make()
    converted = bifront.function(function, max_graphs=max_graphs)
    for number, arguments in enumerate(calls):
        between(eager_state, number)
        between(state, number)
        expected_arguments, given = copy.deepcopy(arguments), copy.deepcopy(arguments)
        expected = eager(eager_state, *expected_arguments)
        actual = converted(state, *given)
        same([actual, state, given], [expected, eager_state, expected_arguments])
    stats = converted.stats
    needed = len(calls) - 1 if graph_calls is None else graph_calls
    assert stats["graph_calls"] >= needed, bifront.explain(converted)
    return converted


X = torch.tensor([1.0, 2.0, 3.0])


def several(count: int, *more: Any) -> list[tuple[Any, ...]]:
    return [(X + i, *more) for i in range(count)]
