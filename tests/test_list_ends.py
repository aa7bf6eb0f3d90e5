"""Lists that grow from call to call: their length and their last items are inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.same_state import Box, X, check, several


def grows(function: Callable[..., Any], start: list[Any], *, conversions: int = 2) -> Any:
    converted = check(lambda: (function, Box(items=list(start))), several(9))
    assert converted.stats["conversions"] <= conversions, converted.stats["exits"]
    return converted


def test_length() -> None:
    def function(state: Any, x: Tensor) -> Any:
        before = len(state.items)
        state.items.append(before)
        return x * len(state.items), before

    grows(function, [])


def test_length_that_is_no_small_int() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(len(state.items))
        return x * len(state.items), state.items[-2]

    grows(function, list(range(1000)))


def test_truth() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = x if state.items else -x
        state.items.append(None)
        return result

    grows(function, [], conversions=4)


def test_own_items_from_the_end() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x)
        state.items.extend([x * 2, "last"])
        return state.items[-1], state.items[-3], state.items[-2:]

    grows(function, [1], conversions=1)


def test_items_of_earlier_calls() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.items[-1] * x + state.items[-2]
        state.items.append(x)
        return result, state.items[-2] * 2, len(state.items)

    grows(function, [X, X + 1])


def test_slices() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum().item())
        recent = state.items[-3:]
        recent.append(1.0)
        return sum(recent) / len(recent) * x

    grows(function, [1.0, 2.0, 3.0])


def test_slice_of_a_list_that_is_too_short() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x)
        return torch.stack(state.items[-4:]).sum(0)

    grows(function, [], conversions=6)


def test_one_item_by_two_names() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.items[0] * x + state.items[-1]
        state.items[0] = x
        return result, state.items[-1] is state.items[0], len(state.items)

    def between(state: Any, call: int) -> None:
        if call in (3, 5):
            state.items.append(X * call)

    check(lambda: (function, Box(items=[X])), several(9), between=between, graph_calls=5)


def test_item_from_the_end_is_written_from_the_front() -> None:
    def function(state: Any, x: Tensor) -> Any:
        last = state.items[-1]
        state.items[1] = x * 2
        state.items.append(x)
        return last, state.items[-2], state.items[1], state.items[2]

    def between(state: Any, call: int) -> None:
        del state.items[2 + call % 2 :]

    check(lambda: (function, Box(items=[X, X, X])), several(9), between=between, graph_calls=3)


def test_other_changes_behind_an_append() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x)
        length = len(state.items)
        first = state.items.pop(0)
        return first, length, len(state.items), state.items[-1]

    check(lambda: (function, Box(items=[X, X + 1])), several(9), graph_calls=5)


def test_list_is_changed_from_outside() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x)
        return state.items[-2], len(state.items)

    def between(state: Any, call: int) -> None:
        if call == 4:
            state.items.clear()
            state.items.append("text")
        if call == 6:
            state.items[-1] = None
        if call == 7:
            state.items = [x + 1 for x in (X, X)]

    check(lambda: (function, Box(items=[X])), several(10), between=between, graph_calls=4)


def test_list_becomes_too_short() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.items[-2] * x if len(state.items) > 1 else x
        state.items.append(x)
        return result

    def between(state: Any, call: int) -> None:
        if call in (4, 7):
            del state.items[1:]

    check(lambda: (function, Box(items=[X, X])), several(10), between=between, graph_calls=4)


@pytest.mark.parametrize("way", [1, -1])
def test_appended_on_one_way(way: int) -> None:
    def function(state: Any, x: Tensor) -> Any:
        if x.sum() * way > 0:
            state.items.append(x)
        return len(state.items), state.items[-1]

    calls = [(X * (1 if call % 2 else -1),) for call in range(9)]
    check(lambda: (function, Box(items=[X])), calls, graph_calls=4)


def test_default_argument_that_grows() -> None:
    def make() -> Any:
        def remember(value: Any, history: list[Any] = []) -> int:
            history.append(value)
            return len(history)

        def function(state: Any, x: Tensor) -> Any:
            return x * remember(x.sum().item())

        return function, Box()

    assert check(make, several(8)).stats["conversions"] == 2


def test_argument_is_the_list_that_grows() -> None:
    def function(state: Any, x: Tensor, items: list[Any]) -> Any:
        items.append(x)
        return len(items), len(state.items), state.items[-1]

    import bifront

    from tests.same_state import same

    def run(convert: bool) -> Any:
        state = Box(items=[X])
        step = bifront.function(function) if convert else function
        return [
            step(state, x, state.items if call % 2 else [x]) for call, (x,) in enumerate(several(9))
        ], state

    same(run(True), run(False))


def test_what_is_cut_off() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x * 2)
        del state.items[:-3]
        return x

    grows(function, [], conversions=1)


def test_what_is_left_when_something_was_cut_off() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x * 2)
        del state.items[:-3]
        return x * len(state.items), state.items[-1]

    check(lambda: (function, Box(items=[])), several(9), graph_calls=0)
