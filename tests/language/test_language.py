"""Every program of the language suite, converted, against CPython."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet

from tests.language import falls_short
from tests.language.conformance import Pairing, Program, all_programs, run

PROGRAMS = all_programs()
RECORD = falls_short.read()


def _case(entry: Program) -> ParameterSet:
    wrong = entry.wrong_today
    marks = [pytest.mark.xfail(strict=True, reason=wrong)] if wrong else []
    return pytest.param(entry, id=f"{entry.theme}/{entry.name}", marks=marks)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, str]]:
    """Where each program falls short, for the record."""
    found: dict[str, str] = {}
    yield found
    if falls_short.UPDATES:
        falls_short.write(found)


@pytest.mark.parametrize("entry", [_case(entry) for entry in PROGRAMS])
def test_program(entry: Program, outcomes: dict[str, str]) -> None:
    name = f"{entry.theme}/{entry.name}"
    outcomes[name] = ""  # of a wrong result there is nothing more to say
    outcomes[name] = run(entry)
    if not falls_short.UPDATES:
        assert outcomes[name] == RECORD.get(name, ""), (
            "tests/language/falls_short.txt says otherwise"
        )


def test_the_record_names_programs_alone() -> None:
    assert RECORD.keys() <= {f"{entry.theme}/{entry.name}" for entry in PROGRAMS}


def test_there_are_at_least_400_programs_under_names_of_their_own() -> None:
    assert len(PROGRAMS) >= 400
    assert len({entry.name for entry in PROGRAMS}) == len(PROGRAMS)


def _twice(value: Any) -> list[Any]:
    return [value, value]


def _closure(value: Any) -> Callable[[], Any]:
    return lambda: value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2}, {1, 3}),
        ("loss 0.501", "loss 0.532"),
        (float("nan"), 0.0),
        (_twice([]), [[], []]),
        (_twice(torch.zeros(2)), [torch.zeros(2), torch.zeros(2)]),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2), torch.nn.Parameter(torch.zeros(2))),
        ((x := torch.zeros(4), x[:2]), (torch.zeros(4), torch.zeros(2))),
        (ValueError("a"), ValueError("b")),
        (_closure([1]), _closure([2])),
        (torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)),
        (torch.nn.ReLU(), torch.nn.ReLU().eval()),
    ],
)
def test_a_difference_is_noticed(one: Any, other: Any) -> None:
    Pairing().compare(one, one, "itself")
    with pytest.raises(AssertionError):
        Pairing().compare(one, other, "one way")
    with pytest.raises(AssertionError):
        Pairing().compare(other, one, "the other way")
