"""Guards of what walked functions read of Python values: each is failed on purpose."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import Box, X, check, several


def fails(
    function: Callable[..., Any], state: Callable[[], Any], change: Callable[[Any], None]
) -> None:
    """Graphs run before and behind a change that the graph must notice."""

    def between(state: Any, call: int) -> None:
        if call == 4:
            change(state)

    converted = check(lambda: (function, state()), several(9), between=between)
    assert converted.stats["conversions"] >= 2, "the change was not noticed"


def test_guard_of_an_attribute() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x + 1 if state.mode == "add" else x * 2

    fails(function, lambda: Box(mode="add"), lambda s: setattr(s, "mode", "multiply"))


def test_guard_of_an_absent_attribute() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x + 1 if getattr(state, "bias", None) is None else x + state.bias

    fails(function, lambda: Box(), lambda s: setattr(s, "bias", 5.0))


def test_guard_of_an_object() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return state.layer.weight * x

    fails(
        function,
        lambda: Box(layer=Box(weight=X)),
        lambda s: setattr(s, "layer", Box(weight=X * 3)),
    )


def test_guard_of_a_list_item() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x if state.items[1] == "a" else -x

    fails(function, lambda: Box(items=["z", "a"]), lambda s: s.items.__setitem__(1, "b"))


def test_guard_of_a_length() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x * len(state.items)

    fails(function, lambda: Box(items=["z", "a"]), lambda s: s.items.append("b"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["a", "b"],
        lambda: {"a": 1, "b": 2},
        lambda: collections.OrderedDict(a=1, b=2),
        lambda: collections.deque(["a", "b"]),
        lambda: {"a", "b"},
    ],
)
def test_guard_of_a_container(make: Callable[[], Any]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x, sorted(state.items), len(state.items)

    def change(state: Any) -> None:
        items = state.items
        if isinstance(items, dict):
            items["c"] = 3
        elif isinstance(items, set):
            items.add("c")
        else:
            items.append("c")

    fails(function, lambda: Box(items=make()), change)


def test_guard_of_an_order() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x, list(state.items)

    fails(
        function,
        lambda: Box(items=collections.OrderedDict(a=1, b=2)),
        lambda s: s.items.move_to_end("a"),
    )
    fails(
        function, lambda: Box(items={"a": 1, "b": 2}), lambda s: s.items.update(a=s.items.pop("a"))
    )


def test_guard_of_a_class() -> None:
    def make() -> Any:
        class Layer:
            scale = "one"

            def apply(self, x: Tensor) -> Tensor:
                return x if self.scale == "one" else x * 2

        class Derived(Layer):
            pass

        state = Box(layer=Derived())
        state.layer.extra = 1
        return state

    def function(state: Any, x: Tensor) -> Any:
        return state.layer.apply(x)

    eager_state, state = make(), make()
    converted = bifront.function(function)
    for number in range(12):
        for each in (eager_state, state):
            cls = type(each.layer)
            if number == 3:
                cls.scale = "two"
            if number == 6:
                cls.__bases__[0].apply = lambda self, x: -x
            if number == 9:
                del cls.scale
                each.layer.scale = "one"
            if number == 10:
                cls.unrelated = 5
        torch.testing.assert_close(converted(state, X), function(eager_state, X))
    assert converted.stats["graph_calls"] == 11


def test_guard_of_an_objects_class() -> None:
    class A:
        def apply(self, x: Tensor) -> Tensor:
            return x + 1

    class B:
        def apply(self, x: Tensor) -> Tensor:
            return x - 1

    def function(state: Any, x: Tensor) -> Any:
        return state.layer.apply(x)

    fails(function, lambda: Box(layer=A()), lambda s: setattr(s.layer, "__class__", B))


def test_guard_of_an_objects_dict() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x if state.layer.mode == "a" else -x

    fails(
        function,
        lambda: Box(layer=Box(mode="a")),
        lambda s: setattr(s.layer, "__dict__", {"mode": "b"}),
    )


SETTING = "plain"


def test_guard_of_a_global() -> None:
    @bifront.function
    def function(x: Tensor) -> Any:
        return x if SETTING == "plain" else x * 2

    global SETTING
    for _ in range(3):
        torch.testing.assert_close(function(X), X)
    SETTING = "other"
    for _ in range(2):
        torch.testing.assert_close(function(X), X * 2)
    SETTING = "plain"
    torch.testing.assert_close(function(X), X)
    assert function.stats["graph_calls"] == 5


def test_guard_of_a_global_that_hides_a_builtin() -> None:
    @bifront.function
    def function(x: Tensor) -> Any:
        return x * abs(-2)

    for _ in range(3):
        torch.testing.assert_close(function(X), X * 2)
    globals()["abs"] = lambda x: 5
    try:
        for _ in range(3):
            torch.testing.assert_close(function(X), X * 5)
    finally:
        del globals()["abs"]
    torch.testing.assert_close(function(X), X * 2)


def test_floats_are_compared_by_their_bits() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x, state.names[state.zero], 1.0 if str(state.zero) == "0.0" else -1.0

    fails(
        function,
        lambda: Box(zero=0.0, names={0.0: "zero"}),
        lambda s: setattr(s, "zero", -0.0),
    )
