"""Texts and rounded numbers that follow from numbers of the graph."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

VALUES = [0.1, 2.5, -0.0, 1e-7, 123456.789, 1e22, -3.0, 0.125]


def same_text(step: Callable[..., Any], *, one_graph: bool = True) -> None:
    converted = bifront.function(step)
    for call, value in enumerate(VALUES):
        outcomes = []
        for function in (step, converted):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                try:
                    result = function(torch.tensor([value, call], dtype=torch.float64), call)
                except Exception as error:
                    result = (type(error), str(error))
            outcomes.append((repr(result), type(result), printed.getvalue()))
        assert outcomes[0] == outcomes[1]
    if one_graph:
        stats = converted.stats
        assert stats["graphs"] == 1, bifront.explain(converted)
        assert stats["graph_calls"] >= len(VALUES) - 2, bifront.explain(converted)


@pytest.mark.parametrize("spec", ["", ".3f", ">12.4g", "+e", "%", ",.1f", "08.2f"])
def test_formats(spec: str) -> None:
    def step(x: Tensor, n: int) -> Any:
        return format(x[0].item(), spec), f"{x[0].item():{spec}}", f"{x[0]:{spec}}"

    same_text(step)


def test_conversions() -> None:
    def step(x: Tensor, n: int) -> Any:
        value = x[0].item()
        return f"{value!r:>25}|{value!s}|{value!a}", str(value), repr(value)

    same_text(step)


def test_the_other_ways_to_format() -> None:
    def step(x: Tensor, n: int) -> Any:
        value = x[0].item()
        old = "%.2f of %d" % (value, n), "%s" % value  # noqa: UP031  (it is about these)
        return old, "{:.3f} {} {}".format(value, n, "x")

    same_text(step)


def test_rounded_to_digits() -> None:
    def step(x: Tensor, n: int) -> Any:
        return round(x[0].item(), 2), {"loss": round(x.sum().item(), 1)}, round(2.675, 2)

    same_text(step)


def test_printed_in_order() -> None:
    def step(x: Tensor, n: int) -> Any:
        print("start", n, sep=": ")
        for i in range(2):
            print(f"{i}: {x[i].item():.2f}", end=";\n")
        print(round(x[0].item(), 1))
        return x + 1

    same_text(step)


def test_kept_in_objects_of_the_program() -> None:
    def step(x: Tensor, n: int) -> Any:
        lines: list[str] = []
        lines.append(f"{x[0].item():.1f}")
        return {"lines": lines, "all": f"<{lines[0]}>"}

    same_text(step)


@pytest.mark.parametrize(
    "look",
    [
        lambda text: text.upper(),
        lambda text: text + "!",
        lambda text: "!" + text,
        lambda text: len(text),
        lambda text: text == "0.1",
        lambda text: {text: 1},
        lambda text: text in "0.1 2.5",
        lambda text: list(text),
        lambda text: "x" if text else "y",
        lambda text: float(text),
        lambda text: text[0],
        lambda text: ",".join([text, text]),
        lambda text: text * 2,
        lambda text: isinstance(text, str) and type(text) is str,
        lambda text: "-" if text.startswith("-") else "+",
    ],
)
def test_a_text_that_is_looked_at(look: Callable[[str], Any]) -> None:
    def step(x: Tensor, n: int) -> Any:
        try:
            return look(f"{x[0].item():.1f}"), look(f"{n}")
        except TypeError:
            return "a type error"

    same_text(step, one_graph=False)


def test_a_format_that_is_wrong() -> None:
    def step(x: Tensor, n: int) -> Any:
        try:
            return f"{x[0].item():d}"
        except ValueError as error:
            return str(error)

    same_text(step)


def test_a_format_that_fails_for_some_numbers() -> None:
    def step(x: Tensor, n: int) -> Any:
        total.append(1)
        value = x[0].item() if n != 5 else math.nan
        other = x[0].item() * (math.nan if n == 3 else 1)
        return "%d" % value, "%d" % other  # noqa: UP031  (which f-strings do not do)

    total: list[int] = []
    same_text(step, one_graph=False)


def test_an_int_as_text_that_decides() -> None:
    def step(x: Tensor, n: int) -> Any:
        name = f"layer{n % 3}"
        return {"layer0": x, "layer1": x * 2, "layer2": None}[name]

    same_text(step)


def test_a_counter_in_a_text() -> None:
    state = {"eager": {"calls": 0}, "converted": {"calls": 0}}

    def stepping(own: dict[str, int]) -> Callable[[Tensor], str]:
        def step(x: Tensor) -> str:
            own["calls"] += 1
            return f"call {own['calls']}: {x.sum().item():.3f}"

        return step

    eager, converted = stepping(state["eager"]), bifront.function(stepping(state["converted"]))
    for call in range(20):
        x = torch.full((2,), float(call))
        assert converted(x) == eager(x)
    assert converted.stats["graph_calls"] >= 16, bifront.explain(converted)
