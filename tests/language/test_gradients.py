"""Gradients through the programs of the language suite: eager's, and the numerical ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from programs.program import default_double
from tests.language.conformance import LEAST_GRAPH_CALLS, Program, all_programs
from tests.language.gradients import (
    NUMERICAL_CALL,
    Training,
    assert_same_gradients,
    converted_forward,
    converted_whole,
    eager,
    numerical,
    training,
    trains,
)

with default_double():
    PROGRAMS = [entry for entry in all_programs() if trains(entry)]
LEAST_PROGRAMS = 150


def close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-4 * max(1.0, abs(other))


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with default_double():
        yield


@pytest.fixture(scope="module")
def shown() -> dict[str, set[str]]:
    """Programs that were run, whose gradients came out of a graph, and that are smooth as well."""
    return {"run": set(), "whole": set(), "forward": set(), "smooth": set()}


def _name(entry: Program) -> str:
    return f"{entry.theme}/{entry.name}"


@pytest.mark.parametrize("entry", PROGRAMS, ids=_name)
def test_backward_in_the_graph(entry: Program, shown: dict[str, set[str]]) -> None:
    shown["run"].add(f"whole {_name(entry)}")
    side, converted = converted_whole(entry, "whole")
    expected, derivative = assert_same_gradients(eager(entry, "whole"), side)
    if converted.stats["graph_calls"] < LEAST_GRAPH_CALLS:
        return
    shown["whole"].add(_name(entry))
    by_losses = numerical(entry, NUMERICAL_CALL)
    # A program may cut its gradients off, or jump.
    if expected != 0.0 and close(expected, by_losses):
        assert close(derivative, by_losses)
        shown["smooth"].add(_name(entry))


@pytest.mark.parametrize("entry", PROGRAMS, ids=_name)
def test_results_that_train(entry: Program, shown: dict[str, set[str]]) -> None:
    shown["run"].add(f"forward {_name(entry)}")
    side, converted = converted_forward(entry, "forward")
    assert_same_gradients(eager(entry, "forward"), side)
    if converted.stats["graph_calls"] >= LEAST_GRAPH_CALLS:
        shown["forward"].add(_name(entry))


@pytest.mark.parametrize("kind", ["whole", "forward", "smooth"])
def test_so_many_came_out_of_graphs(kind: str, shown: dict[str, set[str]]) -> None:
    if len(shown["run"]) < 2 * len(PROGRAMS):
        pytest.skip("not all programs were run")
    assert len(shown[kind]) >= LEAST_PROGRAMS


def test_a_wrong_gradient_is_noticed() -> None:
    entry = PROGRAMS[0]

    class Wrong(Training):
        def call(self, number: int) -> dict[str, Any]:
            observed = super().call(number)
            for gradient in self.gradients():
                if gradient is not None:
                    gradient.mul_(1 + 1e-8)
            return observed

    with pytest.raises(AssertionError):
        assert_same_gradients(eager(entry, "wrong"), Wrong(entry, "wrong_converted", training))
