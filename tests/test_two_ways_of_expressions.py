"""Comparisons in chains, bools that count, and which tensor an expression has given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import same


def run(function: Callable[..., Any], *, graphs: int = 1, calls: int = 9) -> Any:
    converted = bifront.function(function)
    for call in range(calls):
        torch.manual_seed(call)
        x = torch.randn(4) + (call % 3 - 1)
        expected, actual = function(x), converted(x)
        same(actual, expected)
    assert converted.stats["graphs"] <= graphs, bifront.explain(converted)
    assert converted.stats["graph_calls"] >= calls - 3, bifront.explain(converted)
    return converted


def test_chain_of_tensors() -> None:
    run(lambda x: x if -0.5 < x.mean() <= x.max() < 2 else x * 0)


def test_value_of_a_chain() -> None:
    run(lambda x: (x.min() < x.mean() < 0.5, x.min() < 0 < x.max() < 1))


def test_chain_evaluates_once_and_stops() -> None:
    def function(x: Tensor) -> Any:
        seen: list[str] = []

        def note(name: str, value: Any) -> Any:
            seen.append(name)
            return value

        result = note("a", 0.0) < note("b", x.mean().item()) < note("c", 0.4) < note("d", 1.0)
        return result, seen, x * 1

    run(function, graphs=3)


def test_chain_of_numbers_and_other_objects() -> None:
    run(lambda x: (1 < 2 < x.shape[0] < 9, 3 in [3] in [[3]], x * (0 < x.sum().item() != 2)))


def test_chain_in_a_loop() -> None:
    def function(x: Tensor) -> Any:
        inside = 0
        for value in x:
            if -1 < value < 1:
                inside += 1
        return inside, x * inside

    run(function)


def test_bools_count() -> None:
    def function(x: Tensor) -> Any:
        big, low = x.max().item() > 1, x.min().item() < -1
        hits = 0
        hits += big
        return (
            big + low,
            big * 2.5,
            hits,
            int(low),
            -(big + 0),
            -big,
            ~low,
            big > 0.5,
            low == 0,
            big == low,
            big != True,  # noqa: E712
            big - True,
            3 & big,
            2**low,
            big & low,
        )

    run(function)


def test_bool_that_divides() -> None:
    def function(x: Tensor) -> Any:
        big = x.sum().item() > 0
        try:
            return 1 / big, x
        except ZeroDivisionError as error:
            return str(error), x

    run(function, graphs=2)


def test_tensors_of_bools() -> None:
    def function(x: Tensor) -> Any:
        big = x.sum().item() > 0
        return torch.tensor(big), torch.as_tensor([big, False]), torch.tensor([big, 2.0]), x * big

    run(function)


def test_which_tensor_a_branch_gives() -> None:
    def function(x: Tensor) -> Any:
        low, high = x.min() * 1, x.max() * 1
        given = low if x.sum() > 0 else high
        other = high if x.mean() > 0.3 else given
        return (
            given is low,
            given is high,
            other is low,
            other is given,
            given is not other,
            x is given,
        )

    run(function)


def test_which_tensor_and_whether_it_is_written() -> None:
    def function(x: Tensor) -> Any:
        total, peak = x.sum() > 0, x.max() > 1
        both, either = total and peak, total or peak
        if both is peak:
            peak.logical_not_()
        return both, either, peak, both is either

    run(function, graphs=3)


@pytest.mark.parametrize("value", [0.5, -0.0, math.nan, math.inf, -math.inf, 1.7e308, -5e-324])
@pytest.mark.parametrize("ask", [math.isnan, math.isinf, math.isfinite])
def test_kinds_of_reals(ask: Callable[[float], bool], value: float) -> None:
    def function(x: Tensor) -> Any:
        number = x.sum().item()
        return ask(number), x if ask(number) else -x

    converted = bifront.function(function)
    for call in range(6):
        x = torch.tensor([value if call % 2 else 1.0], dtype=torch.float64)
        assert str(converted(x)) == str(function(x))
    assert converted.stats["graphs"] == 1
    assert converted.stats["opaque_calls"] == 0


@pytest.mark.parametrize(
    "compute",
    [
        lambda n: math.hypot(n, 3),
        lambda n: math.hypot(n, n, 1.5),
        lambda n: math.isclose(n, 1.5),
        lambda n: math.atan2(n, -1),
        lambda n: math.gcd(12, int(n)),
        lambda n: math.lcm(int(n), 4),
        lambda n: (math.erf(n), math.erfc(n), math.degrees(n), math.radians(n), math.fabs(n)),
        lambda n: math.copysign(n, -1.0),
    ],
)
@pytest.mark.parametrize("use", ["returned", "computed", "decides"])
def test_functions_of_math_that_are_left_to_the_end(
    compute: Callable[[float], Any], use: str
) -> None:
    def function(x: Tensor) -> Any:
        result = compute(x.sum().item())
        if use == "returned":
            return result, x * 2
        if isinstance(result, tuple):
            result = result[0]
        if use == "computed":
            return x * (result + 1)
        return x if result > 0.5 else -x

    converted = bifront.function(function)
    values = [1.5, -2.0, 4.0, 0.0, 12.0, 6.5, 2.0, -3.0]
    for value in values:
        x = torch.tensor([value], dtype=torch.float64)
        assert str(converted(x)) == str(function(x))
    assert converted.stats["graph_calls"] >= 3, bifront.explain(converted)
    if use == "returned":
        assert converted.stats["opaque_calls"] == 0
        assert converted.stats["graphs"] == 1


def test_mappings_that_are_no_dicts() -> None:
    class Squares:
        def __init__(self, size: int) -> None:
            self.size = size

        def keys(self) -> Any:
            return range(self.size)

        def __getitem__(self, key: int) -> int:
            return key * key

    def function(x: Tensor) -> Any:
        table = {5: 1}
        table.update(Squares(2))
        table.update([(9, 9)])
        return dict(Squares(3)), dict([(1, 2)], a=3), dict(Squares(2), b=1), table, x * 2

    run(function)


def test_generator_in_a_cell_waits_at_the_end() -> None:
    ended: list[str] = []

    def function(x: Tensor) -> Any:
        def averager() -> Any:
            total, count, mean = 0.0, 0, None
            try:
                while True:
                    total = total + (yield mean)
                    count += 1
                    mean = total / count
            finally:
                ended.append("ended")

        average = averager()
        next(average)
        return [average.send(row) for row in x]

    converted = bifront.function(function)
    for call in range(6):
        x = torch.randn(3) + call
        expected, count = function(x), len(ended)
        torch.testing.assert_close(converted(x), expected)
        assert len(ended) == count + 1


def test_class_statement_in_a_nested_function() -> None:
    def function(x: Tensor) -> Any:
        class Table:
            sizes = [n * 2 for n in range(3)]  # noqa: RUF012
            name = "Table"
            total = sum(sizes)

        Table.sizes.append(1)
        return x * Table.total, Table.sizes, Table.__qualname__, Table.name

    run(function)
