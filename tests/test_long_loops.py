"""Loops of many iterations are loops of the graph, if they can be, however they are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_function import assert_same_value

ITERATIONS = 1200
ROWS = 800
Step = Callable[[Tensor], Any]


def run(make: Callable[[], Step], calls: int = 4) -> str:
    """Each side a step of its own; the text of the one graph."""
    outcomes = []
    for convert in (lambda step: step, bifront.function):
        torch.manual_seed(0)
        step = convert(make())
        outcomes.append([step(torch.randn(ROWS, 4)) for _ in range(calls)])
    for call, (expected, actual) in enumerate(zip(*outcomes, strict=True)):
        assert_same_value(actual, expected, f"call {call}", loosen=4)
    assert step.stats["graphs"] == 1, bifront.explain(step)
    assert step.stats["graph_calls"] == calls - 1, bifront.explain(step)
    (text,) = step.graph_texts
    return str(text)


# ===- Of the graph --------------------------------------------------------------------------------


def by_range(x: Tensor) -> Any:
    for i in range(ITERATIONS):
        x = torch.tanh(x * 0.9 + i / ITERATIONS)
    return x, i


def by_while(x: Tensor) -> Any:
    i, total = 0, 0.0
    while i < ITERATIONS:
        x = torch.sin(x) * 0.99 + 1e-3
        total += 0.5
        i += 1
    return x, i, total


def by_rows(x: Tensor) -> Any:
    state = x[0]
    for row in x:
        state = (state * 0.5 + row.relu()).cos()
    return state


def by_enumerate(x: Tensor) -> Any:
    state, best = x[0] * 0, 0
    for t, (a, b) in enumerate(zip(x, reversed(range(ROWS)))):
        state = state * 0.5 + a.sin() * (t % 3) - b * 1e-3
        best = max(best, t)
    return state, best


def collected(x: Tensor) -> Any:
    states, state = [], x[0]
    for t in range(ROWS):
        state = torch.tanh(state * 0.7 + x[t])
        states.append(state)
    return torch.stack(states), len(states)


def comprehension(x: Tensor) -> Any:
    return torch.stack([(x[t] * t).sin().sum() - x[t].cos() for t in range(ROWS)])


def nested(x: Tensor) -> Any:
    for _ in range(30):
        for k in range(40):
            x = (x + k * 1e-3).sin()
        x = x * 1.01
    return x


def one_that_ends_early(x: Tensor) -> Any:
    for i in range(ITERATIONS):
        x = x * 0.99 + x.sin() * 0.01
        if x.abs().max() < 1e-3:
            break
    return x, i


@pytest.mark.parametrize(
    "step",
    [
        by_range,
        by_while,
        by_rows,
        by_enumerate,
        collected,
        comprehension,
        nested,
        one_that_ends_early,
    ],
)
def test_a_loop_of_the_graph(step: Step) -> None:
    text = run(lambda: step)
    assert "scf.while" in text
    assert len(text.splitlines()) < 1000


def recurrence() -> Step:
    cell = nn.GRUCell(4, 6)
    optimizer = torch.optim.Adam(cell.parameters(), lr=1e-2)

    def step(x: Tensor) -> Any:
        optimizer.zero_grad()
        state, states = x.new_zeros(1, 6), []
        for row in x:
            state = cell(row.unsqueeze(0), state)
            states.append(state)
        loss = torch.cat(states).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach(), {name: p.detach().clone() for name, p in cell.named_parameters()}

    return step


def test_training() -> None:
    assert "scf.while" in run(recurrence)


def test_dropout_draws_as_ever() -> None:
    def step(x: Tensor) -> Any:
        for _ in range(ITERATIONS):
            x = nn.functional.dropout(x, 1e-4) * 0.999
        return x, torch.rand(2)

    assert "scf.while" in run(lambda: step)


def test_python_state_that_each_iteration_changes() -> None:
    def make() -> Step:
        seen: dict[str, int] = {"rows": 0}

        def step(x: Tensor) -> Any:
            total = x[0] * 0
            for row in x:
                total = total + row.sigmoid() * math.tau
                seen["rows"] += 1
            return total, dict(seen)

        return step

    assert "scf.while" in run(make)


# ===- Told by values ------------------------------------------------------------------------------


def until_small(x: Tensor) -> Any:
    steps = 0
    while x.norm() > 1:
        x = x * 0.97
        steps += 1
    return x, steps


def found_in_a_loop(x: Tensor) -> Any:
    for i in range(ITERATIONS):
        x = x * 0.97
        if (x.norm() < 1).item():
            return x, i
    return x, -1


def counted(x: Tensor) -> Any:
    small = 0
    for _ in range(ITERATIONS):
        x = x * 0.97
        if x.norm() < 1:
            small += 1
    return x, small


@pytest.mark.parametrize("step", [until_small, found_in_a_loop, counted])
def test_many_iterations_in_the_first_call(step: Step) -> None:
    """More than a conversion foresees."""
    assert "scf.while" in run(lambda: step)


@pytest.mark.parametrize("times", [12, 60])
def test_a_count_by_branches_that_are_unrolled(times: int) -> None:
    """What each count is computed from is told once, not twice as often as for the one before."""

    def step(x: Tensor) -> Any:
        count = 0
        for _ in range(times):
            x = x * 0.99
            if x[0, 0] < 0.5:
                count += 1
        return x, count

    converted = bifront.function(step)
    for call in range(6):
        x = torch.full((4, 5), 0.4 + call * 0.05)
        assert_same_value(converted(x), step(x), f"call {call}")
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_a_size_that_is_computed_from_itself_twice() -> None:
    def step(x: Tensor) -> Any:
        size = x.shape[0]
        for _ in range(60):
            size = (size + size) % 101 + 2
        return x * 2 if size > 5 else x, torch.zeros(size)

    converted = bifront.function(step)
    for call in range(6):
        x = torch.randn(4 + call % 3, 5)
        assert_same_value(converted(x), step(x), f"call {call}")


# ===- Unrolled after all --------------------------------------------------------------------------


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(160))
        self.scales = [torch.full((4,), 1 + i / 1000) for i in range(160)]

    def forward(self, x: Tensor) -> Tensor:
        for i in range(len(self.layers)):
            x = x + self.layers[i](x).tanh() * 0.01 * self.scales[i] + x.sin() * 1e-3
        return x


def tower() -> Step:
    model = Tower()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(x: Tensor) -> Any:
        optimizer.zero_grad()
        loss = model(x[:8]).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach(), model.layers[7].weight.detach().clone()

    return step


def test_layers_by_their_number() -> None:
    """A loop of the graph would choose among their parameters in each iteration."""
    assert "scf.while" not in run(tower)


def test_texts_of_numbers() -> None:
    def step(x: Tensor) -> Any:
        names = []
        for i in range(ITERATIONS):
            x = (x * 0.5).sin() + 0.1
            names.append(f"step {i}" if i % 100 == 0 else "")
        return x, names[::100]

    run(lambda: step)


def test_a_loop_with_an_else() -> None:
    def step(x: Tensor) -> Any:
        for i in range(ITERATIONS):
            x = (x * 0.5).sin() + i * 1e-4
        else:
            x = x * 2
        return x

    assert "scf.while" not in run(lambda: step)


def test_ints_of_more_than_64_bits() -> None:
    """The run of such a loop finds them; the next graph knows them."""

    def step(x: Tensor) -> Any:
        product = 1
        for i in range(1, ITERATIONS):
            product *= i
            x = (x * 0.5).sin() + 0.1
        return x, product % 1_000_007

    converted = bifront.function(step)
    for call in range(10):
        x = torch.randn(3, 4)
        assert_same_value(converted(x), step(x), f"call {call}")
    assert converted.stats["graph_calls"] > 3, bifront.explain(converted)
    assert "scf.while" not in converted.graph_texts[0]
