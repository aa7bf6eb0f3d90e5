"""Loops over the program's generators are as those that stand in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

LENGTHS = [5, 9, 3, 20, 30, 4, 8, 1, 7, 40]
Step = Callable[[Tensor], Any]


def outcomes(step: Step, lengths: list[int], grad: bool = False) -> list[Any]:
    torch.manual_seed(0)
    found = []
    for length in lengths:
        x = torch.randn(length, 3, requires_grad=grad)
        try:
            result = step(x)
        except Exception as raised:
            result = type(raised), str(raised)
        if grad:
            result[0].backward()
        found.append((result, x.grad))
    return found


def assert_same(step: Step, lengths: list[int], grad: bool = False) -> Any:
    converted = bifront.function(step)
    expected, actual = outcomes(step, lengths, grad), outcomes(converted, lengths, grad)
    for call, (one, other) in enumerate(zip(expected, actual, strict=True)):
        assert_same_value(other, one, f"call {call}")
    return converted


def pieces(x: Tensor, size: int = 4) -> Iterator[Tensor]:
    for start in range(0, x.shape[0], size):
        yield x[start : start + size]


def falling(x: Tensor) -> Iterator[Tensor]:
    while x.norm() > 0.5:
        x = x * 0.7
        yield x


# ===- Of the graph, with a loop of the graph in them ----------------------------------------------


def sums(x: Tensor) -> Any:
    total, count = torch.zeros(3), 0
    for piece in pieces(x):
        total = total * 0.9 + piece.sum(0)
        count += piece.shape[0]
    return total.sum(), count


def until(x: Tensor) -> Any:
    count = 0
    last = x
    for last in falling(x):
        count += 1
    return last.sum(), count


def numbered(x: Tensor) -> Any:
    total = x.sum() * 0
    for i, piece in enumerate(pieces(x)):
        total = total + piece.sum() * i
    for i, row in enumerate(falling(x), start=3):
        total = total + row.sum() * i
    return total, i


def comprehended(x: Tensor) -> Any:
    return torch.stack([piece.sum() for piece in pieces(x)]).sum(), sum(
        piece.norm() for piece in falling(x)
    )


def through(x: Tensor) -> Any:
    def rows(x: Tensor) -> Iterator[Tensor]:
        found = yield from falling(x)
        if found is not None:
            raise ValueError("it returns nothing")
        yield x[0]
        for piece in pieces(x):
            yield piece.sum(0)

    total = x.sum() * 0
    for row in rows(x):
        total = total + row.sin().sum()
    return total, x.shape


def counted(x: Tensor) -> Any:
    def starts() -> Iterator[int]:
        yield from range(0, x.shape[0], 4)

    total = x.sum() * 0
    for start in starts():
        total = total + x[start].sum() * start
    return total, start


def two_deep(x: Tensor) -> Any:
    total = x.sum() * 0
    for piece in pieces(x, 8):
        for row in falling(piece):
            total = total + row.sum()
            if total > 1:
                total = total / 2
    return total, piece.shape


def kept_in_objects(x: Tensor) -> Any:
    class Sum:
        value: Any = 0.0
        calls = 0

    mine = Sum()

    def rows(scale: float) -> Iterator[Tensor]:
        for row in falling(x):
            mine.calls += 1
            yield row * scale

    for row in rows(2.0):
        mine.value = mine.value + row.sum()
    return x.sum() + mine.value, mine.calls


def skipping(x: Tensor) -> Any:
    total, skipped = x.sum() * 0, 0
    for row in falling(x):
        if row.sum() > 0:
            skipped += 1
            continue
        total = total + row.sum()
    return total, skipped


def with_else(x: Tensor) -> Any:
    total = x.sum() * 0
    for row in falling(x):
        total = total + row.sum()
    else:
        total = total * 2
    return total, None


OF_THE_GRAPH = [
    sums,
    until,
    numbered,
    comprehended,
    through,
    counted,
    two_deep,
    kept_in_objects,
    skipping,
    with_else,
]


@pytest.mark.parametrize("step", OF_THE_GRAPH, ids=lambda step: step.__name__)
def test_loops_of_generators_are_loops_of_the_graph(step: Step) -> None:
    converted = assert_same(step, LENGTHS)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] >= len(LENGTHS) - 2, bifront.explain(converted)
    assert "bf.while" in str(converted.graph_texts) or "scf.while" in str(converted.graph_texts)


@pytest.mark.parametrize(
    "step", [until, numbered, through, skipping], ids=lambda step: step.__name__
)
def test_gradients_go_through_them(step: Step) -> None:
    converted = assert_same(step, LENGTHS, grad=True)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


# ===- Left early, or known ------------------------------------------------------------------------


def broken_off(x: Tensor) -> Any:
    for i, row in enumerate(falling(x)):
        if row.norm() < 2:
            break
    else:
        return x.sum(), -1
    return row.sum(), i


def returned(x: Tensor) -> Any:
    for piece in pieces(x):
        if piece.sum() > 0:
            return piece.sum(), 1
    return x.sum(), 0


def first_of(x: Tensor) -> Any:
    for piece in pieces(x):
        break
    return piece.sum(), piece.shape


def some(x: Tensor) -> Any:
    def found() -> Iterator[Tensor]:
        if x.sum() > 0:
            yield x
        yield x * 2
        if x.norm() > 4:
            return
        yield x * 3

    total = x.sum() * 0
    for value in found():
        total = total + value.norm()
    return total, len(list(found()))


def raised_by_the_body(x: Tensor) -> Any:
    total = x.sum() * 0
    try:
        for piece in pieces(x):
            total = total + piece.sum()
            if piece.shape[0] < 4:
                raise ValueError("short")
    except ValueError as short:
        return total, str(short)
    return total, ""


def stops_in_the_generator(x: Tensor) -> Any:
    def values() -> Iterator[Tensor]:
        rest = iter([x])
        while True:
            yield next(rest)

    total = x.sum() * 0
    try:
        for value in values():
            total = total + value.sum()
    except RuntimeError as error:
        return total, str(error)
    return total, ""


def stops_in_the_body(x: Tensor) -> Any:
    rest = iter([1.0])
    total = x.sum() * 0
    try:
        for piece in pieces(x, 1):
            total = total + piece.sum() * next(rest)
    except StopIteration:
        return total, "ended"
    return total, ""


def guarded(x: Tensor) -> Any:
    said = []

    def values() -> Iterator[Tensor]:
        try:
            yield x
            yield x * 2
        finally:
            said.append("closed")

    for value in values():
        said.append("value")
        break
    return value.sum(), said


def within(x: Tensor) -> Any:
    said = []

    @contextlib.contextmanager
    def noted() -> Iterator[None]:
        said.append("in")
        yield
        said.append("out")

    def values() -> Iterator[Tensor]:
        with noted():
            yield x
        yield x * 2

    for value in values():
        said.append("value")
    return value.sum(), said


def of_others(x: Tensor) -> Any:
    values = falling(x)
    first = next(values, x)
    total = first.sum()
    for value in values:
        total = total + value.sum()
    return total, list(values)


def known_elsewhere(x: Tensor) -> Any:
    kept = []

    def made() -> Iterator[Tensor]:
        kept.append(pieces(x))
        return kept[0]

    total = x.sum() * 0
    for piece in made():
        total = total + piece.sum()
        for other in kept[0]:
            total = total + other.norm()
    return total, len(list(kept[0]))


def while_it_yields_itself(x: Tensor) -> Any:
    def doubled() -> Iterator[Tensor]:
        for row in falling(x):
            yield row * 2

    pairs = zip(doubled(), falling(x))
    return sum((a - b).sum() for a, b in pairs) + x.sum(), x.shape


def over_expressions(x: Tensor) -> Any:
    def rows() -> Iterator[Tensor]:
        for row in (row * 2 for row in x):
            yield row.cos()
        yield from (row * 3 for row in x)

    total = x.sum() * 0
    for row in rows():
        total = total + row.sin().sum()
    return total, x.shape


def recursive(x: Tensor) -> Any:
    def leaves(part: Tensor) -> Iterator[Tensor]:
        if part.shape[0] <= 2:
            yield part
            return
        half = part.shape[0] // 2
        yield from leaves(part[:half])
        for leaf in leaves(part[half:]):
            yield leaf * 2

    total, count = x.sum() * 0, 0
    for leaf in leaves(x):
        total = total + leaf.sum()
        count += 1
    return total, count


KNOWN = [
    broken_off,
    returned,
    first_of,
    some,
    raised_by_the_body,
    stops_in_the_generator,
    stops_in_the_body,
    guarded,
    within,
    of_others,
    known_elsewhere,
    while_it_yields_itself,
    over_expressions,
    recursive,
]


@pytest.mark.parametrize("step", KNOWN, ids=lambda step: step.__name__)
def test_what_else_loops_do_is_done_as_by_cpython(step: Step) -> None:
    assert_same(step, [4, 4, 4, *LENGTHS])


# ===- Ends that the program sees ------------------------------------------------------------------


def closing(x: Tensor, said: list[str]) -> Iterator[Tensor]:
    try:
        yield x
        yield x * 2
    finally:
        said.append("closed")


def through_closing(x: Tensor, said: list[str]) -> Iterator[Tensor]:
    for value in closing(x, said):
        yield value + 1
    said.append("ended")


def left_by_an_exception(x: Tensor, values: Callable[..., Iterator[Tensor]]) -> Any:
    said: list[str] = []
    try:
        for value in values(x, said):
            said.append("body")
            raise ValueError
    except ValueError:
        said.append("handler")
    return value.sum(), said


def left_in_a_function(x: Tensor, values: Callable[..., Iterator[Tensor]]) -> Any:
    said: list[str] = []

    def inner() -> None:
        for value in values(x, said):
            said.append(f"body {value.shape}")
            raise ValueError

    with contextlib.suppress(ValueError):
        try:
            inner()
        finally:
            said.append("finally")
    return x.sum(), said


def kept_by_a_traceback(x: Tensor, values: Callable[..., Iterator[Tensor]]) -> Any:
    said: list[str] = []

    def inner() -> None:
        mine = values(x, said)
        next(mine)
        raise ValueError

    try:
        inner()
    except ValueError:
        said.append("handler")
    said.append("behind")
    return x.sum(), said


@pytest.mark.parametrize("values", [closing, through_closing], ids=lambda made: made.__name__)
@pytest.mark.parametrize(
    "step",
    [left_by_an_exception, left_in_a_function, kept_by_a_traceback],
    ids=lambda step: step.__name__,
)
def test_generators_end_when_cpythons_do(step: Any, values: Any) -> None:
    assert_same(lambda x: step(x, values), [4, 4, 4, 5])
