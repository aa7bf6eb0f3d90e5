"""Opaque calls: made when the graph runs, in the program's order, and taken back where it fails."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy
import pytest
import torch
from torch import nn

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 8


class Sources:
    """Random sources of one side. The shared ones of the modules belong to all sides."""

    def __init__(self) -> None:
        self.python = random.Random(3)
        self.numpy = numpy.random.default_rng(3)
        self.legacy = numpy.random.RandomState(3)
        bits = numpy.random.MT19937(3)
        self.one, self.other = numpy.random.Generator(bits), numpy.random.Generator(bits)

    def states(self) -> list[Any]:
        legacy = [
            (kind, keys.tolist(), *rest)
            for kind, keys, *rest in (self.legacy.get_state(), numpy.random.get_state())
        ]
        shared = self.one.bit_generator.state
        shared["state"]["key"] = shared["state"]["key"].tolist()
        python = [random.getstate(), self.python.getstate()]
        return [*python, self.numpy.bit_generator.state, shared, *legacy]


Step = Callable[..., Any]


def check(
    make: Callable[[Sources], Step],
    *,
    argument: Callable[[int], Any] = lambda call: torch.randn(4),
    fallbacks: int = 0,
    opaque: int = 1,
    graphs: int = 1,
) -> Any:
    """Run the step eager and converted; compare results, exceptions and all states."""
    sides = [Sources(), Sources()]
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
            outcomes.append(([result, x], side.states()))
        (expected, states), (actual, others) = outcomes
        assert_same_value(actual, expected, f"call {call}")
        assert states == others, f"call {call}: the random streams differ"
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    assert 1 <= stats["opaque_calls"] <= opaque, bifront.explain(converted)
    return converted


DRAWS: dict[str, Callable[[Sources], Step]] = {
    "random": lambda s: lambda x: x * random.random(),
    "uniform": lambda s: lambda x: x * random.uniform(1, 2),
    "own random": lambda s: lambda x: x * s.python.random(),
    "bits": lambda s: lambda x: x * s.python.getrandbits(5),
    "numpy": lambda s: lambda x: x * numpy.random.rand(),
    "numpy's int": lambda s: lambda x: x * numpy.random.randint(10),
    "generator": lambda s: lambda x: x * s.numpy.standard_normal(),
    "keywords": lambda s: lambda x: x + s.numpy.uniform(low=2.0, high=3.0),
    "legacy": lambda s: lambda x: x * s.legacy.normal(),
    "result": lambda s: lambda x: (x + 1, s.numpy.random(), s.python.getrandbits(3)),
    "both of one state": lambda s: lambda x: x * s.one.random() - s.other.random() * s.one.random(),
    "nobody looks": lambda s: lambda x: (s.python.random(), x + 1)[1],
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws(name: str) -> None:
    check(DRAWS[name], opaque=3)


def test_one_expression_of_the_program_is_one_opaque_call() -> None:
    """However often the library's code draws for it, and whatever texts and lists it is given."""
    check(lambda s: lambda x: x[s.python.sample(range(len(x)), 2)], opaque=1)
    check(lambda s: lambda x: x * s.python.random() * s.python.random(), opaque=2)


def test_what_is_drawn_for_follows_from_a_tensor() -> None:
    check(lambda s: lambda x: x * s.numpy.normal(x.sum().item(), 2.0))


def test_a_draw_decides() -> None:
    def make(s: Sources) -> Step:
        def step(x: Any) -> Any:
            if s.python.random() < 0.5:
                return x.flip(0)
            return x * 2

        return step

    check(make, fallbacks=2)


def test_draws_in_a_loop_of_the_graph() -> None:
    def make(s: Sources) -> Step:
        def step(x: Any) -> Any:
            count = 0
            while s.python.random() < 0.6:
                x = x * 2 + s.numpy.random()
                count += 1
            return x, count

        return step

    check(make, fallbacks=2, opaque=3)  # the condition is there twice


def test_a_draw_decides_about_layers_that_train() -> None:
    def make(s: Sources) -> Step:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            h = model[0](x)
            scale = s.python.random()
            h = model[1](h) * scale if scale < 0.5 else model[1](h)
            loss = (h * h).sum()
            loss.backward()
            optimizer.step()
            return loss.detach(), [p.detach().clone() for p in model.parameters()]

        return step

    check(make, fallbacks=2)


def test_a_draw_scales_what_trains() -> None:
    def make(s: Sources) -> Step:
        torch.manual_seed(0)
        layer = nn.Linear(4, 4)

        def step(x: Any) -> Any:
            layer.zero_grad()
            (layer(x) * s.numpy.uniform(1.0, 2.0) * x.sum().item()).sum().backward()
            return [p.grad.clone() for p in layer.parameters()]

        return step

    check(make)


def test_what_fails_behind_a_draw_takes_it_back() -> None:
    """The first graph asserts the way that its call goes."""

    def make(s: Sources) -> Step:
        def step(x: Any) -> Any:
            drawn = s.python.random() + s.numpy.random() + s.legacy.rand() + s.one.random()
            if x.sum() > 0:
                return x * drawn, s.other.random()
            return x - drawn

        return step

    converted = check(
        make,
        argument=lambda call: torch.full((4,), 1.0 if call % 3 else -1.0),
        fallbacks=2,
        opaque=9,
        graphs=2,
    )
    assert converted.stats["exits"].get("AssertionFailed", 0) >= 1


def test_a_call_that_raises() -> None:
    def make(s: Sources) -> Step:
        def step(x: Any) -> Any:
            first = s.python.random()
            return first * s.numpy.normal(0.0, x.sum().item())

        return step

    check(
        make,
        argument=lambda call: torch.full((4,), -1.0 if call in (3, 5) else 1.0),
        fallbacks=2,
        opaque=2,
    )


def test_seeding_is_a_call_too() -> None:
    def make(s: Sources) -> Step:
        def step(x: Any) -> Any:
            s.legacy.seed(5)
            return x * s.legacy.rand()

        return step

    check(make, opaque=2)


def test_the_clock_is_read_in_each_run() -> None:
    def step(x: Any) -> Any:
        before = time.perf_counter()
        y = x * 2
        return y, time.perf_counter() - before, time.time_ns()

    converted = bifront.function(step)
    results = [converted(torch.ones(3)) for _ in range(6)]
    assert all(elapsed > 0 for _, elapsed, _ in results)
    stamps = [stamp for *_, stamp in results]
    assert stamps == sorted(stamps) and len(set(stamps)) == 6
    assert converted.stats["graph_calls"] == 5 and converted.stats["opaque_calls"] == 3


def test_what_is_called_has_a_name_and_a_line() -> None:
    buffer = io.StringIO()

    def step(x: Any) -> Any:
        y = x * time.perf_counter()
        buffer.writelines(["a step\n"])
        return y

    converted = bifront.function(step)
    for _ in range(5):
        converted(torch.ones(3))
    first = step.__code__.co_firstlineno
    expected = [
        (f"{__file__}:{first + 1}", "time.perf_counter"),
        (f"{__file__}:{first + 2}", "_IOBase.writelines"),
    ]
    assert sorted(converted.opaque_calls) == expected
    explained = bifront.explain(converted)
    assert all(f"calls in Python: {name}" in explained for _, name in expected)


def test_a_draw_into_an_array_is_left_to_cpython() -> None:
    arrays = numpy.zeros(3), numpy.zeros(3)
    sides = Sources(), Sources()

    def make(s: Sources, array: Any) -> Step:
        def step(x: Any) -> Any:
            s.numpy.standard_normal(out=array)
            s.numpy.random(3, numpy.float64, array)
            return x * 2

        return step

    step = make(sides[0], arrays[0])
    converted = bifront.function(make(sides[1], arrays[1]))
    for _ in range(3):
        converted(torch.ones(2))
        step(torch.ones(2))
        assert arrays[0].tolist() == arrays[1].tolist()
        assert sides[0].states() == sides[1].states()
    assert converted.stats["graphs"] == 0


def test_a_source_that_the_call_makes_is_left_to_cpython() -> None:
    converted = bifront.function(lambda x: x * random.Random(3).random())
    for _ in range(3):
        expected = torch.ones(2) * random.Random(3).random()
        torch.testing.assert_close(converted(torch.ones(2)), expected)
    assert converted.stats["graphs"] == 0


FAILS = """
import random, torch, bifront, numpy
from bifront import _core
from tests.test_opaque_calls import Sources
from tests.same_function import assert_same_value

def make(s):
    def step(x):
        a = s.python.random()
        y = x * a + s.numpy.random()
        if y.sum() > 1e9:
            return y
        return y - s.legacy.rand(), s.one.random()
    return step

sides = Sources(), Sources()
step, converted = make(sides[0]), bifront.function(make(sides[1]), max_graphs=3)
failures = 0
for kind in ("opaque", "check"):
    for nth in range(30):
        for fails in (0, nth):
            _core.fail_nth(kind, fails)
            x = torch.randn(3)
            actual, seen = converted(x), _core.events_seen()
            _core.fail_nth(kind, 0)
            assert_same_value(actual, step(x), f"{kind} {nth}")
            assert sides[0].states() == sides[1].states(), (kind, nth)
            failures += 0 < fails <= seen
print(failures, converted.stats)
assert failures >= 15, failures
"""


def test_each_failure_on_purpose_leaves_the_random_streams_as_cpython_does(tmp_path: Path) -> None:
    run_program(tmp_path, FAILS)
