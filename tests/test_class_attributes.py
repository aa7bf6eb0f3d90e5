"""Attributes of classes that the step sets, and guards that know which those are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import X, same, several


def make_layer() -> Any:
    class Layer:
        made = 0
        gain = 2.0
        rate: float

        def __init__(self, factor: float) -> None:
            self.factor = factor
            Layer.made += 1

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.factor * self.gain

    return Layer


def attributes(cls: Any) -> Any:
    return [(name, value) for name, value in vars(cls).items() if isinstance(value, (int, float))]


def both(
    step: Callable[[Any, Tensor], Any], between: Callable[[Any, int], None], calls: int = 10
) -> Any:
    """Compare results and the class after each call; the order of its attributes too."""
    one, other = make_layer(), make_layer()
    converted = bifront.function(step)
    for call, (x,) in enumerate(several(calls)):
        between(one, call)
        between(other, call)
        same(
            [converted(one, x), attributes(one)],
            [step(other, x), attributes(other)],
        )
    return converted


def counts(cls: Any, x: Tensor) -> Any:
    return cls(3.0)(x), cls.made


def test_a_counter_of_a_class() -> None:
    converted = both(counts, lambda cls, call: None)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 9
    assert converted.stats["conversions"] == 1  # a number that the call itself changes varies


def test_a_counter_that_somebody_else_changes() -> None:
    def between(cls: Any, call: int) -> None:
        cls.made = call * 7 % 5

    assert both(counts, between).stats["graph_calls"] >= 8


@pytest.mark.parametrize("name", ["gain", "rate", "__call__"])
def test_another_attribute_of_that_class_changes(name: str) -> None:
    """A guard of its own, although the class changes at each call."""

    def between(cls: Any, call: int) -> None:
        if call >= 6:
            setattr(cls, name, 3.0 + call % 2 if name != "__call__" else lambda self, x: x - 1)

    converted = both(counts, between, calls=12)
    assert "PythonState" in converted.stats["exits"]


def test_an_attribute_is_made() -> None:
    def step(cls: Any, x: Tensor) -> Any:
        before = getattr(cls, "rate", None)
        cls.rate = 0.5 if before is None else before + 1
        return x * cls.rate, cls(1.0).rate

    converted = both(step, lambda cls, call: None)
    assert converted.stats["graph_calls"] >= 8, bifront.explain(converted)


def test_nothing_is_set_where_an_assumption_fails() -> None:
    def step(cls: Any, x: Tensor) -> Any:
        cls.gain = cls.gain + 1
        if x.sum() > 15:
            raise ValueError(cls.gain)
        return x * cls.gain

    one, other = make_layer(), make_layer()
    converted = bifront.function(step)

    def outcome(function: Any, cls: Any, x: Tensor) -> Any:
        try:
            return function(cls, x)
        except ValueError as error:
            return error.args

    for (x,) in several(10):
        same(
            [outcome(converted, one, x), attributes(one)],
            [outcome(step, other, x), attributes(other)],
        )
    assert one.gain == 12.0


def test_a_tensor_of_a_class() -> None:
    def step(cls: Any, x: Tensor) -> Any:
        cls.mean = cls.mean * 0.9 + x * 0.1
        return cls.mean * 2

    one, other = make_layer(), make_layer()
    one.mean, other.mean = X.clone(), X.clone()
    converted = bifront.function(step)
    for (x,) in several(8):
        same([converted(one, x), one.mean], [step(other, x), other.mean])
    assert converted.stats["graph_calls"] == 7


def test_what_cannot_be_set_raises_as_in_cpython() -> None:
    def step(cls: Any, x: Tensor) -> Any:
        try:
            cls.value = 3
        except TypeError as error:
            return x * 2, str(error)
        return x

    converted = bifront.function(step)
    for (x,) in several(4):
        same(converted(int, x), step(int, x))


def test_a_hook_that_is_added_and_removed() -> None:
    """It is numbered by an attribute of a class of torch's."""
    model = torch.nn.Linear(3, 2)
    seen: list[int] = []

    def step(x: Tensor) -> Any:
        handle = model.register_forward_hook(lambda m, args, out: seen.append(len(args[0])))
        y = model(x)
        handle.remove()
        return (y + model(x)).detach(), len(model._forward_hooks)

    converted = bifront.function(step)
    for (x,) in several(8):
        same(converted(x), step(x))
    assert seen == [3] * 16
    assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)


def test_a_getattribute_of_the_program_is_walked() -> None:
    class Watched:
        reads = 0
        width = 2

        def __getattribute__(self, name: str) -> Any:
            if name == "hidden":
                raise AttributeError("it is hidden")
            Watched.reads += name == "width"
            return object.__getattribute__(self, name)

    class Falls(Watched):
        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    def make() -> Any:
        Watched.reads = 0
        watched, falls = Watched(), Falls()

        def step(x: Tensor) -> Any:
            try:
                watched.hidden
            except AttributeError as error:
                said = str(error)
            return x * watched.width, said, falls.hidden, hasattr(watched, "other"), Watched.reads

        return step

    expected, actual = [], []
    step = make()
    for _ in range(6):
        expected.append(step(X))
    converted = bifront.function(make())
    for _ in range(6):
        actual.append(converted(X))
    same(actual, expected)
    assert converted.stats["graph_calls"] > 0, bifront.explain(converted)
