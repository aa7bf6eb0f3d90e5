"""What `dataclasses` makes is walked as though it had a source."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any

import bifront
import pytest
import torch
from bifront import _generated_code
from torch import Tensor

from tests.same_function import assert_same_value


@dataclass
class Plain:
    x: Any
    y: float = 3.0


@dataclass
class Full:
    x: Any
    names: list[str] = field(default_factory=list)
    counted: int = field(init=False, default=3)
    made: dict[str, Any] = field(init=False, default_factory=dict)
    scale: InitVar[float] = 2.0
    _: KW_ONLY
    last: Any = None

    def __post_init__(self, scale: float) -> None:
        self.made["scaled"] = self.x * scale


@dataclass(frozen=True, order=True)
class Frozen:
    x: Any
    place: tuple[int, ...] = field(default_factory=tuple)


@dataclass(slots=True)
class Slotted:
    x: Any
    n: int = field(init=False, default=4)


@dataclass
class Odd:
    self: Any
    other: Any


@dataclass
class Empty:
    pass


@dataclass
class Derived(Plain):
    z: Any = 1


CLASSES = [Plain, Full, Frozen, Slotted, Odd, Empty, Derived]


@pytest.mark.parametrize("cls", CLASSES)
def test_texts_are_those_of_the_code(cls: Any) -> None:
    """Compiled again, one of the texts is the function's code."""
    for name in ("__init__", "__eq__", "__lt__", "__repr__", "__hash__"):
        function = vars(cls).get(name)
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, types.FunctionType):
            continue
        code = function.__code__
        found = []
        for text in _generated_code.texts_of(code):
            lines = "\n".join(" " + line for line in text.splitlines())
            outer = f"def around({', '.join(code.co_freevars)}):\n{lines}\n return {code.co_name}"
            names: dict[str, Any] = {}
            exec(outer, names)
            made = names["around"](*code.co_freevars).__code__
            found.append((made.co_code, made.co_consts, made.co_names))
        assert (code.co_code, code.co_consts, code.co_names) in found, name


def check(step: Callable[[Tensor, int], Any], *, graphs: int = 1) -> None:
    converted = bifront.function(step)
    for call in range(6):
        x = torch.arange(3.0) + call
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(x, call))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["graphs"] == graphs, bifront.explain(converted)
    assert not graphs or stats["fallback_calls"] <= 1, bifront.explain(converted)


def makes_all(x: Tensor, n: int) -> Any:
    full = Full(x, scale=3.0, last=x.sum())
    full.names.append("one")
    derived = Derived(full.made["scaled"], z=full.counted)
    slotted, odd = Slotted(derived.x), Odd(1, other=x)
    return full.names, derived.z, derived.y, slotted.x * slotted.n, odd.other, odd.self


def numbers_that_vary(x: Tensor, n: int) -> Any:
    plain = Plain(n, y=n * 0.5)
    frozen = Frozen(plain.x, (n, 2))
    return x * plain.x + plain.y, frozen.place[1] * x


def decided_by_tensors(x: Tensor, n: int) -> Any:
    plain = Plain(x.sum().item())
    if plain.x > 20:
        plain = Plain(x * 0, y=1.0)
    return plain.x + x, plain.y


def compared(x: Tensor, n: int) -> Any:
    one, other = Frozen(1, (2, 3)), Frozen(1, (2, 4))
    return x, one == other, one < other, one == Frozen(1, (2, 3)), Plain(1) == Derived(1)


def shown(x: Tensor, n: int) -> Any:
    return x, repr(Derived(1, 2.0)), repr(Empty()), repr(Odd(1, 2))


def written_when_frozen(x: Tensor, n: int) -> Any:
    frozen = Frozen(x)
    try:
        frozen.x = x * 2  # type: ignore[misc]
    except dataclasses.FrozenInstanceError as error:
        return x * 3, str(error)
    return x


def replaced(x: Tensor, n: int) -> Any:
    plain = dataclasses.replace(Plain(x), y=4.0)
    return plain.x, plain.y


@pytest.mark.parametrize(
    "step",
    [
        makes_all,
        numbers_that_vary,
        decided_by_tensors,
        compared,
        written_when_frozen,
        replaced,
    ],
)
def test_same_as_cpython(step: Callable[[Tensor, int], Any]) -> None:
    check(step)


def test_shown_as_in_cpython() -> None:
    """In CPython: a guard against recursion asks for the thread."""
    check(shown, graphs=0)


def test_other_generated_code_is_left_alone() -> None:
    """Code that only looks like a dataclass's: what it does counts, not its name."""
    names: dict[str, Any] = {}
    exec(
        "def __init__(self, x):\n  self.x = x\n  self.y = x if x is None else 2\n"
        "def __eq__(self, other):\n  return self.x is other.x\n",
        names,
    )
    other = type("Other", (), {"__init__": names["__init__"], "__eq__": names["__eq__"]})

    def step(x: Tensor, n: int) -> Any:
        one = other(x)
        return one.x * one.y, one == other(x), one == other(x + 1)

    converted = bifront.function(step)
    for call in range(4):
        x = torch.arange(3.0) + call
        assert_same_value(converted(x, call), step(x, call), f"call {call}")


def test_wrong_arguments_raise_as_in_cpython() -> None:
    def step(x: Tensor, n: int) -> Any:
        return Plain() if n > 1 else Plain(x).x  # type: ignore[call-arg]

    converted = bifront.function(step)
    for call in range(4):
        x = torch.arange(3.0)
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(x, call))
            except TypeError as error:
                outcomes.append(str(error))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
