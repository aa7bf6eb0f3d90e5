"""Calls that the front end walks though C makes them, and what a refused capture leaves behind."""

import functools
import itertools
import operator
from typing import Any

import bifront
import pytest
import torch

X = torch.ones(2)


def refused() -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    "switch",
    [
        lambda: torch.autocast("cpu", dtype=torch.bfloat16).__enter__(),
        lambda: torch.set_grad_enabled(False),
        lambda: torch.set_default_dtype(torch.float64),
    ],
    ids=["autocast", "grad", "dtype"],
)
def test_a_refused_capture_puts_the_modes_back(switch: Any) -> None:
    def modes() -> tuple[Any, ...]:
        return (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
        )

    calls = 0

    def step(x: Any) -> Any:
        if calls:
            switch()
            refused()
        return x * 2

    before = modes()
    converted = bifront.function(step)
    converted(X)
    calls = 1
    try:
        with pytest.raises(NotImplementedError):
            converted(X)  # captured in vain, then run by CPython
        switched = modes()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", before[1])
    # As CPython leaves them: switched once.
    assert switched != before
    assert modes() == before


class Settings:
    factor = 2


def scaled(x: Any, by: float = 1) -> Any:
    return x * by * Settings.factor


class Meta(type):
    def __call__(cls, *arguments: Any) -> Any:
        return super().__call__(*arguments)


class Made(metaclass=Meta):
    def __init__(self, x: Any) -> None:
        self.y = scaled(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: functools.partial(scaled, by=3)(x),
        lambda x: functools.reduce(lambda a, b: a + scaled(b), [x, x]),
        lambda x: next(itertools.starmap(scaled, [(x, 3)])),
        lambda x: list(itertools.accumulate([x, x], lambda a, b: a + scaled(b)))[-1],
        lambda x: operator.methodcaller("__call__", x)(scaled),
        lambda x: Made(x).y,
        lambda x: next(map(bifront.function(scaled), [x])),
        lambda x: max([x], key=lambda y: scaled(2)) * scaled(1),
    ],
    ids=["partial", "reduce", "starmap", "accumulate", "methodcaller", "metaclass", "map", "max"],
)
def test_what_a_callback_reads_is_guarded(call: Any) -> None:
    converted = bifront.function(lambda x: call(x))
    try:
        for Settings.factor in (2, 2, 2, 5, 5, 2):
            assert torch.equal(converted(X), call(X))
    finally:
        Settings.factor = 2
    assert converted.stats["graph_calls"] == 5, bifront.explain(converted)


def test_unwalked_code_that_counts_in_its_class() -> None:
    class Counter:
        calls = 0

    names = {"Counter": Counter}
    exec("def count():\n    Counter.calls += 1\n    return Counter.calls", names)
    converted = bifront.function(lambda x: x * names["count"]())
    for call in range(1, 5):
        assert converted(X)[0].item() == Counter.calls == call
    assert converted.stats["graph_calls"] > 0  # which make the call, as CPython does
    assert converted.stats["opaque_calls"] == 1
