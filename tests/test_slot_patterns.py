"""Containers and objects in attributes, items, globals and cells that are others at each call."""

from __future__ import annotations

import collections
import dataclasses
import typing
import weakref
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_state import Box, X, check, same, several


class Pair(typing.NamedTuple):
    h: Tensor
    c: Tensor


@dataclasses.dataclass
class State:
    h: Tensor
    c: Tensor
    steps: int = 0


class Slotted:
    __slots__ = ("c", "h", "unset")

    def __init__(self, h: Tensor, c: Tensor) -> None:
        self.h, self.c = h, c


def one_graph(converted: Any) -> None:
    assert converted.stats["graphs"] == 1, converted.stats["exits"]


def results_agree(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    between: Callable[[Any, int], None],
    calls: int = 8,
) -> None:
    """As `check`, where states cannot be compared: they hold addresses, or objects as keys."""

    def run(convert: bool) -> list[Any]:
        function, state = make()
        step = bifront.function(function) if convert else function
        results = []
        for call, (x,) in enumerate(several(calls)):
            between(state, call)
            results.append(step(state, x))
        return results

    same(run(True), run(False))


# ===- What is made anew at each call -----------------------------------------------------------===


@pytest.mark.parametrize(
    "make",
    [
        lambda h, c: (h, c),
        lambda h, c: [h, c],
        Pair,
        lambda h, c: collections.deque([h, c]),
        lambda h, c: collections.deque([h, c], maxlen=2),
        lambda h, c: ((h,), [c]),
    ],
)
def test_sequence_is_replaced(make: Callable[..., Any]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        h, c = state.pair
        if isinstance(h, tuple):
            (h,), (c,) = h, c
        h, c = (h * x).tanh(), c + x
        state.pair = make(h, c)
        return h + c

    one_graph(check(lambda: (function, Box(pair=make(X, X))), several(8)))


def test_dict_is_replaced() -> None:
    def function(state: Any, x: Tensor) -> Any:
        h = state.values["h"] * x
        state.values = {"h": h.tanh(), "n": state.values["n"] + 1}
        return h * state.values["n"]

    one_graph(check(lambda: (function, Box(values={"h": X, "n": 0})), several(8)))


def test_default_dict_is_replaced() -> None:
    def function(state: Any, x: Tensor) -> Any:
        values = state.values
        h = values["h"] * x
        values["new"].append(x)
        state.before = values
        state.values = collections.defaultdict(list, {"h": h.tanh()})
        return h, "new" in values, len(values["other"])

    def make() -> Any:
        return function, Box(values=collections.defaultdict(list, {"h": X}), before=None)

    assert check(make, several(8)).stats["conversions"] == 2


@pytest.mark.parametrize("kind", [State, Slotted])
def test_object_is_replaced(kind: Any) -> None:
    def function(state: Any, x: Tensor) -> Any:
        before = state.memory
        state.memory = kind((before.h * x).tanh(), before.c + x)
        return before.h + state.memory.c

    one_graph(check(lambda: (function, Box(memory=kind(X, X))), several(8)))


def test_object_is_replaced_and_its_number_counts() -> None:
    def function(state: Any, x: Tensor) -> Any:
        old = state.memory
        state.memory = State(old.h + x, old.c, old.steps + 1)
        return state.memory.h * state.memory.steps

    one_graph(check(lambda: (function, Box(memory=State(X, X))), several(8)))


def test_global_and_cell_are_replaced() -> None:
    def make() -> Any:
        state = Box()
        hidden = (X, X)

        def function(state: Any, x: Tensor) -> Any:
            nonlocal hidden
            hidden = (hidden[0] * x, hidden[1] + x)
            state.seen = hidden
            return hidden[0]

        return function, state

    one_graph(check(make, several(8)))


def test_nested_objects_are_replaced() -> None:
    def function(state: Any, x: Tensor) -> Any:
        outer = state.outer
        state.outer = Box(inner=Box(h=outer.inner.h + x), n=outer.n + 1)
        return outer.inner.h * outer.n

    one_graph(check(lambda: (function, Box(outer=Box(inner=Box(h=X), n=1))), several(8)))


def test_window_moves_in_place() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.window.append(x.mean())
        return torch.stack(list(state.window)).sum(), len(state.window)

    converted = check(lambda: (function, Box(window=collections.deque(maxlen=3))), several(12))
    assert converted.stats["conversions"] <= 4


def test_list_moves_in_place() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.window.append(x.mean())
        if len(state.window) > 3:
            state.window.pop(0)
        return sum(state.window)

    converted = check(lambda: (function, Box(window=[])), several(12))
    assert converted.stats["conversions"] <= 5


# ===- Who else has it --------------------------------------------------------------------------===


def test_one_list_in_two_slots() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.a[0] = state.a[0] + x
        state.b.append(x)
        result = state.a is state.b, len(state.a), state.b[0]
        state.a = state.b = [state.a[0] * 2]
        return result

    def make() -> Any:
        shared = [X]
        return function, Box(a=shared, b=shared)

    converted = check(make, several(8))
    assert converted.stats["conversions"] == 2


def test_two_slots_come_to_hold_one_list() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.a.append(x)
        result = state.a is state.b, len(state.b), state.b[-1]
        state.a, state.b = [x], [x + 1]
        return result

    def between(state: Any, call: int) -> None:
        if call in (4, 6):
            state.b = state.a

    check(lambda: (function, Box(a=[X], b=[X])), several(10), between=between, graph_calls=6)


def test_list_of_a_slot_is_an_argument_too() -> None:
    def function(state: Any, x: Tensor, given: Any) -> Any:
        given.append(x)
        result = state.items[0] * x, given is state.items, len(state.items)
        state.items[0] = x
        state.last = state.items
        state.items = [x + 1]
        return result, given

    def run(convert: bool) -> list[Any]:
        state = Box(items=[X], last=None)
        step = bifront.function(function) if convert else function
        seen = []
        for call, (x,) in enumerate(several(12)):
            given = state.items if call % 3 == 0 else [x]
            seen.append((step(state, x, given), state.last is given))
        return [seen, state]

    same(run(True), run(False))


def test_slot_holds_an_object_of_another_slot() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.current is state.best, state.current.h * x
        state.current = Box(h=x)
        return result

    def between(state: Any, call: int) -> None:
        if call in (3, 7):
            state.current = state.best
        if call == 5:
            state.best = state.current

    check(
        lambda: (function, Box(current=Box(h=X), best=Box(h=X))),
        several(10),
        between=between,
        graph_calls=5,
    )


def test_object_writes_to_one_that_a_list_has_too() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.current.h = state.current.h + x
        total = sum(item.h for item in state.all)
        state.current = Box(h=x)
        return total

    def between(state: Any, call: int) -> None:
        if call in (2, 5):
            state.all[0] = state.current
        if call == 7:
            state.current = state.all[1]

    check(
        lambda: (function, Box(current=Box(h=X), all=[Box(h=X), Box(h=X)])),
        several(10),
        between=between,
        graph_calls=2,
    )


def test_list_contains_itself() -> None:
    def function(state: Any, x: Tensor) -> Any:
        items = state.items
        result = items[1][1][0] * x, items[1] is items
        made: list[Any] = [x]
        made.append(made)
        state.items = made
        return result

    def make() -> Any:
        items: list[Any] = [X]
        items.append(items)
        return function, Box(items=items)

    one_graph(check(make, several(8)))


def test_list_that_contained_itself_contains_another() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.items[1] is state.items
        made: list[Any] = [x]
        made.append(made)
        state.items = made
        return result, x

    def make() -> Any:
        items: list[Any] = [X]
        items.append(items)
        return function, Box(items=items)

    def between(state: Any, call: int) -> None:
        if call == 5:
            state.items[1] = list(state.items)

    check(make, several(8), between=between, graph_calls=5)


def test_object_refers_back_to_its_owner() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.part.owner is state, state.part.owner.scale * x
        state.part = Box(owner=state, h=x)
        return result

    def make() -> Any:
        state = Box(scale=2.0)
        state.part = Box(owner=state, h=X)
        return function, state

    check(make, several(8), graph_calls=5)


def test_object_is_a_key() -> None:
    def function(state: Any, x: Tensor) -> Any:
        found = state.table.get(state.key, 0)
        state.key = Box()
        return x * found

    def between(state: Any, call: int) -> None:
        if call in (4, 5):
            state.table[state.key] = call

    results_agree(lambda: (function, Box(key=Box(), table={})), between)


def test_objects_with_weak_references() -> None:
    def make() -> Any:
        def function(state: Any, x: Tensor) -> Any:
            result = state.seen() is state.part, x
            state.part = Box(h=x)
            return result

        state = Box(part=Box(h=X))
        first = state.part
        state.first = first
        state.seen = weakref.ref(first)
        return function, state

    def between(state: Any, call: int) -> None:
        if call in (4, 6):
            state.part = state.first

    results_agree(make, between)


def test_what_a_slot_held_is_kept_and_returned() -> None:
    def function(state: Any, x: Tensor) -> Any:
        old = state.pair
        state.history.append(old)
        state.pair = [x, old[0] * 2]
        return old, state.pair

    one_graph(check(lambda: (function, Box(pair=[X, X], history=[])), several(8)))


def test_what_a_slot_held_is_changed() -> None:
    def function(state: Any, x: Tensor) -> Any:
        old = state.pair
        old.append(x)
        old[0] = x * 2
        state.before = old
        state.pair = [x, old[1] * 2]
        return len(old)

    converted = check(lambda: (function, Box(pair=[X, X], before=None)), several(8))
    assert converted.stats["conversions"] == 2


def test_object_that_a_slot_held_is_changed() -> None:
    def function(state: Any, x: Tensor) -> Any:
        old = state.memory
        old.h = old.h + x
        old.extra = x
        state.before = old
        state.memory = Box(h=x * 2)
        return old.h

    converted = check(lambda: (function, Box(memory=Box(h=X), before=None)), several(8))
    assert converted.stats["conversions"] == 2


# ===- What a pattern does not cover ------------------------------------------------------------===


def changed(
    function: Callable[..., Any],
    state: Callable[[], Any],
    change: Callable[[Any], None],
    calls: int = 10,
    graph_calls: int = 6,
) -> Any:
    """Something else is in the slot for one call."""

    def between(state: Any, call: int) -> None:
        if call == 5:
            change(state)

    return check(
        lambda: (function, state()), several(calls), between=between, graph_calls=graph_calls
    )


def step(state: Any, x: Tensor) -> Any:
    kind, length = type(state.pair).__name__, len(state.pair)
    h = x if state.pair[0] is None else state.pair[0] * 1.5
    total = h.sum().to(x.dtype) + x.sum()
    state.pair = type(state.pair)([(x + total).detach(), x])
    return kind, length, total


@pytest.mark.parametrize(
    "change",
    [
        lambda s: setattr(s, "pair", tuple(s.pair)),
        lambda s: s.pair.append(X),
        lambda s: s.pair.pop(),
        lambda s: s.pair.__setitem__(0, None),
        lambda s: s.pair.__setitem__(0, X.double()),
        lambda s: s.pair.__setitem__(0, X[:2]),
        lambda s: s.pair.__setitem__(0, X.expand(2, 3)),
        lambda s: s.pair.__setitem__(0, X.clone().requires_grad_()),
        lambda s: s.pair.__setitem__(1, 2.5),
        lambda s: s.pair.__setitem__(0, torch.nn.Parameter(X)),
        lambda s: s.pair.__setitem__(1, s.pair[0]),
    ],
    ids=[
        "a tuple", "longer", "shorter", "None", "dtype", "size", "strides", "grad", "number",
        "parameter", "one tensor twice",
    ],
)  # fmt: skip
def test_another_pattern(change: Callable[[Any], None]) -> None:
    changed(step, lambda: Box(pair=[X, X + 1]), change)


def test_subclass_of_list_with_items_of_its_own() -> None:
    class Doubling(list[Any]):
        def __getitem__(self, i: Any) -> Any:
            return super().__getitem__(i) * 2

    def function(state: Any, x: Tensor) -> Any:
        h = state.pair[0] * x
        state.pair = [h, x]
        return h

    changed(function, lambda: Box(pair=[X, X]), lambda s: setattr(s, "pair", Doubling(s.pair)))


def test_default_dict_has_another_factory() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.values["absent"], state.values["h"] * x
        state.values = collections.defaultdict(state.values.default_factory, {"h": x})
        return result

    changed(
        function,
        lambda: Box(values=collections.defaultdict(list, {"h": X})),
        lambda s: setattr(s.values, "default_factory", dict),
    )


def test_class_of_the_object_is_another() -> None:
    class Negative(Box):
        @property
        def value(self) -> Any:
            return -self.h

    class Positive(Box):
        @property
        def value(self) -> Any:
            return self.h

    def function(state: Any, x: Tensor) -> Any:
        result = state.memory.value + x
        state.memory = type(state.memory)(h=x)
        return result

    changed(
        function,
        lambda: Box(memory=Positive(h=X)),
        lambda s: setattr(s, "memory", Negative(h=s.memory.h)),
    )


def test_object_has_another_attribute() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = getattr(state.memory, "bias", 0) + x + state.memory.h
        state.memory = Box(h=x)
        return result

    changed(function, lambda: Box(memory=Box(h=X)), lambda s: setattr(s.memory, "bias", 3))


def test_method_of_the_objects_class_is_replaced() -> None:
    def make() -> Any:
        class Memory:
            def __init__(self, h: Tensor) -> None:
                self.h = h

            def value(self) -> Any:
                return self.h

        def function(state: Any, x: Tensor) -> Any:
            result = state.memory.value() + x
            state.memory = state.kind(x)
            return result

        return function, Box(kind=Memory, memory=Memory(X))

    def between(state: Any, call: int) -> None:
        if call == 5:
            state.kind.value = lambda self: self.h * 10

    results_agree(make, between)


def test_member_is_assigned() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = getattr(state.memory, "unset", 0) + x + state.memory.h
        state.memory = Slotted(x, x)
        return result

    changed(function, lambda: Box(memory=Slotted(X, X)), lambda s: setattr(s.memory, "unset", 3))


def test_number_in_a_tuple_becomes_another_type() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = x * state.pair[1], type(state.pair[1]).__name__
        state.pair = (x, state.pair[1] + 1)
        return result

    changed(
        function, lambda: Box(pair=(X, 1)), lambda s: setattr(s, "pair", (s.pair[0], 2.5)),
        calls=12,
    )  # fmt: skip


def test_tensor_of_a_slot_is_state_elsewhere() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = state.pair[0] is state.weight, state.pair[0] * x + state.weight
        state.pair = (x + 1, x)
        return result

    changed(
        function,
        lambda: Box(pair=(X, X), weight=X.clone()),
        lambda s: setattr(s, "pair", (s.weight, s.pair[1])),
    )


def test_tensor_of_a_slot_shares_memory_with_what_is_written() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.weight.add_(x)
        result = state.pair[0] * 2
        state.pair = (x + 1, x)
        return result

    changed(
        function,
        lambda: Box(pair=(X, X), weight=X.clone()),
        lambda s: setattr(s, "pair", (s.weight.view(3), s.pair[1])),
    )


def test_identity_of_the_copy_does_not_leak() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = id(state.memory) == state.number, str(state.memory) == state.text
        state.memory = Box(h=x)
        return result, x

    def between(state: Any, call: int) -> None:
        state.number = id(state.memory)
        state.text = str(state.memory)

    results_agree(lambda: (function, Box(memory=Box(h=X))), between)


def test_address_of_a_list_is_its_own() -> None:
    def function(state: Any, x: Tensor) -> Any:
        result = id(state.items) == state.number
        state.items = [x]
        return result, x

    def between(state: Any, call: int) -> None:
        state.number = id(state.items)

    results_agree(lambda: (function, Box(items=[X])), between)


def test_number_that_varies_scales_what_is_differentiated() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.weight.grad = None
        loss = state.numbers["beta"] / 4 * (x * state.weight).sum()
        loss.backward()
        state.numbers["beta"] += 1.0
        return loss.detach(), state.weight.grad

    def make() -> Any:
        return function, Box(numbers={"beta": 0.5}, weight=X.clone().requires_grad_())

    one_graph(check(make, several(8)))


def test_parameter_is_replaced() -> None:
    def function(state: Any, x: Tensor) -> Any:
        before = state.weight
        state.weight = state.spare
        return isinstance(before, torch.nn.Parameter), type(before).__name__, before.detach() * x

    def between(state: Any, call: int) -> None:
        state.weight = torch.nn.Parameter(X + call)
        if call == 6:
            state.weight = X + call

    def make() -> Any:
        return function, Box(weight=None, spare=torch.nn.Parameter(X))

    check(make, several(9), between=between, graph_calls=7)


@pytest.mark.parametrize("length", [200, 2000])
def test_long_lists(length: int) -> None:
    """A long list is data: it is guarded as it is, and each new one has a graph."""

    def function(state: Any, x: Tensor) -> Any:
        result = state.items[0] * x, state.items[-1]
        state.items = [value + 1.0 for value in state.items]
        return result

    converted = check(
        lambda: (function, Box(items=[float(i) for i in range(length)])),
        several(6),
        graph_calls=0,
    )
    assert (converted.stats["conversions"] == 2) == (length == 200)


def test_deep_nest() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.chain = (x, state.chain)
        return state.chain[1][0] * x

    check(lambda: (function, Box(chain=(X, None))), several(60), graph_calls=0)
