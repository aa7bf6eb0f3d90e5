"""Items of dicts under ints that only the run of the graph knows: caches by a length, tables by a
label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_state import Box, check

LENGTHS = [5, 7, 6, 9, 5, 8, 7, 10, 11, 6, 12, 13]


def of_lengths(*lengths: int) -> list[tuple[Any, ...]]:
    return [(torch.arange(float(n)),) for n in lengths or LENGTHS]


def one_graph(function: Callable[..., Any], calls: list[Any], conversions: int = 4, **state: Any):
    """However many keys there are."""
    converted = check(
        lambda: (function, Box(**{name: dict(value) for name, value in state.items()})),
        calls,
        graph_calls=len(calls) - 3,
    )
    stats = converted.stats
    # The first conversion may have taken the key for a constant, and found nothing there.
    assert stats["graphs"] == 1 and stats["forms"] <= 2, bifront.explain(converted)
    assert stats["conversions"] <= conversions, bifront.explain(converted)
    return converted


def mask(length: int) -> Tensor:
    return torch.ones(length, length).tril()


def by_exception(state: Any, x: Tensor) -> Any:
    n = x.shape[0]
    try:
        kept = state.known[n]
    except KeyError:
        state.known[n] = mask(n)
        kept = state.known[n]
    return kept @ x


def by_membership(state: Any, x: Tensor) -> Any:
    n = x.shape[0]
    if n not in state.known:
        state.known[n] = mask(n)
    return state.known[n] @ x + state.known[len(x)].sum(0)


def by_get(state: Any, x: Tensor) -> Any:
    n = x.shape[0]
    kept = state.known.get(n)
    if kept is None:
        kept = state.known[n] = mask(n)
    return kept @ x


def by_setdefault(state: Any, x: Tensor) -> Any:
    return state.known.setdefault(x.shape[0], torch.ones(x.shape[0])) * x


@pytest.mark.parametrize("step", [by_exception, by_membership, by_get, by_setdefault])
def test_a_cache_by_a_length(step: Callable[..., Any]) -> None:
    one_graph(step, of_lengths(), known={})


def test_sizes_that_are_no_keys() -> None:
    def step(state: Any, x: Tensor) -> Any:
        kept = state.known[x.shape[0]]
        return x.sum() * kept, kept.shape[0] + 1

    one_graph(step, of_lengths(), known={n: torch.arange(float(2 * n)) for n in LENGTHS})


def test_tensors_of_one_size() -> None:
    def step(state: Any, x: Tensor) -> Any:
        return state.known[x.shape[0]] * x.sum()

    one_graph(step, of_lengths(), known={n: torch.full((3,), float(n)) for n in LENGTHS})


def labels(*numbers: int) -> list[tuple[Any, ...]]:
    return [(torch.tensor(n), torch.tensor(float(n))) for n in numbers or LENGTHS]


def test_counts_by_a_label() -> None:
    def step(state: Any, label: Tensor, x: Tensor) -> Any:
        number = label.item()
        state.counts[number] = state.counts.get(number, 0) + 1
        return x / state.counts[number]

    one_graph(step, labels(), counts={0: 3})


def test_floats_by_a_label() -> None:
    def step(state: Any, label: Tensor, x: Tensor) -> Any:
        number = label.item()
        if number in state.best and state.best[number] > 5.5:
            state.best[number] = x.item()
        elif number not in state.best:
            state.best[number] = 2 * x.item()
        return x * state.best[number]

    one_graph(step, labels(), conversions=6, best={0: 3.0})


def test_what_is_taken_out() -> None:
    def step(state: Any, label: Tensor, x: Tensor) -> Any:
        number = label.item()
        if number in state.kept:
            before = state.kept.pop(number)
            return x + before
        state.kept[number] = 1.5
        return x

    one_graph(step, labels(), kept={0: 3.0})


def test_what_is_deleted() -> None:
    def step(state: Any, label: Tensor, x: Tensor) -> Any:
        number = label.item()
        try:
            del state.kept[number]
        except KeyError as missing:
            state.kept[number] = 0.5
            return x, missing.args[0] + 1
        return x, number in state.kept

    one_graph(step, labels(), kept={0: 3.0})


# ===- Several names of one item -------------------------------------------------------------===


def test_two_numbers_that_may_be_equal() -> None:
    def step(state: Any, a: Tensor, b: Tensor, x: Tensor) -> Any:
        one, other = a.item(), b.item()
        state.kept[one] = 1.5
        state.kept[other] = 2.5
        return x * state.kept[one], state.kept[other]

    calls = [(torch.tensor(i % 3), torch.tensor(i % 2), torch.ones(2) * i) for i in range(12)]
    one_graph(step, calls, conversions=6, kept={0: 3.0, 7: 1.0})


def test_a_number_that_may_be_a_constant_key() -> None:
    def step(state: Any, a: Tensor, x: Tensor) -> Any:
        state.kept[1] = 4.5
        before = state.kept.get(a.item(), 0.5)
        state.kept[a.item()] = 2.5
        state.kept["text"] = before
        return x * state.kept[1], before, state.kept["text"]

    calls = [(torch.tensor(i % 3), torch.ones(2) * i) for i in range(12)]
    one_graph(step, calls, conversions=6, kept={0: 3.0, 7: 1.0, "text": 0.0})


def test_a_constant_key_is_written_around_a_number() -> None:
    def step(state: Any, a: Tensor, x: Tensor) -> Any:
        state.kept[1] = 4.5
        state.kept[a.item()] = 2.5
        state.kept[1] = 5.5
        return x * state.kept[a.item()]

    calls = [(torch.tensor(i % 3), torch.ones(2) * i) for i in range(12)]
    one_graph(step, calls, conversions=6, kept={0: 3.0, 7: 1.0})


def test_the_whole_dict_behind_a_write() -> None:
    def step(state: Any, label: Tensor, x: Tensor) -> Any:
        state.counts[label.item()] = 1
        return x * len(state.counts), list(state.counts)

    check(lambda: (step, Box(counts={0: 3})), labels(*range(6)), graph_calls=0)


def test_an_item_is_returned_and_kept() -> None:
    def step(state: Any, x: Tensor) -> Any:
        state.last = state.known[x.shape[0]]
        return state.known[x.shape[0]]

    known = {n: torch.ones(n) for n in LENGTHS}
    check(lambda: (step, Box(known=dict(known), last=None)), of_lengths(), graph_calls=0)


def test_an_item_is_written() -> None:
    def step(state: Any, x: Tensor) -> Any:
        state.known[x.shape[0]].add_(x)
        return state.known[x.shape[0]] * 2

    check(
        lambda: (step, Box(known={n: torch.ones(n) for n in LENGTHS})),
        of_lengths(),
        graph_calls=0,
    )


def test_an_item_is_written_by_another_name() -> None:
    def make() -> Any:
        known = {n: torch.ones(n) for n in LENGTHS}
        return step, Box(known=known, nine=known[9])

    def step(state: Any, x: Tensor) -> Any:
        state.nine.add_(1)
        return state.known[x.shape[0]] * x

    check(make, of_lengths(), graph_calls=0)


# ===- Between calls -------------------------------------------------------------------------===


class Key:
    """Compares equal to an int."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return self.number == other


CHANGES: dict[str, Callable[[Any], None]] = {
    "cleared": lambda state: state.known.clear(),
    "an item less": lambda state: state.known.pop(7),
    "another shape": lambda state: state.known.update({7: torch.ones(7)}),
    "another size": lambda state: state.known.update({7: torch.ones(7, 8)}),
    "another dtype": lambda state: state.known.update({7: torch.ones(7, 7).double()}),
    "needs a gradient": lambda state: state.known.update({7: mask(7).requires_grad_()}),
    "not contiguous": lambda state: state.known.update({7: mask(7).T}),
    "no tensor": lambda state: state.known.update({7: 3.0}),
    "other keys": lambda state: state.known.update({"a": 1, None: 2, 2.5: mask(2), (1, 2): 3}),
    "a bool": lambda state: state.known.update({True: mask(1)}),
    "a float": lambda state: (state.known.pop(7), state.known.update({7.0: mask(7) * 2})),
    "another dict": lambda state: setattr(state, "known", dict(state.known)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", [by_exception, by_membership])
def test_the_dict_is_changed_between_calls(step: Callable[..., Any], change: str) -> None:
    def between(state: Any, call: int) -> None:
        if call == 8:
            CHANGES[change](state)

    def attempt(state: Any, x: Tensor) -> Any:
        try:
            return step(state, x)
        except (RuntimeError, TypeError) as error:
            return type(error), str(error)[:30]

    calls = of_lengths(5, 7, 6, 9, 7, 8, 7, 5, 7, 7, 6, 11)
    check(lambda: (attempt, Box(known={})), calls, between=between, graph_calls=4)


def test_a_key_of_the_program_equals_a_number() -> None:
    def run(step: Callable[..., Any]) -> list[Any]:
        state = Box(known={})
        results = []
        for number, (x,) in enumerate(of_lengths(5, 7, 6, 9, 7, 8, 7, 5, 7, 7)):
            if number == 6:
                state.known[Key(7)] = state.known.pop(7) * 2
            results.append(step(state, x))
        return results

    torch.testing.assert_close(run(bifront.function(by_exception)), run(by_exception))


def test_a_dict_that_is_no_plain_one() -> None:
    class Table(dict):  # type: ignore[type-arg]
        def __missing__(self, key: int) -> Tensor:
            return torch.zeros(key)

    def step(state: Any, x: Tensor) -> Any:
        return state.known[x.shape[0]] + x

    known = {n: torch.ones(n) for n in LENGTHS[::2]}
    check(lambda: (step, Box(known=Table(known))), of_lengths(), graph_calls=0)


# ===- Gradients, failures -------------------------------------------------------------------===


def test_gradients_go_past_the_question() -> None:
    def make() -> Any:
        return step, Box(known={}, weight=torch.ones(3, requires_grad=True))

    def step(state: Any, x: Tensor) -> Any:
        hidden = x[:, None] * state.weight
        loss = (by_exception(state, x)[:, None] * hidden).mean()
        state.weight.grad = None
        loss.backward()
        with torch.no_grad():
            state.weight -= 0.1 * state.weight.grad
        return loss.detach()

    converted = check(make, of_lengths(), graph_calls=len(LENGTHS) - 3)
    assert converted.stats["graphs"] == 1


FAILING = """
import bifront
from bifront import _core
from tests.same_state import Box, same
from tests.test_dict_items import by_exception, of_lengths

expected, state = Box(known={}), Box(known={})
converted = bifront.function(by_exception, max_graphs=4)
made = of_lengths()

def call(number, kind, nth):
    x, = made[number % len(made)]
    if number % 3 == 0:
        for each in (expected, state):
            each.known.pop(len(x), None)
    _core.fail_nth(kind, nth)
    same([converted(state, x), state], [by_exception(expected, x), expected])
    return _core.events_seen() >= nth

for number in range(len(made)):
    call(number, "check", 0)
for kind in ("check", "call", "allocation"):
    for turn in range(4):
        nth = 1
        while call(nth + turn, kind, nth):
            nth += 1
        print(nth - 1)
"""


def test_each_check_fails(tmp_path: Path) -> None:
    counts = run_program(tmp_path, FAILING).split()
    assert max(int(checks) for checks in counts) > 4, counts
