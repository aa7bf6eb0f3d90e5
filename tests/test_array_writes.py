"""Writes to arrays of numpy: calls in the graph, which a run that fails takes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 6


class Kept:
    """What a step finds and leaves: one for each side."""

    def __init__(self) -> None:
        self.a = np.zeros(3)
        self.b = np.ones(3)
        self.counts = np.zeros((4, 4))
        self.whole = np.zeros(5, dtype=np.int64)
        self.calls = 0
        self.text = ""
        self.history: list[Any] = []

    def state(self) -> list[Any]:
        arrays = [self.a, self.b, self.counts, self.whole, *self.history]
        seen = [(str(array.dtype), array.tolist()) for array in arrays]
        return [*seen, self.calls, self.text]


Step = Callable[[Kept, Tensor], Any]


def check(step: Step, *, graphs: int = 1, fallbacks: int = 0, prepare: Any = None) -> Any:
    """Run the step on both sides; compare results, exceptions and what is kept."""
    sides = [Kept(), Kept()]
    for side in sides:
        if prepare:
            prepare(side)
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            x = torch.arange(3.0) + call
            try:
                result = run(side, x)
            except Exception as error:
                result = (type(error), str(error))
            outcomes.append([result, x, side.state()])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert stats["graphs"] <= graphs, bifront.explain(converted)
    if fallbacks < CALLS - 1:
        assert stats["graph_calls"] >= 1 and stats["opaque_calls"] >= 1, bifront.explain(converted)
    return converted


def items(kept: Kept, x: Tensor) -> Tensor:
    kept.a[0] += 1
    kept.a[1:] = x.numpy()[1:]
    kept.a[kept.calls % 3] = x.mean()
    kept.calls += 1
    return x + kept.a.sum()


def in_place(kept: Kept, x: Tensor) -> Tensor:
    kept.a *= 0.5
    kept.a += x.numpy()
    kept.b -= kept.a
    return x + kept.b.sum()


def views(kept: Kept, x: Tensor) -> Tensor:
    row, column = kept.counts[1], kept.counts[:, 2]
    row += 1
    column[...] = x.sum().item()
    kept.counts[0][1] = 7
    return x * float(row.sum())


def functions(kept: Kept, x: Tensor) -> Tensor:
    np.add(kept.a, kept.b, out=kept.a)
    np.multiply(kept.a, 2, kept.b)
    np.add.at(kept.counts, (np.array([1, 2, 1]), x.long().numpy() % 4), 1)
    kept.a.sort()
    np.copyto(kept.b, kept.a * 0.25)
    return x + kept.a.sum() + float(np.diag(kept.counts).sum())


def masks(kept: Kept, x: Tensor) -> Tensor:
    kept.whole[int(x.numpy().argmax())] += 1
    kept.whole[[0, 1]] -= 1
    kept.whole[kept.whole > 0] = 9
    return x * 2


def new_array(kept: Kept, x: Tensor) -> Tensor:
    made = np.zeros((2, 3))
    made[0] = x.numpy()
    made[1, 1:] = 5
    return torch.from_numpy(made) + x


def shared_behind_the_write(kept: Kept, x: Tensor) -> Tensor:
    kept.a[0] += 1
    return x + torch.from_numpy(kept.a)


def copies_are_kept(kept: Kept, x: Tensor) -> Tensor:
    kept.a[0] += x[0].item()
    kept.history.append(kept.a.copy())
    return x * 2


def behind_a_write_to_a_tensor(kept: Kept, x: Tensor) -> Tensor:
    x.add_(1)
    kept.a[0] += 1
    return x * kept.a.sum()


@pytest.mark.parametrize(
    "step",
    [
        items,
        in_place,
        views,
        functions,
        masks,
        new_array,
        shared_behind_the_write,
        copies_are_kept,
        behind_a_write_to_a_tensor,
    ],
)
def test_writes(step: Step) -> None:
    check(step)


def test_a_write_in_a_branch() -> None:
    def step(kept: Kept, x: Tensor) -> Tensor:
        if x.sum() > 8:
            kept.a[0] += 1
        else:
            kept.a[1] -= 1
        return x + kept.a.sum()

    check(step)


def test_writes_in_a_loop() -> None:
    def step(kept: Kept, x: Tensor) -> Tensor:
        while x.sum() < 20:
            kept.a[0] += 0.5
            x = x + 1
        return x + kept.a.sum()

    check(step, fallbacks=1)


def test_an_array_that_is_replaced_is_written() -> None:
    def step(kept: Kept, x: Tensor) -> Tensor:
        kept.a = kept.a * 0.5 + x.numpy()
        kept.a[0] = 3
        return x + float(kept.a.sum())

    check(step)


def test_another_dtype_from_some_call_on() -> None:
    def step(kept: Kept, x: Tensor) -> Tensor:
        kept.a[1] = x[1].item() + 0.75
        return x + float(kept.a[1])

    sides, converted = [Kept(), Kept()], bifront.function(step)
    for call in range(CALLS):
        if call == 3:
            for side in sides:
                side.a = np.zeros(2, dtype=np.int32)
        x = torch.arange(3.0) + call
        assert_same_value(converted(sides[1], x), step(sides[0], x), f"call {call}")
        assert_same_value(sides[1].state(), sides[0].state(), f"call {call}")


def test_what_fails_behind_a_write_takes_it_back() -> None:
    def step(kept: Kept, x: Tensor) -> Tensor:
        kept.a[0] += 1
        kept.a[1:][0] += 2
        kept.a[int(x[0].item())] += 1
        return x + kept.a.sum()

    check(step, fallbacks=3)


def test_a_tensor_in_the_memory_of_an_array_that_is_written() -> None:
    """By an input, or by a tensor that the call has made: CPython runs these calls."""

    def share(kept: Kept) -> None:
        kept.tensor = torch.from_numpy(kept.a)  # type: ignore[attr-defined]

    def of_an_input(kept: Kept, x: Tensor) -> Tensor:
        kept.a[0] += 1
        return x + kept.tensor  # type: ignore[attr-defined]

    def of_one_made(kept: Kept, x: Tensor) -> Tensor:
        tensor = torch.from_numpy(kept.a)
        kept.a[0] += 1
        return x + tensor

    def of_one_read(kept: Kept, x: Tensor) -> Tensor:
        kept.tensor.add_(1)  # type: ignore[attr-defined]
        return x + kept.a.sum()

    def of_an_array(kept: Kept, x: Tensor) -> Tensor:
        x.numpy()[0] = 5
        return x * 2

    for step in (of_an_input, of_one_made, of_one_read, of_an_array):
        check(step, fallbacks=CALLS, prepare=share)


def test_an_array_that_cannot_be_written() -> None:
    def freeze(kept: Kept) -> None:
        kept.a.flags.writeable = False

    def step(kept: Kept, x: Tensor) -> Tensor:
        kept.a[0] += 1
        return x

    check(step, fallbacks=CALLS, prepare=freeze)


def test_texts_of_arrays_show_what_is_there_then() -> None:
    def of_an_array(kept: Kept, x: Tensor) -> Tensor:
        kept.text = f"{kept.a}"
        return x * 2

    def with_a_number(kept: Kept, x: Tensor) -> Tensor:
        form = "{} {}"
        kept.text = f"{x.sum().item():.2f} " + form.format(x.sum().item(), kept.a)
        kept.a[0] += 1
        return x * 2

    for step in (of_an_array, with_a_number):
        sides, converted = [Kept(), Kept()], bifront.function(step)
        for call in range(CALLS):
            for side in sides:
                side.a[1] = call
            x = torch.arange(3.0)
            assert_same_value(converted(sides[1], x), step(sides[0], x), f"call {call}")
            assert sides[1].text == sides[0].text


PROGRAM = """
import bifront, torch, numpy as np
from tests.failing_on_purpose import fail_each

counts = np.zeros((2, 3))
total = np.zeros(3)

def run(step, x):
    counts[...] = 1
    total[...] = 2
    result = step(x)
    return result.tolist(), counts.tolist(), total.tolist()

def step(x):
    total[0] += x.sum().item()
    row = counts[1]
    row *= 0.5
    np.add.at(counts, (np.array([0, 1]), np.array([2, 2])), 1)
    made = np.zeros(3)
    made[1] = total.sum()
    return x * torch.from_numpy(made) + counts.sum()

converted = bifront.function(step)
x = torch.arange(3.0)
for _ in range(3):
    assert run(converted, x) == run(step, x)
assert converted.stats["graph_calls"] >= 1, bifront.explain(converted)
print(fail_each(lambda: run(step, x), lambda: run(converted, x)))
"""


def test_whatever_fails_the_arrays_are_as_in_eager(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 10
