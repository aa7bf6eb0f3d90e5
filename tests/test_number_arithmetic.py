"""Python's arithmetic on numbers that only the run of the graph knows, to the sign of a zero."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program

Use = Callable[[Any], Any]

VALUES = [0.0, 1.0, 1.5, -2.25, 3.0, -0.0, 2.5, 7.0, 9.0]
READERS: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda x: x[0].item(),
    "int": lambda x: x[0].long().item(),
    "bool": lambda x: (x[0] > 1).item(),
}
USES: list[Use] = [
    # A rounded quotient's floor is another number.
    lambda v: 1.0 // (v * 0.1 + 0.1),
    lambda v: (v * 1.0) // 0.1,
    lambda v: (v * 1.0) % 0.1,
    lambda v: (v * 7.5) // -0.7,
    lambda v: (v * 7.5) % -0.7,
    lambda v: -(v * 0.0) // 1,
    lambda v: (v * -7) // 3,
    lambda v: (v * -7) % 3,
    lambda v: divmod(v, 3),
    lambda v: divmod(v * 7.5, 0.7),
    lambda v: divmod(-7, int(v) + 4),
    lambda v: abs(v * -1.5),
    lambda v: abs(int(v)),
    lambda v: v**2,
    lambda v: v**0,
    lambda v: 2**v,
    lambda v: 2.0 ** (v * 3),
    lambda v: abs(v) ** 0.5,
    lambda v: (-(v * 1.0) - 4) ** 3,
    lambda v: (int(v) + 4) ** -1,
    lambda v: pow(v, 2),
    lambda v: pow(abs(v), 1.5),
    lambda v: v / 3,
    lambda v: 3 / (int(v) + 4),
    lambda v: (v + True, True - v, v * False),
    lambda v: float(v > 1) + int(v > 2) + float(not v),
    lambda v: float(v) * 2,
    lambda v: (v * 1.0).is_integer(),
    lambda v: float.is_integer(v * 0.5),
    lambda v: (v * 1.0).conjugate(),
    lambda v: ((v * 1.0).real, (v * 1.0).imag, int(v).real, int(v).imag),
    lambda v: (int(v).numerator, int(v).denominator),
    lambda v: v.__class__.__name__,
    lambda v: isinstance(v, numbers.Real) and type(v).__name__,
    lambda v: v.__class__(3),
    lambda v: hasattr(v, "node"),
]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("use", range(len(USES)))
def test_as_python(use: int, kind: str) -> None:
    compute, read = USES[use], READERS[kind]

    def step(x: Tensor) -> Any:
        return compute(read(x))

    converted: Any = bifront.function(step)
    for value in VALUES:
        x = torch.tensor([value])
        assert repr(converted(x)) == repr(step(x)), value
    # An assertion that does not hold costs a call.
    assert converted.stats["graph_calls"] >= len(VALUES) - 3, bifront.explain(converted)


@pytest.mark.parametrize(
    "use", [lambda v: v / 0.0, lambda v: v // 0, lambda v: v % 0.0, lambda v: (v * 0) ** -1]
)
def test_what_raises(use: Use) -> None:
    def step(x: Tensor) -> Any:
        try:
            return use(x[0].item())
        except ZeroDivisionError as error:
            return str(error)

    converted: Any = bifront.function(step)
    for value in VALUES:
        x = torch.tensor([value])
        assert converted(x) == step(x)


def test_an_attribute_that_numbers_lack() -> None:
    def step(x: Tensor) -> Any:
        try:
            return x[0].item().shape
        except AttributeError as error:
            return str(error)

    converted: Any = bifront.function(step)
    for value in VALUES:
        assert converted(torch.tensor([value])) == "'float' object has no attribute 'shape'"


def test_sizes() -> None:
    def step(x: Tensor) -> Any:
        n = x.size(0)
        return n // 0.1, n % 0.3, (n / 3) // 0.1, n**0.5, n**2, divmod(n, 3), x / (n // 2.0)

    converted: Any = bifront.function(step)
    for rows in (2, 3, 5, 7, 10, 3):
        x = torch.ones(rows)
        assert repr(converted(x)) == repr(step(x))


@pytest.mark.parametrize(
    "use", [lambda v, x: v - x, lambda v, x: torch.rsub(x, v), lambda v, x: x - v]
)
def test_a_bool_and_a_tensor_are_not_subtracted(use: Callable[..., Any]) -> None:
    def step(x: Tensor) -> Any:
        return use((x.sum() > 0).item(), x)

    converted: Any = bifront.function(step)
    for _ in range(5):
        with pytest.raises(RuntimeError, match="with a bool tensor is not supported"):
            converted(torch.ones(2))


def test_a_power_imports_nothing(tmp_path: Any) -> None:
    """As torch.SymFloat's would: it asks a question that torch.compile's sizes need."""
    program = """
import sys

import bifront
import torch


@bifront.function
def step(x):
    return x.sum().item() ** 2


for call in range(4):
    assert step(torch.ones(2)) == 4.0
assert step.stats["graph_calls"] == 3, bifront.explain(step)
print("sympy" in sys.modules)
"""
    assert run_program(tmp_path, program) == "False\n"
