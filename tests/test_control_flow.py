"""Branches and loops that depend on tensors, inside one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

PROGRAMS: dict[str, Callable[[Tensor], Any]] = {}
CALLS = 8


def program(fn: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    PROGRAMS[fn.__name__] = fn
    return fn


def argument(call: int) -> Tensor:
    """The sign, the size of the values and the order of the columns change from call to call."""
    torch.manual_seed(call)
    return torch.randn(3, 4).abs() * (1 if call % 2 else -1) * (1 + call % 3)


@program
def both_ways_assign(x: Tensor) -> Any:
    if x.sum() > 0:
        y = x + 1
    else:
        y = x - 1
    return y * 2


@program
def both_ways_return(x: Tensor) -> Any:
    if x.sum() > 0:
        return x + 1
    y = x - 1
    return y * 2


@program
def number_by_the_way(x: Tensor) -> Any:
    k = 3 if x.sum().item() > 0 else 5
    return x * k, k


@program
def branches_within_branches(x: Tensor) -> Any:
    if x.sum() > 0:
        if x[0, 0] > 0.5:
            z = x * 3
        else:
            z = x * 5
    elif x.mean() < -1:
        z = -x
    else:
        z = x
    return z + 1


@program
def name_of_one_way(x: Tensor) -> Any:
    if x.sum() > 0:
        t = x.exp()
        y = t + 1
    else:
        y = x
    return y * 2


@program
def short_circuits(x: Tensor) -> Any:
    if (x.sum() > 0 and x[0, 0] > 0.1) or not x[0, 1] > -1:
        return x + 1
    return x - 1


@program
def list_of_the_call(x: Tensor) -> Any:
    items = [x * 2]
    if x.sum() > 0:
        items.append(x + 1)
    else:
        items.append(x - 1)
    return torch.stack(items)


@program
def dict_of_the_call(x: Tensor) -> Any:
    counts = {"n": 0}
    if x.sum() > 0:
        counts["n"] += 1
    return x * counts["n"], counts


@program
def branch_in_each_iteration(x: Tensor) -> Any:
    for i in range(4):
        x = x + i if x[0, i] > 0.5 else x * 0.5
    return x * 2


@program
def in_place_on_one_way(x: Tensor) -> Any:
    y = x * 1
    if x.sum() > 0:
        y.add_(1)
    else:
        y[0] = 7
    return y


@program
def draws_on_one_way(x: Tensor) -> Any:
    if x.sum() > 0:
        x = torch.nn.functional.dropout(x, 0.5)
    return x + torch.rand(4)


@program
def while_a_tensor_says_so(x: Tensor) -> Any:
    y, n = x * 1, 0
    while y.abs().sum() > 1:
        y = y * 0.5
        n += 1
    return y, n


@program
def loop_left_by_break(x: Tensor) -> Any:
    n = 0
    while True:
        x = x * 0.5
        n += 1
        if x.abs().sum() < 1:
            break
    return x + n


@program
def counting_loop_left_by_break(x: Tensor) -> Any:
    y = x
    for i in range(10):
        y = y * 0.7
        if y.abs().max() < 0.3:
            break
    return y * i


@program
def loop_with_continue(x: Tensor) -> Any:
    y, n = x * 1, 0
    while y.abs().sum() > 0.5:
        n += 1
        y = y * 0.5
        if y[0, 0] > 0.2:
            continue
        y = y - 0.01 * y
    return y, n


@program
def newton(x: Tensor) -> Any:
    a = x.abs().sum() + 1
    g = a / 2
    steps = 0
    while (g * g - a).abs() > 1e-4 and steps < 50:
        g = (g + a / g) / 2
        steps += 1
    return g, steps


@program
def loops_within_loops(x: Tensor) -> Any:
    total = torch.zeros(4)
    i = 0
    while i < x.abs().sum().item():
        j = 0
        while j < i:
            total = total + x[0]
            j += 1
        i += 1
    return total * 1


@program
def tuple_carried_by_a_loop(x: Tensor) -> Any:
    state = (x, x * 0)
    while state[0].abs().sum() > 1:
        h, c = state
        state = (h * 0.5, c + h)
    return state[1]


@program
def in_place_in_a_loop(x: Tensor) -> Any:
    y = x.clone()
    while y.abs().sum() > 1:
        y.mul_(0.5)
    return y


@program
def loop_that_never_runs_in_some_calls(x: Tensor) -> Any:
    n, y = 0, x + 0
    while n < x.sum().item():
        y = y + n
        n += 3
    return y, n


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_graph_goes_every_way(name: str) -> None:
    fn = PROGRAMS[name]
    converted = bifront.function(fn)
    for call in range(CALLS):
        expected = fn(argument(call))
        state = torch.get_rng_state()
        actual = converted(argument(call))
        assert_same_value(actual, expected, f"call {call}", loosen=10)
        assert torch.equal(torch.get_rng_state(), state)
    stats = converted.stats
    assert stats["graphs"] == 1, bifront.explain(converted)
    assert stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)


def test_a_returned_argument_is_the_argument() -> None:
    def fn(x: Tensor) -> Tensor:
        while x.abs().sum() > 8:
            x = x * 0.5
        return x

    converted = bifront.function(fn)
    for call in range(CALLS):
        x = argument(call)
        assert (converted(x) is x) == (fn(x) is x)


def test_identity_of_what_a_branch_gives() -> None:
    def fn(x: Tensor) -> tuple[bool, Tensor]:
        y = x if x.sum() > 0 else x * 2
        return y is x, y + 1

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert converted(argument(call))[0] == fn(argument(call))[0]


def test_one_of_two_lists() -> None:
    def fn(x: Tensor) -> Any:
        a, b = [x + 1], [x + 2]
        c = a if x.sum() > 0 else b
        c[0] = x * 3
        c.append(x)
        return a, b, c is a

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")


def test_lists_that_one_way_shares() -> None:
    def fn(x: Tensor) -> Any:
        if x.sum() > 0:
            a = b = [x + 1]
        else:
            a, b = [x + 1], [x + 2]
        a[0] = x * 3
        return a, b

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")


def test_a_list_that_a_loop_replaces() -> None:
    def fn(x: Tensor) -> Any:
        first = state = [x * 1, x * 0]
        while state[0].abs().sum() > 1:
            state[1] = state[1] + 1
            state = [state[0] * 0.5, state[1]]
        return first, state

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")


def test_a_name_of_one_way_is_asked_for_behind() -> None:
    def fn(x: Tensor) -> Any:
        if x.sum() > 0:
            y = x + 1
        try:
            return y * 2
        except UnboundLocalError:
            return "unbound"

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")


def test_one_way_raises() -> None:
    def fn(x: Tensor) -> Tensor:
        if x.sum() < 0:
            raise ValueError("negative")
        return x + 1

    converted = bifront.function(fn)
    for call in range(CALLS):
        if call % 2:
            assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")
        else:
            with pytest.raises(ValueError, match="negative"):
                converted(argument(call))


def test_state_that_one_way_changes() -> None:
    class Counter:
        def __init__(self) -> None:
            self.positive, self.log = 0, []

        def step(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                self.positive += 1
                self.log.append(self.positive)
            return x * self.positive

    actual, expected = Counter(), Counter()
    converted = bifront.function(actual.step)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), expected.step(argument(call)), f"call {call}")
        assert actual.positive == expected.positive
        assert actual.log == expected.log


def test_gradients_of_a_branch_are_right() -> None:
    def fn(x: Tensor, w: Tensor) -> Tensor:
        y = (x * w).sum()
        if y > 0:
            y = y * 2
        y.backward()
        return y.detach()

    weights = [torch.ones(4, requires_grad=True) for _ in range(2)]
    converted = bifront.function(fn)
    for call in range(CALLS):
        actual, expected = converted(argument(call), weights[0]), fn(argument(call), weights[1])
        assert_same_value(actual, expected, f"call {call}")
        assert_same_value(weights[0].grad, weights[1].grad, f"call {call}: gradient")


def test_a_loop_over_a_length_that_varies() -> None:
    cell = torch.nn.GRUCell(3, 5)

    def fn(x: Tensor) -> Tensor:
        with torch.no_grad():
            h = torch.zeros(2, 5)
            for t in range(x.size(0)):
                h = cell(x[t], h)
            return h * 1

    converted = bifront.function(fn)
    for length in (4, 7, 9, 2, 30, 5, 11, 3):
        x = torch.randn(length, 2, 3)
        assert_same_value(converted(x), fn(x), f"length {length}", loosen=10)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_a_loop_that_goes_one_way_ahead_of_a_branch_that_returns() -> None:
    def fn(x: Tensor) -> Tensor:
        steps = iter([1.0, 9.0])
        y = x * 0
        while y.max() < 5:
            y = y + next(steps)  # no loop of the graph can have this
        if x.sum() > 0:
            return y * x
        y = y - x
        return y * 3

    converted = bifront.function(fn)
    for call in range(CALLS):
        assert_same_value(converted(argument(call)), fn(argument(call)), f"call {call}")
    notes = converted.stats["notes"]
    assert any("a loop goes one way" in note for note in notes), notes
    assert not any("a branch goes one way" in note for note in notes), notes
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_a_size_decides() -> None:
    def fn(x: Tensor) -> Tensor:
        y = x * 2 if x.size(0) > 4 else x.sum(0, keepdim=True) + x
        n = 0
        while n < x.size(0):
            y = y + n
            n += 2
        return y

    converted = bifront.function(fn)
    for size in (3, 5, 4, 8, 2, 6, 3, 9):
        x = torch.randn(size, 3)
        assert_same_value(converted(x), fn(x), f"size {size}", loosen=10)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
