"""Sizes and numbers of arguments that Python has to know: each is a path of one graph."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.test_paths import Two

Step = Callable[..., Any]


def sizes(
    step: Step, lengths: Sequence[int], calls: int = 14, make: Callable[[int], Tensor] | None = None
) -> Two:
    """Calls it with tensors of these lengths in turn."""
    make = make or (lambda length: torch.randn(length, 3))
    two = Two(lambda: (step, None))
    for call in range(calls):
        two.call(call, make(lengths[call % len(lengths)]))
    return two


def rows_in_a_list(x: Tensor) -> Any:
    return [row * 2 for row in x], torch.stack([row.sum() for row in x])


def rows_of_a_generator(x: Tensor) -> Any:
    total = torch.zeros(3)
    for i, row in enumerate(row for row in x):
        total = total + i * row
    return total


def size_in_a_text(x: Tensor) -> Any:
    return f"{x.shape[0]} rows", {x.shape[0]: x.sum()}


def size_in_a_recursion(x: Tensor) -> Tensor:
    if x.shape[0] <= 1:
        return x.sum(0)
    half = x.shape[0] // 2
    return size_in_a_recursion(x[:half]) - size_in_a_recursion(x[half:])


def test_halves_of_odd_sizes_are_not_taken_to_be_equal() -> None:
    two = sizes(size_in_a_recursion, (4, 3, 2, 5, 8, 7), calls=24)
    assert two.stats["graph_calls"] > 0


def writes_the_argument(x: Tensor) -> Any:
    for i, row in enumerate(list(x)):
        row.mul_(i + 1)
    return x


@pytest.mark.parametrize(
    "step",
    [
        rows_in_a_list,
        rows_of_a_generator,
        size_in_a_text,
        writes_the_argument,
    ],
)
@pytest.mark.parametrize("lengths", [(3, 4, 2), (1, 5), (2, 0, 3, 1)])
def test_each_size_is_a_path(step: Step, lengths: tuple[int, ...]) -> None:
    if 0 in lengths and step in (rows_in_a_list,):  # nothing to stack
        lengths = (2, 3, 1)
    two = sizes(step, lengths)
    two.assert_one_graph(least=14 - 1 - len(lengths))


def test_a_new_size_is_a_call_in_cpython_at_most() -> None:
    two = sizes(rows_in_a_list, (3, 4))
    before = two.stats["exits"]["AssertionFailed"]
    two.call(20, torch.randn(7, 3))
    assert two.stats["exits"]["AssertionFailed"] == before + 1
    two.call(21, torch.randn(7, 3))
    assert two.stats["exits"]["AssertionFailed"] == before + 1
    two.assert_one_graph()


def test_the_sizes_that_nobody_asks_for_stay_open() -> None:
    def step(x: Tensor) -> Any:
        return [row @ row for row in x]

    two = Two(lambda: (step, None))
    for call in range(20):
        two.call(call, torch.randn(2 + call % 2, 3 + call))
    two.assert_one_graph(least=16)


def test_more_sizes_than_conversions() -> None:
    two = sizes(rows_in_a_list, range(2, 30), calls=60)
    assert two.stats["conversions"] <= 8


def test_an_argument_that_is_not_contiguous() -> None:
    sizes(rows_in_a_list, (3, 4, 2), make=lambda length: torch.randn(3, length).t())


def test_results_that_train_have_a_graph_for_each_size() -> None:
    weight = torch.randn(3, requires_grad=True)

    def step(x: Tensor) -> Any:
        return torch.stack([row @ weight for row in x]).sum()

    converted = bifront.function(step)
    for call in range(12):
        x = torch.randn(2 + call % 3, 3)
        gradients = []
        for function in (step, converted):
            weight.grad = None
            function(x).backward()
            assert weight.grad is not None
            gradients.append(weight.grad.clone())
        torch.testing.assert_close(*gradients)
    assert converted.stats["graph_calls"] >= 8, bifront.explain(converted)


def test_a_step_trains_by_rows() -> None:
    def make() -> tuple[Step, Any]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.Adam(model.parameters())

        def step(x: Tensor) -> Any:
            optimizer.zero_grad()
            loss = sum(model(row).square().sum() for row in x)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step, list(model.parameters())

    two = Two(make)
    for call in range(14):
        two.call(call, torch.randn(2 + call % 3, 3))
    two.assert_one_graph(least=9)


def whole_numbers(x: Tensor, n: int) -> Any:
    return x * math.sqrt(n + 1), math.gcd(12, n), hash((n, 1)), {n: x}


def beyond_64_bits(x: Tensor, n: int) -> Any:
    return x, (n * 7 + 11) ** 40, -n // 3


@pytest.mark.parametrize("step", [whole_numbers, beyond_64_bits])
def test_each_number_is_a_path(step: Step) -> None:
    two = Two(lambda: (step, None))
    for call in range(14):
        two.call(call, torch.randn(3 + call % 2), [2, 5, 11][call % 3])
    two.assert_one_graph(least=9)


def test_a_truth_is_known() -> None:
    two = Two(lambda: (lambda x, flag: ({flag: x}, str(flag)), None))
    for call in range(12):
        two.call(call, torch.randn(3), call % 2 == 0)
    two.assert_one_graph(least=9)


def test_a_float_is_known() -> None:
    two = Two(lambda: (lambda x, rate: x * len(str(rate)), None))
    for call in range(12):
        two.call(call, torch.randn(3), [0.5, 0.25][call % 2])
    two.assert_one_graph(least=9)


def activation_by_name(x: Tensor, name: Any) -> Any:
    if name is None:
        return x
    return {"relu": x.relu, "tanh": x.tanh}.get(name, x.sum)(), name


def scaled_by_whatever(x: Tensor, scale: Any) -> Any:
    scale = scale or 1.5
    return x * scale, scale


def one_more(x: Tensor, number: int) -> Any:
    return x, number + 1


def called(x: Tensor, function: Callable[[Tensor], Tensor]) -> Any:
    return function(x) * 2, function.__name__


@pytest.mark.parametrize(
    ("step", "values"),
    [
        (activation_by_name, ["relu", "tanh", "sum"]),
        (activation_by_name, [None, "relu"]),
        (scaled_by_whatever, [None, 0, 2.5, 3]),
        (one_more, [10**30, 7]),
        (called, [torch.relu, torch.sigmoid, rows_of_a_generator]),
    ],
)
def test_values_of_several_types_are_choices(step: Step, values: list[Any]) -> None:
    two = Two(lambda: (step, None))
    for call in range(16):
        two.call(call, torch.randn(3 + call % 2, 3), values[call % len(values)])
    two.assert_one_graph(least=14 - len(values))


def test_a_choice_that_is_new_each_time() -> None:
    two = Two(lambda: (activation_by_name, None))
    for call in range(30):
        two.call(call, torch.randn(3), f"name {call}")
    assert two.stats["conversions"] <= 8


def test_functions_among_the_choices_are_freed_with_the_graphs() -> None:
    def other(x: Tensor) -> Tensor:
        return x + 1

    alive = weakref.ref(other)
    converted = bifront.function(called)
    for call in range(6):
        converted(torch.randn(3), [torch.relu, other][call % 2])
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    del converted, other
    gc.collect()
    assert alive() is None


def test_the_length_of_a_range_follows_from_a_float() -> None:
    two = Two(lambda: (lambda n: torch.arange(3.0 - n) * 2, None))
    for call in range(12):
        two.call(call, call % 3)
    two.assert_one_graph(least=8)


def last_batch(x: Tensor, y: Tensor) -> Any:
    return x @ y.t(), (x - y).sum(0), x.squeeze(0).shape


def test_batches_of_one_and_of_none_are_paths() -> None:
    two = Two(lambda: (last_batch, None))
    for call in range(24):
        n = [4, 7, 1, 5, 0, 9][call % 6]
        two.call(call, torch.randn(n, 3), torch.randn(n, 3))
    two.assert_one_graph(least=19)
    two.call(30, torch.randn(33, 3), torch.randn(33, 3))  # any other size has a path already
    two.assert_one_graph(least=20)


def test_what_an_even_size_decides() -> None:
    def step(x: Tensor) -> Any:
        return x * 2 if x.shape[0] % 2 == 0 else (x * 3, "odd")

    two = sizes(step, (3, 4, 6, 9, 8, 5), calls=18)
    two.assert_one_graph(least=15)


def test_an_assumption_on_one_way_of_a_branch_decides_the_path() -> None:
    def step(x: Tensor) -> Any:
        inside = x.min() < 0 and -1 < x.mean() < 1
        return "inside" if inside else x * 0

    two = Two(lambda: (step, None))
    for call in range(20):
        two.call(call, torch.randn(3 + call % 2) * [1, 9][call // 2 % 2] + [0, 20][call // 4 % 2])
    two.assert_one_graph(least=12)


def test_continue_in_a_loop_that_is_unrolled() -> None:
    def step(x: Tensor) -> Any:
        total = torch.zeros(())
        for i, value in enumerate(x):
            if value < 0:
                continue
            if value > 1:
                total = total - i
                continue
            total = total + value
        return total

    two = Two(lambda: (step, None))
    for call in range(14):
        two.call(call, torch.randn(6))
    two.assert_one_graph(least=12)
