"""Iterators and generators from before the call move on in it: opaque calls, each made once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 10


def halved(seen: list[float]) -> Iterator[float]:
    rate = 1.0
    while True:
        seen.append(rate)
        yield rate
        rate *= 0.5


def few(seen: list[float]) -> Iterator[int]:
    for i in range(6):
        seen.append(i)
        yield i


def counted(seen: list[float]) -> Iterator[int]:
    return itertools.count(3)


def cycled(seen: list[float]) -> Iterator[float]:
    return itertools.cycle([1.0, -1.0, 0.5])


def kinds(seen: list[float]) -> Iterator[Any]:
    return itertools.cycle([1, 0.5, "a", None, (2, 3), [4]])


def multiplied(source: Any, x: Tensor) -> Any:
    return x * next(source)


def with_a_default(source: Any, x: Tensor) -> Any:
    return x, next(source, None)


def twice(source: Any, x: Tensor) -> Any:
    first = next(source)
    return x * 2, first, next(source)


def sent_to(source: Any, x: Tensor) -> Any:
    return x * source.send(None)


def by_its_method(source: Any, x: Tensor) -> Any:
    return x * 2, source.__next__()


def until_it_ends(source: Any, x: Tensor) -> Any:
    try:
        return x * next(source)
    except StopIteration:
        return x - 1


def by_the_data(source: Any, x: Tensor) -> Any:
    y = x * 2
    if y.sum() > 0:
        return y, next(source, None)
    return y * next(source, 3)


def as_it_is(source: Any, x: Tensor) -> Any:
    return x * 2, next(source)


def in_a_loop(source: Any, x: Tensor) -> Any:
    for _ in range(2):
        x = x + next(source)
    return x


def the_rest(source: Any, x: Tensor) -> Any:
    return x, list(itertools.islice(source, 2))


def gone_through(source: Any, x: Tensor) -> Any:
    for number in source:
        x = x + number
        if number >= 2 or number < 0.3:
            break
    return x


@pytest.mark.parametrize("make", [halved, few, counted, cycled])
@pytest.mark.parametrize(
    "step",
    [
        multiplied,
        with_a_default,
        twice,
        by_its_method,
        until_it_ends,
        by_the_data,
        in_a_loop,
        the_rest,
        gone_through,
    ],
)
def test_it_moves_on(step: Callable[..., Any], make: Callable[[list[float]], Any]) -> None:
    compare(step, make)


def test_it_is_a_graph() -> None:
    for make in (halved, counted, cycled):
        converted = compare(multiplied, make)
        assert converted.stats["graph_calls"] >= CALLS - 3, bifront.explain(converted)


def test_of_any_kind() -> None:
    compare(as_it_is, kinds)


def test_what_is_sent() -> None:
    compare(sent_to, halved)


def compare(step: Callable[..., Any], make: Callable[[list[float]], Any]) -> Any:
    seen: tuple[list[float], list[float]] = ([], [])
    sources = [make(each) for each in seen]
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for i, run in enumerate((step, converted)):
            torch.manual_seed(call)
            try:
                result = run(sources[i], torch.randn(3))
            except (StopIteration, TypeError) as error:
                result = (type(error), str(error))
            outcomes.append([result, seen[i]])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    return converted


def test_its_code_changes_what_the_graph_reads() -> None:
    """The guards find it behind the call, and CPython's run goes on with its result."""

    class Box:
        factor = 1.0

    boxes = [Box(), Box()]

    def source(box: Any) -> Iterator[int]:
        for i in range(100):
            box.factor = 1.0 + i // 3
            yield i

    def make(box: Any) -> Callable[[Tensor], Any]:
        numbers = source(box)

        def step(x: Tensor) -> Any:
            before = box.factor
            number = next(numbers)
            return x * before + number * box.factor

        return step

    eager, converted = make(boxes[0]), bifront.function(make(boxes[1]))
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(x), eager(x), "changed")
        assert vars(boxes[0]) == vars(boxes[1])


def test_its_code_sees_what_the_call_has_written() -> None:
    class Box:
        calls = 0

    boxes = [Box(), Box()]

    def source(box: Any) -> Iterator[int]:
        while True:
            yield box.calls * 10

    def make(box: Any) -> Callable[[Tensor], Any]:
        numbers = source(box)

        def step(x: Tensor) -> Any:
            box.calls += 1
            return x + next(numbers)

        return step

    eager, converted = make(boxes[0]), bifront.function(make(boxes[1]))
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(x), eager(x), "seen")


def test_of_tensors() -> None:
    """No opaque call may return one."""
    batches = [torch.full((3,), float(i)) for i in range(20)]
    sources = [iter(batches), iter(batches)]

    def step(source: Any, x: Tensor) -> Any:
        return x * next(source)

    converted = bifront.function(step)
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(sources[1], x), step(sources[0], x), "batches")


PROGRAM = """
import bifront, torch
from tests.failing_on_purpose import fail_each
from tests.test_outside_iterators import halved

class Side:
    def __init__(self):
        self.seen = []
        self.weights = torch.full((3,), 0.5, requires_grad=True)
        self.numbers = halved(self.seen)

def make(side):
    def step(x):
        noise = torch.rand(3)
        loss = (side.weights * x * noise).sum() * (1 + next(side.numbers))
        loss.backward()
        with torch.no_grad():
            side.weights.sub_(side.weights.grad, alpha=0.1)
        side.weights.grad = None
        return loss.item() + next(side.numbers)
    return step

sides = [Side(), Side()]
steps = [make(sides[0]), bifront.function(make(sides[1]))]

def run(i):
    torch.manual_seed(len(sides[i].seen))
    return steps[i](torch.arange(3.0)), sides[i].weights.tolist(), sides[i].seen[-3:], torch.rand(1)

for _ in range(5):
    assert run(1) == run(0)
assert steps[1].stats["graph_calls"] >= 1, bifront.explain(steps[1])
print(fail_each(lambda: run(0), lambda: run(1)))
"""


def test_whatever_fails_it_moves_on_once(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 15
