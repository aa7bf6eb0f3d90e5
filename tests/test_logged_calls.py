"""Opaque calls with effects: made once, in the program's order, also where the graph's run fails.

docs/decisions/019 says how.
"""

from __future__ import annotations

import heapq
import inspect
import io
import logging
import random
import struct
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy
import pytest
import torch

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 8

Step = Callable[..., Any]


class Outside:
    """What a call reaches and changes of Python: one of it for each side."""

    def __init__(self) -> None:
        self.buffer = io.StringIO()
        self.heap: list[Any] = []
        self.seen: list[Any] = []
        self.calls = 0
        self.limit = 3

    def state(self) -> list[Any]:
        return [self.buffer.getvalue(), self.heap, self.seen, self.calls, self.limit]

    def report(self, value: float) -> None:
        """All of it is opaque: a list that is kept here is nothing that C may be given."""
        self.calls += 1
        lines = [f"{self.calls}: {value:.3f}\n"]
        self.buffer.writelines(lines)


def check(
    make: Callable[[Outside], Step],
    *,
    argument: Callable[[int], Any] = lambda call: torch.randn(4),
    fallbacks: int = 1,
    opaque: int = 1,
    graphs: int = 1,
) -> Any:
    """Run the step eager and converted; compare results, exceptions and what is outside."""
    sides = [Outside(), Outside()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            random.seed(call)
            numpy.random.seed(call)
            torch.manual_seed(call)
            x = argument(call)
            try:
                result = run(x)
            except Exception as error:
                result = (type(error), str(error))
            streams = random.random(), float(numpy.random.random()), torch.rand(1)
            outcomes.append([result, x, side.state(), streams])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    assert 1 <= stats["opaque_calls"] <= opaque, bifront.explain(converted)
    return converted


def test_a_write_to_a_buffer() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            outside.buffer.write("a line\n")
            return x * 2

        return step

    check(make)


def test_a_write_of_a_number_of_the_graph() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            outside.buffer.write(f"{x.sum().item():.3f}\n")
            return x * 2

        return step

    check(make, opaque=4)


def test_a_method_with_effects_is_one_call() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            outside.report(x.sum().item())
            return x * 2

        return step

    check(make)


def test_a_list_that_is_made_for_it() -> None:
    """The call may keep it: each run makes another."""

    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            for i, value in enumerate(x[:2].tolist()):
                heapq.heappush(outside.heap, [round(value, 3), [i, "row"]])
            return x * 2

        return step

    check(make, opaque=2)


def test_a_list_that_is_made_for_it_and_kept() -> None:
    """What the call does to it the program would see."""

    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
            mine = [2.0, 1.0]
            heapq.heappush(mine, 0.5)
            outside.seen = [mine]
            return x * mine[0], mine

        return step

    sides = [Outside(), Outside()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for _ in range(CALLS):
        x = torch.randn(4)
        assert_same_value(converted(x), step(x), "results")
        assert_same_value(sides[1].seen, sides[0].seen, "seen")


def test_a_list_of_the_program_is_given_itself() -> None:
    """Not a copy, which the call would change in its place."""

    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            heapq.heappush(outside.heap, x.sum().item())
            return x * 2

        return step

    check(make, fallbacks=CALLS)


def test_what_it_returns_is_used() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> tuple[torch.Tensor, int]:
            written = outside.buffer.write("abc")
            return x * written, written + 1

        return step

    check(make)


def test_a_branch_on_a_later_value_fails_behind_the_call() -> None:
    """The assertion fails when the line has been written."""

    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            outside.buffer.write("line\n")
            y = x * 2
            return y + 1 if bool((y.sum() > 0).item()) else y - 1

        return step

    check(make, argument=lambda call: torch.full((4,), 1.0 if call < 4 else -1.0), fallbacks=3)


def test_a_call_in_a_branch() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            if x.sum() > 0:
                outside.buffer.write("more\n")
                return x + 1
            outside.buffer.write("less\n")
            return x - 1

        return step

    signs = [1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    check(make, argument=lambda call: torch.full((4,), signs[call]), fallbacks=5, opaque=2)


def test_a_call_in_a_loop() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            while x.sum() < 10:
                outside.buffer.write("again\n")
                x = x + 1
            return x

        return step

    check(make, argument=lambda call: torch.full((4,), -float(call)), fallbacks=3)


def test_the_call_raises() -> None:
    def make(outside: Outside) -> Step:
        def refuse(value: float) -> int:
            outside.calls += 1
            lines = ["asked\n"]
            outside.buffer.writelines(lines)
            if outside.calls % 3 == 0:
                raise ValueError(f"refused {value}")
            return outside.calls

        def step(x: torch.Tensor) -> torch.Tensor:
            outside.buffer.write("before\n")
            try:
                return x * refuse(x.sum().item())
            except ValueError as error:
                return x - len(str(error))

        return step

    check(make, argument=lambda call: torch.full((4,), 1.0), fallbacks=6, opaque=2)


def test_a_value_that_the_call_changes_is_read_before_it_and_behind() -> None:
    """The run stops, and CPython finds the value as it was."""

    def make(outside: Outside) -> Step:
        def bump() -> None:
            outside.limit += 1
            lines = [f"bump {outside.limit}\n"]
            outside.buffer.writelines(lines)

        def step(x: torch.Tensor) -> torch.Tensor:
            before = outside.limit
            bump()
            return x * before + outside.limit

        return step

    check(make, fallbacks=CALLS, graphs=8, opaque=8)


def test_random_generators_stand_where_they_would() -> None:
    def make(outside: Outside) -> Step:
        def noise() -> float:
            lines = ["noise\n"]
            outside.buffer.writelines(lines)
            return random.random() + float(torch.rand(1)) + float(numpy.random.random())

        def step(x: torch.Tensor) -> torch.Tensor:
            y = x + torch.rand(4) + random.random()
            y = y * noise() + torch.rand(4) + random.random()
            return y + 1 if bool((x.sum() > 0).item()) else y - 1

        return step

    check(
        make,
        argument=lambda call: torch.full((4,), 1.0 if call % 2 else -1.0),
        fallbacks=5,
        opaque=4,
    )


def test_who_looks_at_the_stack_finds_the_program() -> None:
    def make(outside: Outside) -> Step:
        def where() -> str:
            outside.buffer.writelines(["where\n"])
            frame = inspect.currentframe()
            lines = []
            for _ in range(3):
                assert frame is not None
                lines.append((frame.f_code.co_name, frame.f_lineno, frame.f_code.co_filename))
                frame = frame.f_back
            return str(lines)

        def inner() -> str:
            return where()

        def step(x: torch.Tensor) -> tuple[torch.Tensor, str]:
            text = inner()
            return x * 2, text

        return step

    check(make, fallbacks=2)


def test_a_traceback_shows_the_program_alone() -> None:
    outside = Outside()

    def fail(value: float) -> int:
        outside.buffer.writelines(["x"])
        if value > 2:
            raise ValueError("too large")
        return 1

    @bifront.function
    def step(x: torch.Tensor) -> torch.Tensor:
        return x * fail(x.sum().item())

    for _ in range(4):
        step(torch.ones(1))
    assert step.stats["graph_calls"] >= 1, bifront.explain(step)
    before = len(outside.buffer.getvalue())
    with pytest.raises(ValueError, match="too large") as caught:
        step(torch.ones(4))
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["step", "fail"] and names.count("step") == 1
    assert len(outside.buffer.getvalue()) == before + 1


def test_warnings_name_the_program_s_line(recwarn: pytest.WarningsRecorder) -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        warnings.warn("watch out", stacklevel=1)
        return x * 2

    converted = bifront.function(step)
    warnings.simplefilter("always")
    for _ in range(CALLS):
        converted(torch.ones(2))
    assert len(recwarn) == CALLS
    assert len({(warning.filename, warning.lineno) for warning in recwarn}) == 1
    assert recwarn[0].filename == __file__
    assert converted.stats["graph_calls"] >= 1, bifront.explain(converted)


def test_a_logger_s_records_name_the_program_s_line() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("tests.logged_calls")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)

    @bifront.function
    def step(x: torch.Tensor) -> torch.Tensor:
        logger.info("sum %.3f", x.sum().item())
        return x * 2

    for call in range(CALLS):
        step(torch.full((2,), float(call)))
    assert [record.getMessage() for record in records] == [f"sum {2.0 * i:.3f}" for i in range(8)]
    assert len({(record.lineno, record.funcName, record.pathname) for record in records}) == 1
    assert step.stats["graph_calls"] >= 1, bifront.explain(step)


def test_the_code_of_the_program_is_its_own_again() -> None:
    outside = Outside()

    def write(text: str) -> int:
        return outside.buffer.write(text)

    def step(x: torch.Tensor) -> torch.Tensor:
        write("a")
        return x + 1 if bool((x.sum() > 0).item()) else x - 1

    codes = write.__code__, step.__code__
    converted = bifront.function(step)
    for call in range(CALLS):
        converted(torch.full((2,), 1.0 if call % 3 else -1.0))
        assert (write.__code__, step.__code__) == codes
    assert outside.buffer.getvalue() == "a" * CALLS


class Counter:
    """A Python environment: its effects are counted."""

    def __init__(self) -> None:
        self.steps = 0
        self.random = random.Random(5)

    def step(self, action: int) -> tuple[Any, float, bool]:
        self.steps += 1
        state = numpy.array([self.steps, action, self.random.random()], dtype=numpy.float32)
        return state, float(action), self.steps % 4 == 0


def test_an_environment_s_step_is_one_call() -> None:
    environments = [Counter(), Counter()]

    def make(environment: Counter) -> Step:
        def step(x: torch.Tensor) -> torch.Tensor:
            action = int(x.argmax().item())
            state, reward, _ = environment.step(action)
            return torch.from_numpy(state) * reward + x.sum()

        return step

    eager, converted = make(environments[0]), bifront.function(make(environments[1]))
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(x), eager(x), "step")
        assert environments[0].steps == environments[1].steps
    assert converted.stats["graph_calls"] >= CALLS - 3, bifront.explain(converted)


PROGRAM = """
import bifront, torch, io, random
from tests.failing_on_purpose import fail_each

log = []

def effect(value):
    log.append(round(value, 3))
    buffer.writelines(["x"])
    return len(log) % 5

buffer = io.StringIO()

def run(step, x):
    torch.manual_seed(7)
    random.seed(7)
    log.clear()
    weights.data.fill_(0.5)
    weights.grad = None
    result = step(x)
    return result.tolist(), list(log), weights.tolist(), random.random(), torch.rand(1).item()

weights = torch.full((4,), 0.5, requires_grad=True)

def step(x):
    noise = torch.rand(4) + random.random()
    first = effect((x + noise).sum().item())
    loss = (weights * x * noise).sum() * (first + 1)
    loss.backward()
    second = effect(loss.item())
    with torch.no_grad():
        weights.sub_(weights.grad, alpha=0.1)
    return weights.detach() * second + 1

converted = bifront.function(step)
x = torch.arange(4.0)
for _ in range(5):
    expected = run(step, x)
    assert run(converted, x) == expected
assert converted.stats["graph_calls"] >= 1, bifront.explain(converted)
print(fail_each(lambda: run(step, x), lambda: run(converted, x)))
"""


def test_whatever_fails_the_calls_are_made_once(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 20


def test_struct_packs() -> None:
    def make(outside: Outside) -> Step:
        def step(x: torch.Tensor) -> tuple[torch.Tensor, bytes]:
            return x * 2, struct.pack(">d", x.sum().item())

        return step

    check(make)
