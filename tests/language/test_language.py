"""Every program of the language suite, converted, against CPython."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from tests.language.conformance import FRONT_END, Program, all_programs, run

PROGRAMS = all_programs()


def _case(entry: Program) -> ParameterSet:
    wrong = entry.wrong_today and not FRONT_END
    marks = [pytest.mark.xfail(strict=True, reason=entry.wrong_today)] if wrong else []
    return pytest.param(entry, id=f"{entry.theme}/{entry.name}", marks=marks)


@pytest.mark.parametrize("entry", [_case(entry) for entry in PROGRAMS])
def test_program(entry: Program) -> None:
    run(entry)


def test_there_are_at_least_400_programs_under_names_of_their_own() -> None:
    assert len(PROGRAMS) >= 400
    assert len({entry.name for entry in PROGRAMS}) == len(PROGRAMS)
