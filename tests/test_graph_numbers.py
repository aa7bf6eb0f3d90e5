"""float(), int() and torch.tensor() of numbers that only the run of the graph knows."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import Box, X, check, several


@pytest.mark.parametrize(
    "use",
    [
        lambda v, n, x: float(v) * x,
        lambda v, n, x: (float(n), int(n), x),
        lambda v, n, x: torch.tensor(v) + x,
        lambda v, n, x: torch.tensor([v, n, 2, True]),
        lambda v, n, x: torch.tensor((n, 3)),
        lambda v, n, x: torch.tensor([n > 2, True]),
        lambda v, n, x: torch.tensor([n, v], dtype=torch.float64),
        lambda v, n, x: torch.tensor([n], dtype=torch.int32),
        lambda v, n, x: torch.tensor([n, 2], dtype=torch.float16),
        lambda v, n, x: torch.tensor([n, 2], dtype=None),
    ],
)
def test_of_numbers_that_vary(use: Callable[..., Any]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.n += 1
        state.v *= 1.5
        return use(state.v, state.n, x)

    converted = check(lambda: (function, Box(v=1.0, n=0)), several(8))
    assert converted.stats["graphs"] == 1, converted.stats["exits"]
    assert converted.stats["conversions"] <= 2  # which way `n > 2` goes is seen later


def test_of_values_of_tensors() -> None:
    def function(state: Any, x: Tensor) -> Any:
        v = x.mean().item()
        return float(v) * x, torch.tensor([v, 2.0]), float(x.argmax().item())

    converted = check(lambda: (function, Box()), several(8))
    assert converted.stats["conversions"] == 1


def test_real_numbers_are_cut_off() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.v += 0.5
        return torch.tensor([state.v], dtype=torch.int64), int(state.v), x

    check(lambda: (function, Box(v=0.0)), several(8))


def test_what_torch_refuses() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.n += 1
        try:
            return torch.tensor([state.n, "text"])
        except (TypeError, ValueError) as error:
            return type(error).__name__, x

    check(lambda: (function, Box(n=0)), several(6), graph_calls=0)


def test_list_of_the_numbers_grows() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.seen.append(x.sum().item())
        return torch.tensor(state.seen[-2:]) + torch.tensor(state.seen[0])

    check(lambda: (function, Box(seen=[1.0])), several(9))


def test_dict_of_numbers_is_written_on_one_way() -> None:
    """The collector hears of the dict when a number of the graph is put in it."""

    def function(state: Any, x: Tensor) -> Any:
        v = x.mean().item()
        if v < state.best["v"]:
            state.best["v"] = v
        return max(v * 0.5, 0.1)

    calls = [(X * (1 - call % 3),) for call in range(9)]
    converted = check(lambda: (function, Box(best={"v": float("inf")})), calls)
    assert converted.stats["graphs"] == 1, converted.stats["exits"]


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, t: math.cos(t),
        lambda x, t: math.exp(-abs(x.sum())),
        lambda x, t: math.hypot(3, x.sum().item()),
        lambda x, t: math.isnan(x.sum()),
        lambda x, t: math.sqrt(abs(t)) * math.log1p(t * t),
        lambda x, t: math.floor(t * 3.5) + math.ceil(x.sum().item()),
        lambda x, t: math.copysign(1.0, t) if math.isclose(t, 2.5) else math.pow(2.0, t),
    ],
)
def test_math_of_floats_of_the_graph(compute: Callable[..., Any]) -> None:
    """To the last bit, by Python's own functions."""
    state = types.SimpleNamespace(t=0.5)

    def step(x: Tensor) -> Any:
        state.t += 0.25
        value = compute(x, state.t)
        return x * value, value

    converted = bifront.function(step)
    torch.manual_seed(0)
    for _ in range(12):
        x, before = torch.randn(3), state.t
        expected = step(x)
        state.t = before
        actual = converted(x)
        assert torch.equal(actual[0], expected[0])
        assert repr(actual[1]) == repr(expected[1])
    stats = converted.stats
    assert stats["graph_calls"] >= 8, bifront.explain(converted)
    assert (stats["graphs"], stats["forms"]) == (1, 1), bifront.explain(converted)


def test_math_domain_errors_are_pythons() -> None:
    def step(x: Tensor) -> Any:
        return x * math.sqrt(x.sum().item())

    converted = bifront.function(step)
    for call in range(8):
        x = torch.ones(2) * (-1 if call % 3 == 2 else call + 1)
        if call % 3 == 2:
            with pytest.raises(ValueError, match="math domain error"):
                converted(x)
        else:
            assert torch.equal(converted(x), step(x))
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        (math.log, [1.0, 2.0, 3.0, 0.0, -1.0, 2.5]),
        (math.sqrt, [1.0, 2.0, 3.0, -1.0, 4.0, 0.0]),
        (math.exp, [1.0, 2.0, 3.0, 1000.0, -1000.0, 0.0]),
        (math.sin, [1.0, 2.0, 3.0, math.inf, 0.5, math.nan]),
        (math.atan, [1.0, 2.0, 3.0, math.inf, 0.5, math.nan]),
    ],
)
def test_functions_of_math_raise_where_python_does(
    function: Callable[[float], float], numbers: list[float]
) -> None:
    def step(x: Tensor) -> Tensor:
        return x * function(x.sum().item())

    converted = bifront.function(step)
    for number in numbers:
        x = torch.tensor([number], dtype=torch.float64)
        outcomes = []
        for called in (converted, step):
            try:
                outcomes.append(called(x).item())
            except (ValueError, OverflowError) as error:
                outcomes.append(repr(error))
        assert repr(outcomes[0]) == repr(outcomes[1]), number
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)


def test_functions_of_math_of_sizes() -> None:
    def step(x: Tensor) -> Tensor:
        return x / math.sqrt(x.size(0)) + math.log(x.size(0) - 2)

    converted = bifront.function(step)
    for size in (3, 4, 5, 2, 6, 7):
        x = torch.ones(size)
        try:
            expected = step(x)
        except ValueError:
            with pytest.raises(ValueError, match=r"domain|positive"):
                converted(x)
        else:
            assert torch.equal(converted(x), expected)
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)


def test_int_of_a_float_that_only_the_run_knows() -> None:
    def function(state: Any, x: Tensor) -> Any:
        whole = int(x.sum().item())
        return torch.arange(20)[whole], x * int(-x.sum().item())

    calls = [(torch.tensor([1.25 * i, 1.5]),) for i in range(1, 9)]
    converted = check(lambda: (function, Box()), calls)
    assert converted.stats["graphs"] == 1, converted.stats["exits"]


@pytest.mark.parametrize(
    "last",
    [(math.inf, -math.inf), (math.inf, 0), (-math.inf, 0), (1e30, 0)],
    ids=["nan", "inf", "-inf", "large"],
)
def test_int_of_a_float_that_is_no_int_of_the_graph(last: tuple[float, float]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        try:
            return x[:1] * (int(x.sum().item()) % 3)
        except (ValueError, OverflowError) as error:
            return str(error)

    values = [(1.5, 0), (2.5, 0), (3.5, 0), last, (4.5, 0), last]
    check(lambda: (function, Box()), [(torch.tensor(v),) for v in values], graph_calls=0)


def test_membership_in_sets() -> None:
    """Of numbers, and of tuples of them: the path is to know them."""

    def function(state: Any, x: Tensor) -> Any:
        i, j = x.argmax().item(), x.argmin().item()
        seen = {0, (1, 2)}
        first = i in seen, (i, j) in seen
        seen.add((i, j))
        state.n += (j, i) not in seen
        return x * 2, first, (i, j) in seen, len(seen)

    calls = [(X.roll(call % 3) + call,) for call in range(12)]
    check(lambda: (function, Box(n=0)), calls, graph_calls=8)
