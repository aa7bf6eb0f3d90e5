"""`return` in loops that are loops of the graph: it ends the loop, and is evaluated behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 9

Step = Callable[..., Any]


def check(step: Step, make: Callable[[int], Any], *, graphs: int | None = 1) -> Any:
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for run in (step, converted):
            torch.manual_seed(call)
            arguments = make(call)
            try:
                result = run(*arguments)
            except (ValueError, IndexError) as error:
                result = (type(error), str(error))
            outcomes.append([result, arguments, torch.rand(1)])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert graphs is None or stats["graphs"] <= graphs, bifront.explain(converted)
    assert stats["graph_calls"] >= CALLS - 5, bifront.explain(converted)
    return converted


def some(call: int) -> tuple[Tensor]:
    """Of two positive numbers each, between one and four of them."""
    return (torch.rand(2) * (0.3 + call % 4),)


def rejection(x: Tensor) -> Any:
    tries = 0
    while True:
        proposal = torch.randn(2)
        tries += 1
        if proposal.abs().max() < 1.2 or tries > 20:
            return proposal + x.sum(), tries


def the_two_ends_differ(x: Tensor) -> Any:
    while x.sum() < 40:
        if x.max() > 9:
            return x * 2
        x = x * 1.5
    return x - 1


def of_two_returns(x: Tensor) -> Any:
    steps = 0
    while True:
        x = x * 1.7 + torch.rand(2)
        steps += 1
        if x[0] > 8:
            return x, steps
        if x[1] > 6:
            return x - 100, -steps


def three_and_a_break(x: Tensor) -> Any:
    total = torch.zeros(2)
    while True:
        x = x * 1.7
        if x[0] > 20:
            return total
        if x[1] > 10:
            break
        if total.sum() > 30:
            return total * 2
        total = total + x
    return total - x


def in_a_range(x: Tensor) -> Any:
    for i in range(x.long().sum().item() + 2):
        x = x + i
        if x.sum() > 7:
            return x * i
    return x


def of_the_rows(x: Tensor) -> Any:
    for row in x:
        if row.sum() > 0.5:
            return row * 2
    return torch.zeros(2)


def from_two_loops(x: Tensor) -> Any:
    rounds = 0
    while x.sum() < 100:
        y = x
        while y.sum() < 60:
            y = y * 2 + 1
            if y[0] > 25:
                return y, rounds
        x = x * 1.5 + 1
        rounds += 1
    return x, -rounds


def always_from_the_inner(x: Tensor) -> Any:
    while True:
        x = x + 1
        y = x
        while True:
            y = y * 2
            if y[0] > 50:
                return y + x
            if y[1] > 30:
                break


def in_the_else_of_a_branch(x: Tensor) -> Any:
    while True:
        if x.sum() < 10:
            x = x * 2 + 0.1
        elif x[0] > x[1]:
            return x[0]
        else:
            return -x[1]


def goes_on(x: Tensor) -> Any:
    while True:
        x = x * 1.3 + torch.rand(2) / 10
        if x[0] < 4:
            continue
        return x.sum(), x


def helper(x: Tensor, bound: int) -> Tensor:
    while True:
        x = x * 2 + 1
        if x.sum() > bound:
            return x


def of_a_function_that_is_called(x: Tensor) -> Any:
    return helper(x, 10) - helper(x, 50)


def of_a_function_in_a_loop(x: Tensor) -> Any:
    while x.sum() < 200:
        x = helper(x, 20) + x
    return x


def returns_nothing(x: Tensor) -> Any:
    seen = [x]
    while x.sum() < 30:
        x = x * 2 + 1
        seen[0] = x
        if x[0] > 10:
            return
    seen[0] = x - 5


def writes_in_place(x: Tensor) -> Any:
    y = x.clone()
    while True:
        y *= 1.5
        y += 0.1
        if y.max() > 7:
            return y.mul_(2)


def the_number_is_returned(x: Tensor) -> Any:
    count, value = 0, 0.0
    while True:
        value = x.sum().item()
        x = x * 2 + 0.1
        count += 1
        if value > 20:
            return count, value


def with_an_expression_that_draws(x: Tensor) -> Any:
    while True:
        x = x + torch.rand(2)
        if x.sum() > 8:
            return x * torch.rand(2)
        x = x - torch.rand(2) / 3


@pytest.mark.parametrize(
    "step",
    [
        rejection,
        the_two_ends_differ,
        of_two_returns,
        three_and_a_break,
        from_two_loops,
        always_from_the_inner,
        goes_on,
        of_a_function_that_is_called,
        of_a_function_in_a_loop,
        writes_in_place,
        the_number_is_returned,
        with_an_expression_that_draws,
    ],
)
def test_one_graph(step: Step) -> None:
    check(step, some)


@pytest.mark.parametrize("step", [in_a_range, in_the_else_of_a_branch, returns_nothing])
def test_right(step: Step) -> None:
    check(step, some, graphs=None)


def test_rows() -> None:
    check(of_the_rows, lambda call: (torch.rand(2 + call % 4, 2) * 0.5,), graphs=None)


# ===- What must be evaluated in the loop ------------------------------------------------------===


def under_no_grad(x: Tensor) -> Any:
    w = torch.ones(2, requires_grad=True)
    while True:
        x = x * 2 + 1
        with torch.no_grad():
            if x.sum() > 20:
                return w * x


def in_a_try(x: Tensor) -> Any:
    log = []
    while True:
        x = x * 2 + 1
        try:
            if x.sum() > 20:
                return x, list(log)
        finally:
            log.append(len(log))


def raises_where_it_returns(x: Tensor) -> Any:
    table = [1, 2, 3]
    steps = 0
    while True:
        x = x * 2 + 1
        steps += 1
        if x.sum() > 9:
            return x, table[steps]


@pytest.mark.parametrize("step", [under_no_grad, in_a_try, raises_where_it_returns])
def test_what_stands_around_it(step: Step) -> None:
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for run in (step, converted):
            torch.manual_seed(call)
            try:
                outcomes.append(run(*some(call)))
            except IndexError as error:
                outcomes.append((str(error), error.__traceback__ is not None))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")


# ===- Gradients, failures --------------------------------------------------------------------===


def test_gradients() -> None:
    results = []
    for convert in (False, True):
        w = torch.full((2,), 1.3, requires_grad=True)

        def step(x: Tensor, w: Tensor = w) -> Any:
            w.grad = None
            y = helper_with(x, w)
            y.sum().backward()
            return y.detach(), w.grad

        run = bifront.function(step) if convert else step
        found = []
        for call in range(CALLS):
            torch.manual_seed(call)
            found.append(run(*some(call)))
        results.append(found)
        if convert:
            stats = run.stats  # type: ignore[attr-defined]
            assert stats["graphs"] == 1, bifront.explain(run)
            assert stats["graph_calls"] >= CALLS - 4, bifront.explain(run)
    assert_same_value(results[1], results[0], "gradients")


def helper_with(x: Tensor, w: Tensor) -> Tensor:
    while True:
        x = x * w + 0.5
        if x.sum() > 12:
            return x * w
        if x[0] > 5:
            return x - w


PROGRAM = """
import bifront, torch
from tests.failing_on_purpose import fail_each
from tests.test_loop_returns import helper_with

def run(step, x):
    torch.manual_seed(7)
    weight.data.fill_(1.3)
    weight.grad = None
    steps.clear()
    result = step(x)
    return result.tolist(), weight.tolist(), weight.grad.tolist(), list(steps), torch.rand(1).item()

weight = torch.full((2,), 1.3, requires_grad=True)
steps = []

def sampled(x):
    tries = 0
    while True:
        x = x + torch.rand(2)
        tries += 1
        if x.sum() > 4:
            return x, tries

def step(x):
    x, tries = sampled(x)
    steps.append(tries)
    loss = helper_with(x, weight).sum()
    loss.backward()
    with torch.no_grad():
        weight.sub_(weight.grad, alpha=0.01)
    return loss.detach()

converted = bifront.function(step)
x = torch.tensor([0.5, 0.25])
for scale in (1, 3, 0.2, 9, 1, 1):
    assert run(converted, x * scale) == run(step, x * scale)
assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)
print(fail_each(lambda: run(step, x), lambda: run(converted, x)))
"""


def test_whatever_fails_nothing_is_left_behind(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 15
