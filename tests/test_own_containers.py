"""Containers with methods of the program's own: what is put back and compared is what they hold."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.same_state import Box, check, several


class OwnList(list[Any]):
    def __iter__(self) -> Any:
        for item in list.__iter__(self):
            yield item * 2

    def __getitem__(self, index: Any) -> Any:
        return list.__getitem__(self, index) + 1

    def extend(self, items: Any) -> None:
        raise AssertionError


class OwnDict(dict[Any, Any]):
    def __iter__(self) -> Any:
        return iter(["none"])

    def keys(self) -> Any:
        return ["none"]

    def __getitem__(self, key: Any) -> Any:
        return 0

    def update(self, *more: Any) -> None:
        raise AssertionError


class OwnOrdered(OrderedDict[Any, Any]):
    def __init__(self, items: Any, *, named: str = "") -> None:
        OrderedDict.__init__(self, items)

    def __setitem__(self, key: Any, value: Any) -> None:
        OrderedDict.__setitem__(self, key, value + 1)

    def copy(self) -> Any:
        raise AssertionError

    def clear(self) -> None:
        raise AssertionError


class OwnDeque(deque[Any]):
    def __iter__(self) -> Any:
        for item in deque.__iter__(self):
            yield item * 2

    def clear(self) -> None:
        raise AssertionError

    def extend(self, items: Any) -> None:
        raise AssertionError


class OwnSet(set[Any]):
    def __iter__(self) -> Any:
        return iter([])

    def update(self, *more: Any) -> None:
        raise AssertionError


def adds_to_list(state: Any, x: Tensor) -> Any:
    state.held.append(float(len(state.held)))
    return max(state.held) * x, list(state.held), state.held[0]


def adds_to_dict(state: Any, x: Tensor) -> Any:
    dict.__setitem__(state.held, len(state.held), 1.5)
    return x * len(state.held), list(dict.items(state.held))


def adds_to_ordered(state: Any, x: Tensor) -> Any:
    state.held[len(state.held)] = 1.5
    state.held.move_to_end(0)
    return x * state.held[0], list(state.held.items())


def adds_to_deque(state: Any, x: Tensor) -> Any:
    state.held.append(1.5)
    state.held.rotate(1)
    return x * state.held[0], list(state.held)


def adds_to_set(state: Any, x: Tensor) -> Any:
    state.held.add(len(state.held))
    state.held.discard(0)
    return x * len(state.held), 1 in state.held


@pytest.mark.parametrize(
    ("function", "made"),
    [
        (adds_to_list, lambda: OwnList([1.0, 2.0])),
        (adds_to_dict, lambda: OwnDict({0: 1.0, 1: 2.0})),
        (adds_to_ordered, lambda: OwnOrdered([(0, 1.0), (1, 2.0)])),
        (adds_to_deque, lambda: OwnDeque([1.0, 2.0])),
        (adds_to_set, lambda: OwnSet([0, 5])),
    ],
)
def test_what_they_hold(function: Any, made: Any) -> None:
    def contents(held: Any) -> Any:
        plain = next(t for t in (OrderedDict, dict, list, deque, set) if isinstance(held, t))
        if issubclass(plain, dict):
            return list(plain.items(held))
        return list(plain.__iter__(held))

    boxes: list[Box] = []

    def make() -> Any:
        boxes.append(Box(held=made()))
        return function, boxes[-1]

    def same_contents(state: Box, call: int) -> None:
        assert contents(boxes[0].held) == contents(boxes[1].held)

    check(make, several(7), between=same_contents, graph_calls=0)


def test_a_dict_is_full_or_empty() -> None:
    """What is under its first key says that it is not empty, whatever else it holds."""

    def function(state: Any, x: Tensor) -> Any:
        return x * 2 if state.held else x

    def between(state: Any, call: int) -> None:
        state.held[call] = call
        if call in (5, 8):
            state.held.clear()
        if call == 7:
            del state.held[6]

    converted = check(
        lambda: (function, Box(held={"first": 1})), several(12), between=between, graph_calls=6
    )
    assert converted.stats["forms"] <= 5


def test_a_dict_is_emptied_by_the_call() -> None:
    def function(state: Any, x: Tensor) -> Any:
        before = bool(state.held)
        state.held.pop("a", None)
        between = bool(state.held)
        state.held["b"] = x.sum()
        return before, between, bool(state.held)

    def between(state: Any, call: int) -> None:
        if call % 3 == 0:
            state.held = {"a": 1}
        if call % 3 == 1:
            state.held = {"c": torch.ones(1), "a": 2}

    check(lambda: (function, Box(held={})), several(12), between=between, graph_calls=0)
