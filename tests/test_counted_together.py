"""Loops over zip(), enumerate() and reversed() of what the graph counts, all with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests import same_state
from tests.same_function import assert_same_value
from tests.test_growing_lists import compare

Step = Callable[[Tensor, Tensor], Any]
LENGTHS = [3, 5, 4, 7, 2, 6, 3, 9]


def check(
    step: Step, *, graphs: int = 1, fallbacks: int = 1, others: list[int] | None = None
) -> Any:
    """Rows and labels in each call, of lengths of their own; both sides give the same."""
    converted = bifront.function(step)
    for call, length in enumerate(LENGTHS):
        torch.manual_seed(call)
        rows = torch.rand(length, 2)
        labels = torch.randint(0, 3, ((others or LENGTHS)[call],))
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(rows.clone(), labels.clone()))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    return converted


def numbers_of_two(rows: Tensor, labels: Tensor) -> Any:
    total = 0.0
    for (a, b), kind in zip(rows.tolist(), labels.tolist()):
        total = total + a * kind - b
    return rows.sum() * total


def rows_of_two(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum(0)
    for row, kind in zip(rows, labels):
        total = total * 0.5 + row * kind
    return total


def numbered(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum(0)
    for number, row in enumerate(rows):
        total = total + row * number
    return total


def numbered_from(rows: Tensor, labels: Tensor) -> Any:
    total = 0.0
    for number, (a, b) in enumerate(rows.tolist(), start=7):
        total = total + a * number - b
    return rows.sum() * total, number


def numbered_pairs(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for number, ((a, _), row) in enumerate(zip(rows.tolist(), rows), 2):
        total = total + row.sum() * a * number
    return total


def leaves_early(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for (a, b), kind in zip(rows.tolist(), labels.tolist()):
        if kind == 2 and a > b:
            break
        if kind == 0:
            continue
        total = total + a
    return total


def what_is_gone_through_is_written(rows: Tensor, labels: Tensor) -> Any:
    for number, (before, row) in enumerate(zip(rows.tolist(), rows)):
        rows[-1] += row + before[0] + number
    return rows


def keeps_the_pair(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for pair in zip(rows, labels):
        total = total + pair[0].sum() * pair[1] * len(pair)
    return total


def gone_backwards(rows: Tensor, labels: Tensor) -> Any:
    """As generalized advantage estimation goes."""
    total = rows[0] * 0
    advantages = []
    for t in reversed(range(rows.shape[0])):
        total = rows[t] * labels[t] + 0.5 * total
        advantages.insert(0, total)
    return torch.stack(advantages), len(advantages)


def every_third_backwards(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum(0)
    for t in reversed(range(1, rows.shape[0] + 1, 3)):
        total = total * 0.5 + rows[t - 1] * t
    return total


def numbers_backwards(rows: Tensor, labels: Tensor) -> Any:
    total = rows.sum()
    for kind, t in zip(reversed(labels.tolist()), range(rows.shape[0])):
        total = total * 0.5 + rows[t].sum() * kind
    return total


def ranges_with_others(rows: Tensor, labels: Tensor) -> Any:
    n = rows.shape[0]
    total = rows.sum(0)
    for t, row, back in zip(range(7, n + 7), rows, range(n, 0, -1)):
        total = total * 0.5 + row * (t - back)
    return total


def list_with_tensors(rows: Tensor, labels: Tensor) -> Any:
    norms = []
    for row in rows:
        norms.append(row.norm())
    total = rows.sum()
    for number, (norm, kind, row) in enumerate(zip(norms, labels.tolist(), rows), 3):
        total = total * 0.5 + norm * kind * row.sum() - number
    return total


def list_backwards_with_range(rows: Tensor, labels: Tensor) -> Any:
    sums = []
    for row in rows:
        sums.append(row.sum().item())
    total = rows.sum()
    for t, number in zip(range(rows.shape[0]), reversed(sums)):
        total = total * 0.5 + rows[t].sum() * number
    return total


def numbers_comprehended(rows: Tensor, labels: Tensor) -> Any:
    return torch.stack([rows[kind % 2] * number for number, kind in enumerate(labels.tolist())])


@pytest.mark.parametrize(
    "step",
    [
        numbers_of_two,
        rows_of_two,
        numbered,
        numbered_from,
        numbered_pairs,
        leaves_early,
        what_is_gone_through_is_written,
        keeps_the_pair,
        gone_backwards,
        every_third_backwards,
        numbers_backwards,
        ranges_with_others,
        list_with_tensors,
        list_backwards_with_range,
        numbers_comprehended,
    ],
)
def test_any_length_is_one_graph(step: Step) -> None:
    check(step)


@pytest.mark.parametrize("step", [numbers_of_two, rows_of_two, keeps_the_pair])
def test_the_shorter_one_ends_it(step: Step) -> None:
    check(step, others=[4, 3, 6, 5, 3, 9, 2, 3], graphs=4, fallbacks=4)


def test_an_empty_one() -> None:
    def step(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for row, kind in zip(rows, labels[:0]):
            total = total + row.sum() * kind
        for number, row in enumerate(rows[:0]):
            total = total + row.sum() * number
        return total

    check(step, graphs=2, fallbacks=3)


def test_together_with_what_is_not_counted() -> None:
    """A list of Python's: CPython's zip goes through it."""
    weights = [0.5, 1.5]

    def step(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for weight, (a, _) in zip(weights, rows.tolist()):
            total = total + weight * a
        return total

    check(step, graphs=8, fallbacks=8)


def test_strict_and_wrong_arguments_are_cpythons() -> None:
    def strict(rows: Tensor, labels: Tensor) -> Any:
        total = rows.sum()
        for (a, _), kind in zip(rows.tolist(), labels.tolist(), strict=True):
            total = total + a * kind
        return total

    def no_number(rows: Tensor, labels: Tensor) -> Any:
        for _ in enumerate(rows, "one"):  # type: ignore[arg-type]
            pass

    for step in (strict, no_number):
        converted = bifront.function(step)
        for call in range(4):
            rows, labels = torch.rand(call + 2, 2), torch.ones(2, dtype=torch.int64)
            outcomes = []
            for run in (step, converted):
                try:
                    outcomes.append(run(rows, labels))
                except Exception as error:
                    outcomes.append((type(error), str(error)))
            assert_same_value(outcomes[1], outcomes[0], f"call {call}")


def test_gradients_of_rows() -> None:
    weight = torch.ones(2, requires_grad=True)

    def step(rows: Tensor, labels: Tensor) -> Any:
        weight.grad = None
        loss = rows.sum() * 0
        for row, kind in zip(rows, labels):
            loss = loss + (row * weight * kind).sum() * loss.detach().cos()
        loss.backward()
        return loss.detach(), weight.grad.clone()  # type: ignore[union-attr]

    check(step)


def test_a_list_that_has_grown() -> None:
    """The items of the call come behind those from before it."""

    def step(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum())
        total = x.sum() * 0
        for number, item in enumerate(state.items, 1):
            total = total * 0.5 + item * number
        return total

    converted = same_state.check(
        lambda: (step, same_state.Box(items=[same_state.X.sum(), same_state.X.mean()])),
        same_state.several(9),
    )
    assert converted.stats["conversions"] <= 2, bifront.explain(converted)


def test_lists_that_have_grown_together() -> None:
    def step(state: Any, x: Tensor) -> Any:
        total = x.sum() * 0
        for number, (item, other) in enumerate(zip(state.items, state.others)):
            total = total * 0.5 + item * other - number
        state.items.append(x.sum())
        state.others.append(x.mean())
        return total

    def start() -> Any:
        ones = [torch.ones(()), torch.zeros(())]
        return step, same_state.Box(items=list(ones), others=list(ones))

    converted = same_state.check(start, same_state.several(9))
    assert converted.stats["conversions"] <= 2, bifront.explain(converted)


@pytest.mark.parametrize("other", ["items", "zip", "numbers"])
def test_a_list_that_has_grown_is_changed_meanwhile(other: str) -> None:
    def step(state: Any, x: Tensor) -> Any:
        total = x.sum() * 0
        partner = {"items": state.items, "zip": zip(state.items), "numbers": range(99)}[other]
        for item, _ in zip(state.items, partner):
            total = total + item
            if len(state.items) % 4:
                state.items.append(x.mean())
        state.items.append(x.sum())
        return total, len(state.items)

    same_state.check(lambda: (step, same_state.Box(items=[torch.ones(())])), same_state.several(9))


class Node:
    def __init__(self, value: Tensor, children: list[Node]) -> None:
        self.value = value
        self.children = children


def bush(call: int, depth: int = 2) -> Node:
    width = (call * 7 + depth) % 4 if depth else 0
    return Node(torch.randn(2), [bush(call + i + 1, depth - 1) for i in range(width)])


def test_what_pointers_lead_to() -> None:
    def total(node: Node) -> Tensor:
        result = node.value
        for number, (child, factor) in enumerate(zip(node.children, range(5, 99))):
            result = result * 0.5 + total(child) * factor - number
        return result

    converted = bifront.function(total)
    for call in range(24):
        torch.manual_seed(call)
        tree = bush(call)
        torch.testing.assert_close(converted(tree), total(tree))
    assert converted.stats["graph_calls"] >= 16, bifront.explain(converted)


@pytest.mark.parametrize("start", [0, 2, -3])
def test_ranges_that_are_empty(start: int) -> None:
    """As many items as len() says, also where `stop` is before `start`."""

    def step(x: Tensor) -> Any:
        n = int(x.sum())
        items, back = [x, x], []
        for i in range(start, n):
            items.append(x * i)
        for i in reversed(range(start, n)):
            back.append(x * i)
        total = x.sum()
        for i, (j, k) in enumerate(zip(range(start, n), reversed(range(start, n, 2)))):
            total = total * 0.5 + i * j - k
        return len(items), len(back), total

    compare(step, [(torch.full((2,), n / 2),) for n in (3, 1, 4, -5, 0, -1, 6, -9)], graphs=None)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: [(i,) for i in reversed(reversed(range(x.shape[0])))],  # type: ignore[call-overload]
        lambda x: [(i,) for i in reversed(zip(x, x))],  # type: ignore[call-overload]
        lambda x: [(i,) for i in reversed(range(x.shape[0]), 1)],  # type: ignore[call-arg]
        lambda x: [(i,) for i in range(x.sum().item())],
        lambda x: [(i,) for i in range(0, x.shape[0], 0)],
        lambda x: [(i,) for i in range(x.shape[0], 10**20, 10**20)],
        lambda x: [(i,) for i in zip(range(x.shape[0]), 5)],  # type: ignore[call-overload]
        lambda x: [(i,) for i in enumerate(range(x.shape[0]), 0.5)],  # type: ignore[arg-type]
        lambda x: [i.sum() for i in reversed(x)],
        lambda x: [(i.sum(), j) for i, j in zip(reversed(x), reversed([1, 2, 3]))],
        lambda x: [(i,) for i in enumerate(iterable=reversed(range(x.shape[0])))],
        lambda x: [(i,) for i in enumerate(range(x.shape[0]), 10**20)],
    ],
)
def test_other_uses_are_cpythons(use: Callable[[Tensor], Any]) -> None:
    compare(use, [(torch.rand(length, 2),) for length in LENGTHS], graphs=None)
