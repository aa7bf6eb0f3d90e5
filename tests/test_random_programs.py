"""A few hundred random differentiable programs, and the tool that shrinks what fails."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest

from tests import random_programs
from tests.random_programs import Differs, Generator, RandomProgram, describe, run, shrink

COUNT = 200
GROUP = 20


# What goes several ways is several graphs where the loss is returned: these take longer.
@pytest.mark.parametrize(
    ("first", "count", "returns", "generators"),
    [(first, GROUP, False, False) for first in range(0, COUNT, GROUP)]
    + [(COUNT, GROUP // 2, True, False)]
    + [(first, GROUP, False, True) for first in (0, 1000)],
)
def test_programs(first: int, count: int, returns: bool, generators: bool) -> None:
    graphs = 0
    for seed in range(first, first + count):
        program = replace(Generator(seed, generators).program(), returns=returns)
        try:
            graphs += run(program)["graph_calls"] > 0
        except Differs:
            small = shrink(program)
            with pytest.raises(Differs) as why:
                run(small)
            pytest.fail(describe(seed, small, why.value))
    assert graphs >= count * 3 // 4


def test_a_failing_program_shrinks() -> None:
    """Where every draw of a softmax differed, a softmax alone would be left."""

    def wrong(program: RandomProgram) -> dict[str, int]:
        if "softmax" in "\n".join(random_programs.text_of(program.body)):
            raise Differs("softmax")
        return {}

    programs = (Generator(seed).program() for seed in range(100))
    program = next(p for p in programs if "softmax" in str(p.body) and p.source().count("\n") > 40)
    with mock.patch.object(random_programs, "run", wrong):
        small = shrink(program)
    lines = random_programs.text_of(small.body)
    assert len(lines) == 1 and "softmax" in lines[0]
    assert not small.helper and not small.descend


def test_examples_of_loops_in_loops_are_told_once() -> None:
    """What each of its loops ends with follows from the ones before it, so that telling each value
    anew would take longer than anybody waits."""
    assert run(Generator(200061).program())["graph_calls"] > 0
