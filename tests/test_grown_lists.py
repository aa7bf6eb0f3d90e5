"""Lists that grow from call to call and that the program goes through as a whole."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import Box, X, check, several


def grows(function: Callable[..., Any], start: list[Any], *, conversions: int = 2) -> Any:
    """Once the list has had another length, one graph serves however long it is."""
    converted = check(lambda: (function, Box(items=list(start))), several(9))
    assert converted.stats["conversions"] <= conversions, converted.stats["exits"]
    assert converted.stats["opaque_calls"] == 0
    return converted


def appended(state: Any, x: Tensor) -> Any:
    state.items.append(x.sum())
    return state.items


@pytest.mark.parametrize(
    "use",
    [
        sum,
        lambda items: sum(items, torch.ones(())),
        lambda items: sum(item * 2 for item in items),
        lambda items: sum(items) / len(items),
        max,
        min,
        torch.stack,
        lambda items: torch.stack(tensors=items, dim=0).mean(),
        lambda items: torch.stack([item + 1 for item in items]),
        lambda items: torch.cat([item.reshape(1) for item in items]).cumsum(0),
    ],
)
def test_tensors(use: Callable[[Any], Any]) -> None:
    grows(lambda state, x: use(appended(state, x)), [X.sum(), X.mean()])


def test_rows_of_a_matrix() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x * 2)
        return torch.stack(state.items).sum(0), torch.cat(state.items), len(state.items)

    grows(function, [X])


@pytest.mark.parametrize("values", [[1, 5, 3], [0.5, -1.0, 7.25], [True, False, True]])
@pytest.mark.parametrize("use", [sum, max, min, lambda items: sum(2 * item for item in items)])
def test_numbers(values: list[Any], use: Callable[[Any], Any]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(state.items[0])
        return x * use(state.items), len(state.items)

    grows(function, values, conversions=9)


def test_loop_with_branches_in_it() -> None:
    def function(state: Any, x: Tensor) -> Any:
        most = x.sum()
        for item in state.items:
            if item > most:
                most = item
            else:
                most = most * 0.5
        state.items.append(most)
        return most

    grows(function, [X.sum(), X.mean()], conversions=4)


def test_loop_that_ends_early() -> None:
    def function(state: Any, x: Tensor) -> Any:
        total = x.sum()
        for number in state.items:
            total = total + number
            if number > 2:
                break
        else:
            total = -total
        state.items.append(len(state.items))
        return total

    check(lambda: (function, Box(items=[0.5 > 1, 1])), several(9))


def test_list_that_its_loop_adds_to() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum())
        total = x.sum() * 0
        for item in state.items:
            total = total + item
            if len(state.items) % 4:
                state.items.append(x.mean())
        return total

    check(lambda: (function, Box(items=[X.sum()])), several(9))


def test_nan_is_neither_more_nor_less() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(float("nan") if len(state.items) == 4 else 1.5)
        return max(state.items) * x, min(state.items) * x

    check(lambda: (function, Box(items=[0.5, 2.5])), several(9))


def test_ints_beyond_64_bits() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(2 ** (10 * len(state.items)))
        return sum(state.items), x * 1

    check(lambda: (function, Box(items=[1, 2])), several(9))


def test_emptied_and_replaced_between_calls() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum())
        return sum(state.items), max(state.items)

    def between(state: Any, call: int) -> None:
        if call == 4:
            state.items.clear()
        if call == 6:
            state.items = [X.mean(), X.mean() * 2]
        if call == 8:
            state.items[0] = 3.5
        if call == 10:
            state.items[:] = [torch.ones(()), torch.ones((), dtype=torch.float64)]
        if call == 12:
            state.items.insert(0, torch.ones((), requires_grad=True))

    check(lambda: (function, Box(items=[X.sum()])), several(15), between=between, graph_calls=4)


def test_one_tensor_twice_and_written() -> None:
    weight = torch.ones(())

    def function(state: Any, x: Tensor) -> Any:
        state.weight.add_(1)
        total = sum(state.items)
        state.items.append(state.weight if len(state.items) % 3 == 0 else x.sum())
        return total

    check(
        lambda: (function, Box(items=[X.sum()], weight=weight.clone())),
        several(12),
        graph_calls=0,
    )


def test_items_set_before_and_behind() -> None:
    def function(state: Any, x: Tensor) -> Any:
        before = sum(state.items)
        state.items[0] = x.sum()
        between = sum(state.items)
        state.items.append(x.mean())
        return before, between, sum(state.items), state.items[-1]

    check(lambda: (function, Box(items=[X.sum(), X.mean()])), several(9))


def test_window() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum())
        mean = sum(state.items) / len(state.items)
        if len(state.items) > 3:
            state.items.pop(0)
        return mean

    check(lambda: (function, Box(items=[X.sum()])), several(12), graph_calls=6)


def test_items_that_require_grad() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.items.append((x * state.weight).sum())
        loss = sum(state.items)
        return loss.detach()

    check(lambda: (function, Box(items=[], weight=torch.ones(3, requires_grad=True))), several(7))


def test_subclass_of_list() -> None:
    class History(list):  # type: ignore[type-arg]
        def best(self) -> Any:
            return max(self)

    class Twice(History):
        def __iter__(self) -> Any:
            for item in list.__iter__(self):
                yield item * 2

        def __len__(self) -> int:
            return 2 * list.__len__(self)

        def __getitem__(self, index: Any) -> Any:
            return list.__getitem__(self, index) + 100

    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum().item())
        return x * state.items.best(), len(state.items), state.items[-1], sum(state.items)

    for cls, conversions in ((History, 3), (Twice, 16)):
        converted = check(lambda cls=cls: (function, Box(items=cls([1.0, 2.0]))), several(9))
        assert converted.stats["conversions"] <= conversions


def test_lists_in_a_dict() -> None:
    def function(state: Any, x: Tensor, n: int) -> Any:
        state.groups[n % 2].append(x.shape[0])
        return {key: len(values) for key, values in state.groups.items()}, sum(state.groups[n])

    def made() -> Any:
        return function, Box(groups=defaultdict(list, {0: [1], 1: [2], 2: [3]}))

    converted = check(made, [(X, call % 3) for call in range(12)], graph_calls=8)
    assert converted.stats["forms"] <= 2


def test_sum_of_floats_is_cpythons() -> None:
    values = [1e100, 1.0, -1e100, 0.1]

    def function(state: Any, x: Tensor) -> Any:
        state.items.append(0.1)
        return sum(state.items), x * 1, math.fsum(state.items)

    check(lambda: (function, Box(items=list(values))), several(9))


def test_opaque_call_changes_the_list() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.items = [1.0, 2.0]

        def step(self, value: float) -> float:
            self.items.append(value)
            print(end="", file=None)
            return value

    def made() -> Any:
        recorder = Recorder()

        def step(x: Tensor) -> Any:
            got = recorder.step(x.sum().item())
            return sum(recorder.items), got

        return recorder, step

    (one, eager), (other, function) = made(), made()
    converted = bifront.function(function)
    for call in range(9):
        torch.manual_seed(call)
        x = torch.randn(3)
        assert eager(x) == converted(x)
        assert one.items == other.items


def test_list_becomes_short() -> None:
    """Shorter than it was when the graph was made."""

    def function(state: Any, x: Tensor) -> Any:
        state.items.append(x.sum())
        return max(state.items), torch.stack(state.items)

    def between(state: Any, call: int) -> None:
        if call in (5, 7):
            del state.items[1:]
        if call == 6:
            del state.items[:]

    check(lambda: (function, Box(items=[X.sum(), X.sum()])), several(10), between=between)
