"""Forms of a call, which the checks at the entry tell apart, are paths of one graph."""

from __future__ import annotations

import collections
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.failing_on_purpose import run_program
from tests.same_state import Box, X, check, same, several

Step = Callable[..., Any]


def forms(converted: Any, count: int) -> None:
    """One graph of so many forms; at most one conversion more, which knew too little."""
    stats = converted.stats
    assert (stats["graphs"], stats["forms"]) == (1, count), bifront.explain(converted)
    assert stats["conversions"] <= count + 1


# ===- What is in a slot ---------------------------------------------------------------------===


def none_or_a_tensor(state: Box, x: Tensor) -> Any:
    h = x * 2 if state.h is None else state.h + x
    state.h = None if state.h is not None else h
    return h.sum()


def test_none_or_a_tensor() -> None:
    forms(check(lambda: (none_or_a_tensor, Box(h=None)), several(8)), 2)


def test_an_attribute_is_there_or_not() -> None:
    def step(state: Box, x: Tensor) -> Any:
        if hasattr(state, "h"):
            h = state.h
            del state.h
            return h * x
        state.h = x + 1
        return x

    forms(check(lambda: (step, Box()), several(8)), 2)


@pytest.mark.parametrize(
    "values",
    [
        [[X, X], [X]],
        [{"a": X}, {"b": X}, {"a": X, "b": X}],
        [{"a": X, "b": X}, {"b": X, "a": X}],
        [collections.deque([X]), collections.deque([X, X])],
        [collections.OrderedDict(a=X), collections.OrderedDict(a=X, b=X)],
        [{1, 2}, {1, 2, 3}],
        [(X,), [X], {"a": X}],
        [Box(h=X), Box(h=X, c=X), None],
        [None, "a text", 3, 2.5],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_a_slot_holds_one_of_several_forms(values: list[Any]) -> None:
    def step(state: Box, x: Tensor) -> Any:
        held, count = state.held, 0.0
        if isinstance(held, dict):
            for key, value in held.items():
                x = x + value * len(key)
            return x, list(held)
        if isinstance(held, Box):
            return [x * value for value in vars(held).values()]
        if isinstance(held, (int, float, str, type(None))):
            return (x, held) if held is None else x * (held if not isinstance(held, str) else 7)
        for value in held:
            x, count = x + value, count + 1
        return x, count, len(held)

    def between(state: Box, call: int) -> None:
        state.held = values[call % len(values)]

    converted = check(lambda: (step, Box(held=values[0])), several(16), between=between)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["conversions"] <= len(values) + 2
    before = converted.stats["conversions"]
    state = Box()
    for call, (x,) in enumerate(several(6)):
        state.held = values[call % len(values)]
        converted(state, x)
    assert converted.stats["conversions"] <= before + len(values)  # of another state


def test_a_method_is_replaced_on_the_instance() -> None:
    class Scale:
        def scale(self, x: Tensor) -> Tensor:
            return x * 2

    def step(state: Scale, x: Tensor) -> Any:
        if "scale" in vars(state):
            del state.scale  # type: ignore[method-assign]
        else:
            state.scale = torch.neg  # type: ignore[method-assign, assignment]
        return state.scale(x)

    forms(check(lambda: (step, Scale()), several(8)), 2)


def test_a_layer_is_one_of_two() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(3, 3), nn.Linear(3, 5)
    model = Box(layer=layers[0])

    def step(x: Tensor) -> Tensor:
        return model.layer(x).sum()

    converted = bifront.function(step)
    with torch.no_grad():
        for call, (x,) in enumerate(several(8)):
            model.layer = layers[call % 2]
            torch.testing.assert_close(converted(x), step(x))
    forms(converted, 2)


# ===- What the arguments are ----------------------------------------------------------------===


@pytest.mark.parametrize(
    "arguments",
    [
        [([X],), ([X, X],), ([],)],
        [(X,), (torch.ones(2, 3),)],
        [(X,), (X.double(),)],
        [({"a": X},), ({"b": X},)],
        [((X, X),), ([X, X],)],
    ],
    ids=["lengths", "ranks", "dtypes", "keys", "classes"],
)
def test_arguments_of_several_forms(arguments: list[Any]) -> None:
    def step(state: Box, values: Any) -> Any:
        if isinstance(values, Tensor):
            return values.cumsum(-1)
        if isinstance(values, dict):
            return {key: value * 2 for key, value in values.items()}
        return [value * len(values) for value in values], type(values)

    calls = [arguments[call % len(arguments)] for call in range(10)]
    forms(check(lambda: (step, Box()), calls), len(arguments))


def test_the_result_is_what_came_in() -> None:
    def step(state: Box, values: list[Tensor]) -> Any:
        first = values[0] if values else None
        return first, values, [value + 1 for value in values]

    forms(check(lambda: (step, Box()), [([X] * 0,), ([X + 1],)] * 4), 2)


def test_each_form_has_sizes_of_its_own_that_vary() -> None:
    """What is not there must not be asked for the size of what is."""

    def step(state: Box, values: list[Tensor]) -> Any:
        total = values[0].sum(0)
        for value in values[1:]:
            total = total + torch.softmax(value @ value.T, 1).sum()
        return total, torch.zeros(values[-1].shape[0])

    torch.manual_seed(0)
    calls = [
        ([torch.randn(2 + (call * 3) % 7, 3) for _ in range(1 + call % 2)],) for call in range(16)
    ]
    converted = check(lambda: (step, Box()), calls, graph_calls=10)
    stats = converted.stats
    assert (stats["graphs"], stats["forms"]) == (1, 2), bifront.explain(converted)


# ===- What a form does ----------------------------------------------------------------------===


def train(state: Box, x: Tensor) -> Tensor:
    """Accumulates over two calls, then steps: the second call finds gradients."""
    loss = (state.model(x) ** 2).sum() + (0 if state.h is None else (state.h * x).sum())
    loss.backward()
    state.h = None if state.h is not None else loss.detach()
    if state.h is None:
        state.optimizer.step()
        state.optimizer.zero_grad()
    return loss.detach()


def make_training() -> tuple[Step, Box]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.5)
    return train, Box(model=model, optimizer=optimizer, h=None)


def state_of(state: Box) -> Any:
    model, optimizer = state.model, state.optimizer
    momenta = [entry.get("momentum_buffer") for entry in optimizer.state_dict()["state"].values()]
    return [[p.detach() for p in model.parameters()], [p.grad for p in model.parameters()], momenta]


def test_gradients_and_momenta_of_two_forms() -> None:
    (eager, expected), (step, state) = make_training(), make_training()
    converted = bifront.function(step)
    for (x,) in several(12):
        same([converted(state, x), state_of(state)], [eager(expected, x), state_of(expected)])
    made = converted.stats["conversions"]
    for (x,) in several(4):
        same([converted(state, x), state_of(state)], [eager(expected, x), state_of(expected)])
    assert converted.stats["conversions"] == made
    stats = converted.stats
    assert stats["graphs"] == 1 and stats["forms"] in (2, 3)
    assert f"1 graph(s) of {stats['forms']} forms" in bifront.explain(converted)


FAILING = """
import bifront, torch
from bifront import _core
from tests.same_state import same, several
from tests.test_slot_forms import make_training, state_of

(eager, expected), (step, state) = make_training(), make_training()
converted = bifront.function(step, max_graphs=4)
made = several(12)

def call(nth):
    x, = made[nth % 12]
    _core.fail_nth("check", nth)
    same([converted(state, x), state_of(state)], [eager(expected, x), state_of(expected)])
    return _core.events_seen() >= nth

for _ in made:
    call(0)
assert (converted.stats["graphs"], converted.stats["forms"]) == (1, 2)
for turn in range(2):  # both forms begin
    nth = 1
    while call(nth):
        nth += 1
    print(nth - 1)
    call(0)
"""


def test_each_check_of_each_form_fails(tmp_path: Path) -> None:
    counts = run_program(tmp_path, FAILING).split()
    assert all(int(checks) > 10 for checks in counts), counts


def test_what_only_one_form_writes_stays_as_it_is_in_others() -> None:
    torch.manual_seed(0)
    weight, other = torch.randn(3), torch.randn(3)

    def step(x: Tensor, names: dict[str, None]) -> Tensor:
        if "write" in names:
            weight.add_(x)
            return weight * 2
        return weight + other.mul_(x)

    converted = bifront.function(step)
    for call in range(8):
        versions = weight._version, other._version
        before, kept = weight.clone(), other.clone()
        name = ("write", "read")[call % 2]
        result = converted(X, {name: None})
        if name == "write":
            torch.testing.assert_close((weight, other, result), (before + X, kept, weight * 2))
            assert other._version == versions[1]
        else:
            torch.testing.assert_close((weight, other), (before, kept * X))
            torch.testing.assert_close(result, weight + other)
            assert weight._version == versions[0]
    forms(converted, 2)


def test_forms_draw_the_same_numbers() -> None:
    def step(state: Box, values: list[Tensor]) -> Any:
        return [nn.functional.dropout(value, 0.5) + torch.rand(3) for value in values]

    def run(function: Step) -> list[Any]:
        torch.manual_seed(3)
        return [function(None, [X] * (1 + call % 2)) for call in range(8)] + [torch.rand(2)]

    converted = bifront.function(step)
    torch.testing.assert_close(run(converted), run(step))
    forms(converted, 2)


def test_a_tensor_of_another_form_may_be_gone() -> None:
    """No form keeps the tensors of the calls of others."""

    def step(state: Box, values: list[Tensor]) -> Any:
        return [value * 2 for value in values]

    converted = bifront.function(step)
    gone = []
    for call in range(6):
        values = [torch.ones(3) + call for _ in range(1 + call % 2)]
        gone += [weakref.ref(value) for value in values]
        converted(None, values)
        del values
    forms(converted, 2)
    assert all(reference() is None for reference in gone)


# ===- What no forms are ---------------------------------------------------------------------===


def test_long_functions_stay_graphs_of_their_own() -> None:
    def step(state: Box, values: list[Tensor]) -> Any:
        total = values[0]
        for _ in range(250):
            for value in values:
                total = torch.sin(total) + value
        return total

    converted = check(lambda: (step, Box()), [([X] * 1,), ([X + 1, X],)] * 4)
    assert converted.stats["graphs"] == 2


def test_results_that_train_stay_graphs_of_their_own() -> None:
    weight = torch.ones(3, requires_grad=True)

    def step(values: list[Tensor]) -> Any:
        return sum((value * weight).sum() for value in values)

    converted = bifront.function(step)
    for call in range(8):
        result = converted([X] * (1 + call % 2))
        result.backward()
        torch.testing.assert_close(weight.grad, X * (1 + call % 2))
        weight.grad = None
    assert converted.stats["graphs"] == 2


def test_functions_of_the_graph_keep_apart() -> None:
    """Each form calls its own, under a name that the others do not have."""

    def total(tree: Any) -> Any:
        return tree.value if tree.left is None else total(tree.left) * 2 + total(tree.right)

    def step(state: Box, trees: list[Any]) -> Any:
        return [total(tree) for tree in trees]

    def tree(depth: int, value: float) -> Box:
        if depth == 0:
            return Box(value=X + value, left=None, right=None)
        return Box(value=X, left=tree(depth - 1, value), right=tree(depth - 1, value + 1))

    calls = [
        ([tree(1 + (call * 5 + i) % 3, call) for i in range(1 + call % 2)],) for call in range(12)
    ]
    converted = check(lambda: (step, Box()), calls, graph_calls=8)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
