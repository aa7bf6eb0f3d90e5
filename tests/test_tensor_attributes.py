"""What the program puts on tensors (`tensor.name = value`), and what it asks of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 10


def with_a_default(x: Any) -> Any:
    return x * 2, getattr(x, "seen", 0)


def by_exception(x: Any) -> Any:
    try:
        return x * 2, x.seen
    except AttributeError:
        return x * 2, None


def by_hasattr(x: Any) -> Any:
    y = x * 2
    return y, hasattr(x, "seen"), hasattr(y, "seen")


def all_of_them(x: Any) -> Any:
    y = x * 2
    return y, dict(vars(x)), dict(x.__dict__), dict(vars(y))


def of_what_is_made_of_it(x: Any) -> Any:
    y = x.detach()
    z = x.view(-1)
    return getattr(y, "seen", 0), getattr(z, "seen", 0), getattr(x.clone(), "seen", 0), y * 2


def of_one_of_two(x: Any) -> Any:
    y = x * 2
    z = x if x.sum() > 0 else y
    return z * 2, getattr(z, "seen", 0)


def of_one_in_a_loop(x: Any) -> Any:
    z = x
    while z.sum().abs() < 5:
        z = z * 2 + 1
    return z * 2, getattr(z, "seen", 0)


def on_one_way(x: Any) -> Any:
    if x.sum() > 0:
        return x * 2, getattr(x, "seen", 0)
    return x * 3, 1


def only_others(x: Any) -> Any:
    return x * 2, getattr(x, "unseen", 0)


def written(x: Any) -> Any:
    y = x * 2
    y.tag = "doubled"
    x.seen = getattr(x, "seen", 0) + 1
    return y, y.tag, x.seen


def written_alone(x: Any) -> Any:
    x.last = x.sum()
    return x * 2, x.last + 1


def written_and_dropped(x: Any) -> Any:
    y = x * 2
    y.kept = [x, 3]
    y.kept.append(y.sum())
    return y.kept[2], len(y.kept)


def written_on_one_way(x: Any) -> Any:
    y = x * 2
    if x.sum() > 0:
        y.tag = 1
    return y, getattr(y, "tag", 0)


def written_in_a_loop(x: Any) -> Any:
    y = x * 2
    while y.sum().abs() < 5:
        y = y * 2 + 1
        y.count = 1
    return y, getattr(y, "count", 0)


def written_then_raised(x: Any) -> Any:
    x.seen = 5
    if x.sum() > 1:
        raise ValueError("behind the write")
    return x * 2


def written_twice(x: Any) -> Any:
    x.seen = 1
    x.seen = x.seen + 1
    x.other = x.seen
    y = x + x.seen
    y.of = x
    return y


def deleted(x: Any) -> Any:
    y = x * 2
    y.tag = 1
    del y.tag
    return y, hasattr(y, "tag")


def hidden_by_the_class(x: Any) -> Any:
    y = x * 2
    try:
        y.shape = 3
    except AttributeError:
        return y
    return None


STEPS: list[Callable[..., Any]] = [
    with_a_default,
    by_exception,
    by_hasattr,
    all_of_them,
    of_what_is_made_of_it,
    of_one_of_two,
    of_one_in_a_loop,
    on_one_way,
    only_others,
    written,
    written_alone,
    written_and_dropped,
    written_on_one_way,
    written_in_a_loop,
    written_then_raised,
    written_twice,
    deleted,
    hidden_by_the_class,
]


def shown(value: Any, depth: int = 0) -> Any:
    """With the attributes of each tensor."""
    if isinstance(value, Tensor):
        names = {name: shown(each, depth + 1) for name, each in vars(value).items()}
        return [value.detach(), names if depth < 3 else len(names)]
    if isinstance(value, (tuple, list)):
        return [shown(each, depth) for each in value]
    if isinstance(value, dict):
        return {name: shown(each, depth) for name, each in value.items()}
    return value


def compare(step: Callable[..., Any], have: Callable[[int], bool]) -> Any:
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for run in (step, converted):
            torch.manual_seed(call)
            x: Any = torch.randn(3)
            if have(call):
                x.seen = call
            try:
                result = run(x)
            except ValueError as error:
                result = str(error)
            outcomes.append([shown(result), shown(x)])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    return converted


@pytest.mark.parametrize("have", [lambda call: call in (4, 7), lambda call: call % 2 == 0])
@pytest.mark.parametrize("step", STEPS)
def test_some_calls_bring_attributes(step: Callable[..., Any], have: Callable[[int], bool]) -> None:
    compare(step, have)


@pytest.mark.parametrize("step", STEPS)
def test_no_call_does(step: Callable[..., Any]) -> None:
    compare(step, lambda call: False)


@pytest.mark.parametrize(
    "step", [with_a_default, by_hasattr, written, written_alone, written_twice]
)
def test_it_is_a_graph(step: Callable[..., Any]) -> None:
    converted = compare(step, lambda call: False)
    assert converted.stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)


def test_of_gradients_and_of_tensors_in_objects() -> None:
    class Node:
        def __init__(self, value: Any, rest: Any) -> None:
            self.value, self.rest = value, rest

    def chain(call: int) -> Any:
        node = None
        for i in range(1 + call % 3):
            value: Any = torch.full((2,), float(i))
            if (call + i) % 3 == 0:
                value.weight = i
            node = Node(value, node)
        return node

    def step(node: Any) -> Any:
        total, weights = torch.zeros(2), 0
        while node is not None:
            total = total + node.value
            weights += getattr(node.value, "weight", 10)
            node = node.rest
        return total, weights

    converted = bifront.function(step)
    for call in range(CALLS):
        assert_same_value(converted(chain(call)), step(chain(call)), f"call {call}")

    sides: list[Any] = [torch.ones(2, requires_grad=True) for _ in range(2)]

    def of_gradient(w: Any, x: Tensor) -> Any:
        before = getattr(w.grad, "seen", 0) if w.grad is not None else None
        (w * x).sum().backward()
        return before, getattr(w.grad, "seen", 0)

    graph = bifront.function(of_gradient)
    for call in range(CALLS):
        x = torch.full((2,), float(call))
        results = [run(side, x) for run, side in zip((of_gradient, graph), sides, strict=True)]
        assert results[0] == results[1], call
        if call in (3, 6):
            for side in sides:
                side.grad.seen = call


def test_which_tensor_it_is() -> None:
    class State:
        last: Any = None

    states = [State(), State()]

    def make(state: Any) -> Callable[[Any], Any]:
        def step(x: Any) -> Any:
            y = x * 2
            y.of, x.made, y.itself = x, y, y
            state.last = y
            return y

        return step

    eager, converted = make(states[0]), bifront.function(make(states[1]))
    for _ in range(CALLS):
        for run, state in zip((eager, converted), states, strict=True):
            x: Any = torch.randn(3)
            y = run(x)
            assert y.of is x and x.made is y and y.itself is y and state.last is y
    assert converted.stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)
