"""What a function returns from loops, branches and recursions trains: its backward runs outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from programs.program import default_double
from tests.beside_eager import CALLS, Side, Step, Weights, assert_same_steps, differences, rnn, zero

STEPS: dict[str, Step] = {}
LONGEST = 13


def step(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        STEPS[run.__name__] = Step(run, argument=rows, backwards=1, **options)
        return run

    return register


def rows(x: Tensor, n: int) -> Tensor:
    """Of another length at each call."""
    return torch.randn(3 + n * 5 % (LONGEST - 2), 2, 4) * (1 + n % 2)


@step()
def a_loop(m: Weights, x: Tensor, series: Any) -> Any:
    return rnn(m, series)


@step()
def all_of_a_loop(m: Weights, x: Tensor, series: Any) -> Any:
    h, outputs = torch.zeros(2, 4), []
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
        outputs.append(h)
    return torch.stack(outputs)


@step()
def a_loop_that_a_tensor_ends(m: Weights, x: Tensor, series: Any) -> Any:
    y = torch.tanh(series[0] @ m.w)
    while y.norm() > 0.5:
        y = torch.tanh(y @ m.w * 0.7)
    return y @ m.u


@step()
def a_branch(m: Weights, x: Tensor, series: Any) -> Any:
    y = series[0] @ m.w * m.v
    if y.sum() > 0:
        y = torch.tanh(y @ m.u)
    else:
        y = y.sin() @ m.u
    return y


@step()
def a_branch_in_a_loop(m: Weights, x: Tensor, series: Any) -> Any:
    h = torch.zeros(2, 4)
    for row in series:
        h = torch.tanh(row @ m.w + h @ m.u)
        if h.sum() > 0:
            h = h * m.v
    return h


@step()
def loops_in_a_loop(m: Weights, x: Tensor, series: Any) -> Any:
    total = torch.zeros(2, 4)
    for row in series:
        h = row
        for other in series:
            h = torch.tanh(h @ m.w + other * m.v)
        total = total + h
    return total


class Tree:
    def __init__(self, x: Any = None, left: Tree | None = None, right: Tree | None = None) -> None:
        self.x, self.left, self.right = x, left, right


def tree(series: Tensor, at: int = 0) -> Tree:
    if 2 * at + 2 >= len(series):
        return Tree(series[at])
    return Tree(None, tree(series, 2 * at + 1), tree(series, 2 * at + 2))


def fold(m: Weights, node: Any) -> Tensor:
    if node.left is None:
        return torch.tanh(node.x @ m.w)
    return torch.tanh(fold(m, node.left) @ m.u + fold(m, node.right) * m.v)


STEPS["a_recursion"] = Step(
    lambda m, x, node: fold(m, node), argument=lambda x, n: tree(rows(x, n)), backwards=1
)


@pytest.mark.parametrize("name", STEPS)
def test_as_eager(name: str) -> None:
    assert_same_steps(STEPS[name])


def test_one_graph_for_all_lengths() -> None:
    with default_double():
        side = Side(STEPS["a_loop"], converts=True)
        for n in range(LONGEST):
            side.call(n)
    assert side.run.stats["graphs"] <= 2, bifront.explain(side.run)
    assert side.run.stats["graph_calls"] >= LONGEST - 3, bifront.explain(side.run)
    assert side.run.stats["tape_bytes"] > 0


def test_one_graph_for_both_ways() -> None:
    with default_double():
        side = Side(STEPS["a_branch"], converts=True)
        for n in range(CALLS):
            side.call(n)
    assert side.run.stats["graphs"] <= 2, bifront.explain(side.run)
    assert "split-backward" not in str(side.run.stats["notes"])


def both(run: Callable[..., Any], check: Callable[[Weights, Any, Tensor], Any]) -> None:
    """What `check` returns of the results is compared, and so are all gradients."""
    with default_double():
        sides = [Side(Step(run, argument=rows), converts) for converts in (False, True)]
        for n in range(10):
            seen = []
            for side in sides:
                torch.manual_seed(n)
                series = rows(torch.zeros(0), n)
                zero(side.m)
                seen.append(
                    [
                        check(side.m, side.run(side.m, series), series),
                        [None if p.grad is None else p.grad.clone() for p in side.m.parameters()],
                    ]
                )
            found = list(differences(seen[1], seen[0], f"call {n}"))
            assert not found, f"{found}\n{bifront.explain(sides[1].run)}"
        assert sides[1].run.stats["graph_calls"] >= 5, bifront.explain(sides[1].run)


def test_backward_twice() -> None:
    def twice(m: Weights, h: Tensor, series: Tensor) -> Any:
        h.sum().backward(retain_graph=True)
        h.pow(2).sum().backward()
        with pytest.raises(RuntimeError, match="second time"):
            h.sum().backward()

    both(lambda m, series: rnn(m, series), twice)


def test_results_of_two_loops_one_by_one() -> None:
    def two(m: Weights, series: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(2, 4)
        for row in series:
            h = h + torch.tanh(row @ m.w)
        k = torch.ones(2, 4)
        for row in series:
            k = k * torch.tanh(row @ m.u)
        return h, k

    def one_by_one(m: Weights, results: Any, series: Tensor) -> Any:
        h, k = results
        if len(series) % 2:
            h.sum().backward()
            (first,) = [m.w.grad.clone()]  # type: ignore[union-attr]
            k.sum().backward()
            return first, m.u.grad
        k.sum().backward()
        return m.w.grad

    both(two, one_by_one)


def test_what_is_on_the_tape_is_not_written_to_unnoticed() -> None:
    def write(m: Weights, h: Tensor, series: Tensor) -> Any:
        series.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            h.sum().backward()

    both(lambda m, series: rnn(m, series), write)


def test_a_result_that_is_on_the_tape_is_not_written_to_unnoticed() -> None:
    def write(m: Weights, h: Tensor, series: Tensor) -> Any:
        with torch.no_grad():
            h.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            h.sum().backward()

    both(lambda m, series: rnn(m, series), write)


@pytest.mark.parametrize("goes_back", [False, True])
def test_what_is_on_the_tape_goes_with_the_result(goes_back: bool) -> None:
    with default_double():
        side = Side(STEPS["a_loop"], converts=True)

        def result_of(n: int) -> tuple[Tensor, StorageWeakRef]:
            series = rows(torch.zeros(0), n)
            return side.run(side.m, None, series), StorageWeakRef(series.untyped_storage())

        for n in range(4):
            result_of(n)
        h, memory = result_of(4)
        result_of(5)  # what the run itself has held is another's now
        assert not memory.expired()
        if goes_back:
            h.sum().backward()
        else:
            del h
        assert memory.expired()
    assert side.run.stats["graph_calls"] >= 4, bifront.explain(side.run)
