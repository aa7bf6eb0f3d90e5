"""Arrays and lists of numpy that loops carry, branches merge and functions are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.same_function import assert_same_value

CALLS = 8
Step = Callable[..., Any]


def assert_same(actual: Any, expected: Any, where: str) -> None:
    if isinstance(expected, np.ndarray | np.generic):
        assert type(actual) is type(expected), where
        assert actual.dtype == expected.dtype and actual.shape == expected.shape, where
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
    elif isinstance(expected, list | tuple):
        assert type(actual) is type(expected) and len(actual) == len(expected), where
        for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_same(a, e, f"{where}[{index}]")
    else:
        assert_same_value(actual, expected, where)


def check(
    make: Callable[[], Step],
    *,
    argument: Callable[[int], Any] = lambda call: torch.rand(4) + (call % 3),
    fallbacks: int = 2,
    graphs: int = 2,
) -> Any:
    """Run a step of each side's own; the last calls are to run in one graph."""
    step, converted = make(), bifront.function(make())
    for call in range(CALLS):
        torch.manual_seed(call)
        np.random.seed(call)
        x = argument(call)
        mine = x.clone()
        outcomes = []
        for run, given in ((step, x), (converted, mine)):
            np.random.seed(call)
            try:
                outcomes.append(run(given))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert_same(outcomes[1], outcomes[0], f"call {call}")
        assert_same(mine, x, f"call {call}: argument")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    return converted


def in_one_graph(converted: Any, kind: str) -> None:
    """The newest graph has what decides inside it."""
    assert any(kind in text for text in converted.graph_texts), converted.graph_texts


def weights() -> np.ndarray:
    return np.array([0.5, 1.5, 2.5, 3.5], dtype=np.float32)


def halves(x: Tensor) -> Any:
    a = x.numpy() * 8
    while float(a.sum()) > 3:
        a = a / 2
    return torch.from_numpy(a) + x


def by_a_tensor(x: Tensor) -> Any:
    a, t = np.ones(4), x * 8
    while t.sum() > 3:
        a = np.sin(a) + t.numpy()
        t = t / 2
    return a, t


def from_outside_at_first(w: np.ndarray) -> Step:
    def step(x: Tensor) -> Any:
        a = w
        while float(a.sum()) > x.sum():
            a = a * 0.5
        return a * 1, x

    return step


def scalars(x: Tensor) -> Any:
    total = np.float64(0)
    while total < 10:
        total = total + x.numpy().sum().astype(np.float64) + 1
    return x * float(total)


def starts_with_none(x: Tensor) -> Any:
    best, left = None, x.sum() + 4
    while left > 0:
        array = np.full(3, float(left))
        if best is None or float(array.sum()) < float(best.sum()):
            best = array
        left = left - 1
    return best * 2, x


def converted_to_a_tensor_in_the_loop(x: Tensor) -> Any:
    state, out = np.zeros(4, dtype=np.float32), x
    while out.sum() < 20:
        out = out + torch.as_tensor(state) + 1
        state = state + out.numpy() * 0.5
    return out, state


def items_and_lists(x: Tensor) -> Any:
    action, n = x.tolist(), x.sum() * 0
    while n < x.sum():
        a = np.array(action) * 2
        action = a.tolist()
        n = n + action[1] + len(action)
    return np.array(action), n


def tuples(x: Tensor) -> Any:
    state = (x.numpy() * 1, np.float32(0))
    while float(state[0].sum()) < 30:
        a, s = state
        state = (a + 1, s + a.sum())
    return state[0], state[1] * 2


def unpacks_a_shape(x: Tensor) -> Any:
    a = np.zeros((2, 3)) + float(x.sum())
    rows, columns = a.shape
    while float(a.sum()) > 1:
        a = a / 3
        rows = rows + a.shape[0]
    return rows * columns, a


LOOPS: dict[str, Callable[[], Step]] = {
    "halves": lambda: halves,
    "by a tensor": lambda: by_a_tensor,
    "from outside": lambda: from_outside_at_first(weights() * 4),
    "scalars": lambda: scalars,
    "None at first": lambda: starts_with_none,
    "tensors in the loop": lambda: converted_to_a_tensor_in_the_loop,
    "lists": lambda: items_and_lists,
    "tuples": lambda: tuples,
    "shapes": lambda: unpacks_a_shape,
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_carries(name: str) -> None:
    in_one_graph(check(LOOPS[name]), "scf.while")


def both_ways(x: Tensor) -> Any:
    a = np.sin(x.numpy()) if x.sum() > 4 else np.ones(4, dtype=np.float32)
    return torch.from_numpy(a) * x


def one_from_outside(w: np.ndarray) -> Step:
    return lambda x: (w if x.sum() > 4 else x.numpy() * 2) + 1


def two_from_outside(w: np.ndarray, v: np.ndarray) -> Step:
    def step(x: Tensor) -> Any:
        a = w if x.sum() > 4 else v
        return x * float(a[1]), a

    return step


def or_none(x: Tensor) -> Any:
    a = np.sin(x.numpy()) if x.sum() > 4 else None
    y = x * 2
    return y if a is None else y + torch.from_numpy(a)


def an_array_of_the_argument(x: Tensor) -> Any:
    a = x.numpy() if x.sum() > 4 else x.numpy()[::-1]
    return a * 2, x


def lists(x: Tensor) -> Any:
    values = x.tolist() if x.sum() > 4 else [v * 2 for v in x.tolist()]
    return np.array(values).sum(), x


BRANCHES: dict[str, Callable[[], Step]] = {
    "both ways": lambda: both_ways,
    "one from outside": lambda: one_from_outside(weights()),
    "two from outside": lambda: two_from_outside(weights(), weights() * 2),
    "or None": lambda: or_none,
    "of the argument": lambda: an_array_of_the_argument,
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_merges(name: str) -> None:
    in_one_graph(check(BRANCHES[name]), "arith.select" if name.startswith("two") else "scf.if")


def test_lists_of_both_ways() -> None:
    check(lambda: lists, graphs=3)


def test_the_shape_changes_between_iterations() -> None:
    def step(x: Tensor) -> Any:
        a = x.numpy() * 1
        while float(a.sum()) < 40:
            a = np.concatenate((a, a + 1))
        return a, x * float(a.mean())

    in_one_graph(check(lambda: step), "scf.while")


def test_the_shape_of_a_tensor_changes_between_iterations() -> None:
    """The tensor is taken to have the first one's shape: CPython runs what has another."""

    def step(x: Tensor) -> Any:
        a, t = x.numpy() * 1, x.sum()
        while t < 40:
            t = t + torch.from_numpy(a).sum()
            a = np.concatenate((a, a))
        return t

    check(lambda: step, fallbacks=CALLS, graphs=8)


def test_the_class_changes_between_iterations() -> None:
    def step(x: Tensor) -> Any:
        a: Any = x.numpy() * 1
        n = x.sum() * 0
        while n < x.sum():
            a = a.sum() if isinstance(a, np.ndarray) and float(a.sum()) > 6 else a * 2
            n = n + 2
        return a * 1.0

    check(lambda: step, fallbacks=CALLS, graphs=8)


def test_the_dtype_changes_between_iterations() -> None:
    def step(x: Tensor) -> Any:
        a = x.numpy() * 1
        while float(a.sum()) < 40:
            a = a.astype(np.float64) * 2
        return a, torch.tensor(a.sum())

    check(lambda: step, fallbacks=CALLS, graphs=8)


def test_gradients_go_around_what_is_carried() -> None:
    def make() -> Step:
        torch.manual_seed(0)
        model = nn.Linear(4, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def step(x: Tensor) -> Any:
            optimizer.zero_grad()
            h, scale = x, np.ones(4, dtype=np.float32)
            while float(scale.sum()) < 3 + x.sum():
                h = torch.tanh(model(h)) * torch.from_numpy(scale)
                scale = scale * 1.5
            h.sum().backward()
            optimizer.step()
            return h.detach(), scale, [p.detach().clone() for p in model.parameters()]

        return step

    in_one_graph(check(make), "scf.while")


def tree_of(depth: int) -> Any:
    return None if depth == 0 else (tree_of(depth - 1), tree_of(depth - 1))


def test_a_recursion_is_given_and_gives_arrays() -> None:
    def shrink(a: Any, t: Tensor) -> Any:
        if t.sum() < 1:
            return a
        return shrink(a * 0.5 + 1, t / 2) + 1

    def step(x: Tensor) -> Any:
        return shrink(x.numpy() * 1, x), x

    in_one_graph(check(lambda: step), "func.call")


def test_a_recursion_that_ends_by_an_array() -> None:
    def shrink(a: Any) -> Any:
        return a if float(a.sum()) < 1 else shrink(a / 2)

    in_one_graph(check(lambda: lambda x: shrink(x.numpy() + 1) * 2), "func.call")


def test_draws_in_a_loop_are_taken_back() -> None:
    def step(x: Tensor) -> Any:
        position = np.zeros(2)
        while float(np.abs(position).sum()) < x.sum():
            position = position + np.random.rand(2)
        return position, x * float(position[0]), np.random.rand()

    in_one_graph(check(lambda: step), "scf.while")


def test_an_array_behind_a_write_in_the_loop() -> None:
    """The next iteration would look at other numbers."""

    def own(x: Tensor) -> Any:
        y = x * 2
        a, total = y.numpy(), 0.0
        while total < 20:
            total = total + float(a.sum())
            y.add_(1)
        return total

    def carried(x: Tensor) -> Any:
        y = x * 2
        a, total = y.numpy(), 0.0
        while total < 20:
            total = total + float(a.sum())
            a = a[::-1]
            y.add_(1)
        return total

    def made_in_the_loop(x: Tensor) -> Any:
        y = x * 2
        a, total = x.numpy() * 1, 0.0
        while total < 20:
            total = total + float(a.sum())
            a = y.numpy()
            y.add_(1)
        return total

    def merged(x: Tensor) -> Any:
        y = x * 2
        a = y.numpy()
        z = y if x.sum() > 4 else x * 3
        z.add_(1)
        return a * 2

    def through_data(x: Tensor) -> Any:
        y = x * 2
        a = y.numpy()
        y.data.add_(1)
        return a * 2

    def of_one_way(x: Tensor) -> Any:
        if x.sum() > 4:
            y = x * 2
            a = y.numpy()
        else:
            y = x * 3
            a = y.numpy() * 1
        y.add_(1)
        return a * 2

    for step in (own, carried, made_in_the_loop, merged, through_data, of_one_way):
        compare(step)


def compare(step: Step) -> None:
    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.rand(4) + (call % 3)
        assert_same(converted(x.clone()), step(x.clone()), f"call {call}")


def test_a_function_called_again_behind_a_write() -> None:
    def depth(a: Any, t: Tensor) -> Any:
        return t + float(a.sum()) if t.sum() < 1 else depth(a, t / 2)

    def step(x: Tensor) -> Any:
        y = x * 2
        a = y.numpy()

        def inner(t: Tensor) -> Any:
            return t + float(a.sum()) if t.sum() < 1 else inner(t / 2)

        one = inner(x)
        y.add_(1)
        return one, inner(x), depth(y.numpy(), x)

    compare(step)


def test_an_array_from_outside_in_a_loop() -> None:
    def make() -> Step:
        w = weights()
        state = torch.from_numpy(w)

        def step(x: Tensor) -> Any:
            total = 0.0
            while total < 20:
                total = total + float(w.sum())
                state.add_(1)
            return total

        return step

    step, converted = make(), bifront.function(make())
    for call in range(CALLS):
        assert converted(torch.ones(2)) == step(torch.ones(2)), f"call {call}"


def test_elements_of_an_array_from_outside_are_read_in_each_run() -> None:
    def make(w: np.ndarray) -> Step:
        def step(x: Tensor) -> Any:
            total = x
            for value in w:
                total = total + float(value)
            return total

        return step

    arrays = [weights(), weights()]
    step, converted = make(arrays[0]), bifront.function(make(arrays[1]))
    for call in range(CALLS):
        x = torch.ones(2)
        assert_same(converted(x), step(x), f"call {call}")
        for array in arrays:
            array += call
    assert converted.stats["fallback_calls"] <= 1, bifront.explain(converted)


def test_float_int_and_rounding_of_tensors_stay_in_one_graph() -> None:
    def step(x: Tensor) -> Any:
        total = x.sum()
        parts = math.floor(total), math.ceil(float(total)), math.trunc(-total.item()), int(-total)
        return float(total) / 2, int(total), int(total > 4), math.floor(int(total)), parts, x

    stats = check(lambda: step, fallbacks=0, graphs=1).stats
    assert stats["opaque_calls"] == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_int_of_what_fits_none(value: float) -> None:
    def step(x: Tensor) -> Any:
        return int(x.sum()), math.floor(x.sum().item())

    converted = bifront.function(step)
    for number in (1.5, 2.5, value, 3.5):
        outcomes = []
        for run in (step, converted):
            try:
                outcomes.append(run(torch.tensor([number])))
            except (ValueError, OverflowError) as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1], number


def test_a_list_with_a_number_of_the_graph_is_an_index() -> None:
    def step(x: Tensor) -> Any:
        y, at = x.clone(), int(x.argmax())
        y[[0, at]] = y[[at, 0]]
        grid = torch.outer(x, x)
        return y, grid[[0, at]], grid[[at], [0]], grid[:, [at, 1]]

    check(lambda: step, fallbacks=0, graphs=1)


def test_sizes_that_functions_of_c_ask_for() -> None:
    """PyTorch's own composites ask a proxy for plain sizes: these then are no inputs."""

    def padded(x: Tensor) -> Any:
        return nn.utils.rnn.pad_sequence([x, x[1:]], batch_first=True) * 2

    def larger(x: Tensor) -> Any:
        return nn.functional.interpolate(x[None, None, None, :], scale_factor=2, mode="nearest")

    for step in (padded, larger):
        converted = bifront.function(step)
        for call in range(CALLS):
            x = torch.rand(3 + call % 3)
            assert_same(converted(x), step(x), f"call {call}")
        assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)
        assert "INTERNAL ASSERT" not in str(bifront.explain(converted))


def test_an_attribute_that_one_way_replaces_holds_another_array_in_each_call() -> None:
    """What was there before is not a constant that each call would find changed."""

    class Holder:
        def __init__(self) -> None:
            self.kept: Any = np.float64(1)
            self.done = 0

    def make() -> Step:
        holder, values = Holder(), np.linspace(1, 2, 2 * CALLS)

        def step(x: Tensor) -> Any:
            if holder.done < len(values):
                holder.kept = values[holder.done]
            holder.done += 1
            return x * float(holder.kept)

        return step

    check(make)
