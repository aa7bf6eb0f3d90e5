"""What walked functions read of Python values and do to them, beside eager after every call."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_state import Box, X, check, same, several

# Results


class Slotted:
    __slots__ = ("absent", "left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right


Pair = collections.namedtuple("Pair", ["first", "second"])


@dataclasses.dataclass
class Record:
    value: Any
    notes: list[Any] = dataclasses.field(default_factory=list)


class Stack(list):  # type: ignore[type-arg]
    pass


def shared_list(state: Any, x: Tensor) -> Any:
    inner = [x + 1]
    return [inner, inner, (inner, x)]


def cyclic(state: Any, x: Tensor) -> Any:
    outer: list[Any] = [x * 2]
    outer.append((outer, {"self": outer}))
    return outer


def numbers(state: Any, x: Tensor) -> Any:
    total = x.sum().item()
    return {"total": total, "positive": total > 0, "size": x.shape, "rank": x.dim()}


def slotted(state: Any, x: Tensor) -> Any:
    return Slotted(x + 1, Slotted(x.mean(), None))


def instance(state: Any, x: Tensor) -> Any:
    box = Box(value=x + 1)
    box.me = box
    return box


def named_tuple(state: Any, x: Tensor) -> Any:
    return Pair(x + 1, Pair(2, x))


def containers(state: Any, x: Tensor) -> Any:
    ordered = collections.OrderedDict(a=x + 1)
    ordered["b"] = x
    ordered.move_to_end("a")
    missing: Any = collections.defaultdict(list)
    missing["k"].append(x + 1)
    queue = collections.deque([x, x + 1], maxlen=2)
    queue.append(x + 2)
    return ordered, missing, queue, {1, 2, 3}, frozenset([1, 2]), {4: x * 1}


def slices(state: Any, x: Tensor) -> Any:
    return slice(x.sum().item(), None, 2), [slice(1, 2)]


def closure(state: Any, x: Tensor) -> Any:
    y = x + 1

    def inner(scale: float = 2.0) -> Tensor:
        return y * scale

    return inner, inner


def exception(state: Any, x: Tensor) -> Any:
    return ValueError("no", x + 1)


def argument_back(state: Any, x: Tensor) -> Any:
    return x, x, state, [x]


def max_of(state: Any, x: Tensor) -> Any:
    return x.max(0)


def subclass_of_list(state: Any, x: Tensor) -> Any:
    stack = Stack()
    stack.append(x + 1)
    stack.name = "s"
    return stack


@pytest.mark.parametrize(
    "function",
    [
        shared_list,
        cyclic,
        numbers,
        slotted,
        instance,
        named_tuple,
        containers,
        slices,
        closure,
        exception,
        argument_back,
        max_of,
        subclass_of_list,
    ],
)
def test_results(function: Callable[..., Any]) -> None:
    check(lambda: (function, Box()), several(4))


def test_results_are_new_at_each_run() -> None:
    @bifront.function
    def function(x: Tensor) -> Any:
        return [x + 1], (x, [1, 2])

    results = [function(X) for _ in range(4)]
    assert len({id(result[0]) for result in results}) == 4
    assert len({id(result[1][1]) for result in results}) == 4
    results[2][1][1].append(3)
    assert function(X)[1][1] == [1, 2]


def test_bound_method_of_a_new_object() -> None:
    class Scale:
        def __init__(self, by: Any) -> None:
            self.by = by

        def apply(self, x: Tensor) -> Tensor:
            return x * self.by

    @bifront.function
    def function(x: Tensor) -> Any:
        return Scale(x.sum()).apply

    for i in range(4):
        method = function(X + i)
        assert method.__func__ is Scale.apply
        torch.testing.assert_close(method(X), X * (X + i).sum())
    assert function.stats["graph_calls"] == 3


def test_dataclass() -> None:
    def function(state: Any, x: Tensor) -> Any:
        record = Record(x + 1)
        record.notes.append(x)
        return record

    check(lambda: (function, Box()), several(4), graph_calls=0)


# State


def counter(state: Any, x: Tensor) -> Any:
    state.steps += 1
    return x * state.steps


def test_counter() -> None:
    converted = check(lambda: (counter, Box(steps=0)), several(12))
    assert converted.stats["graphs"] == 1
    assert converted.stats["conversions"] == 1


def test_counter_beyond_64_bits() -> None:
    check(lambda: (counter, Box(steps=2**63 - 4)), several(8), graph_calls=2)


def test_counter_becomes_a_float() -> None:
    def between(state: Any, call: int) -> None:
        if call == 5:
            state.steps = 0.5

    check(lambda: (counter, Box(steps=0)), several(10), between=between)


def test_two_states() -> None:
    """Each object has its guards; the function serves both."""

    def function(states: Any, x: Tensor, which: int) -> Any:
        state = states.a if which else states.b
        state.steps += 1
        return x + state.steps

    calls = [(X, i % 2) for i in range(10)]
    check(lambda: (function, Box(a=Box(steps=0), b=Box(steps=10))), calls, graph_calls=6)


def test_learning_rate_schedule() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.weight = state.weight - state.rate * x
        state.rate = state.rate * 0.5
        if state.steps % 2 == 0:
            state.rate = state.rate + 0.1
        state.steps += 1
        return state.weight.sum().item()

    check(lambda: (function, Box(weight=X * 1, rate=0.1, steps=0)), several(10))


def test_rate_that_is_set_between_calls() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x * state.rate

    def between(state: Any, call: int) -> None:
        state.rate = 1.0 / (call + 1)

    converted = check(lambda: (function, Box(rate=1.0)), several(8), between=between)
    assert converted.stats["graphs"] == 1


def test_hidden_state() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.hidden = (state.hidden + x).tanh()
        state.last = state.hidden
        return state.hidden

    converted = check(lambda: (function, Box(hidden=X * 0, last=None)), several(8))
    assert converted.stats["graphs"] <= 2


def test_hidden_states_in_a_list() -> None:
    def function(state: Any, x: Tensor) -> Any:
        for i in range(len(state.hidden)):
            state.hidden[i] = (state.hidden[i] + x).tanh()
        return state.hidden[0]

    check(lambda: (function, Box(hidden=[X * 0, X * 1])), several(8))


def test_hidden_state_of_another_shape() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.hidden = state.hidden + x
        return state.hidden

    calls = [(torch.ones(3),)] * 4 + [(torch.ones(2, 3),)] * 4
    check(lambda: (function, Box(hidden=torch.zeros(3))), calls)


def test_a_list_that_grows() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.losses.append(x.sum().item())
        state.tensors.append(x + 1)
        state.names.update({"last": x})
        state.seen.add("x")
        state.queue.append(x.mean())

    check(
        lambda: (
            function,
            Box(losses=[], tensors=[], names={}, seen=set(), queue=collections.deque(maxlen=3)),
        ),
        several(6),
    )


def test_an_object_in_two_places() -> None:
    def function(state: Any, x: Tensor) -> Any:
        made = [x + 1]
        state.a = made
        state.b = {"made": made}
        state.log.append(made)
        made.append(2)
        return made

    check(lambda: (function, Box(log=[])), several(5))


def test_items_as_they_were() -> None:
    """A list that another one takes in, and that changes behind that."""

    def function(state: Any, x: Tensor) -> Any:
        new = [x]
        state.all += new
        new.append(1)
        state.all[-1] = new
        state.more.extend(new)
        new.append(2)

    check(lambda: (function, Box(all=[], more=[])), several(4), graph_calls=0)


def test_globals_and_cells() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        count = 0

        def function(state: Any, x: Tensor) -> Any:
            nonlocal count
            count += 1
            return x * count

        return function, Box()

    converted = check(make, several(8))
    assert converted.stats["graphs"] == 1


def test_slots_of_objects() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.left = state.left + x
        if not hasattr(state, "absent"):
            return 0
        return state.absent

    def between(state: Any, call: int) -> None:
        if call == 4:
            state.absent = 7
        if call == 6:
            del state.absent

    check(lambda: (function, Slotted(X, 1)), several(8), between=between)


def test_attributes_come_and_go() -> None:
    def function(state: Any, x: Tensor) -> Any:
        if hasattr(state, "scratch"):
            del state.scratch
        else:
            state.scratch = x + 1

    check(lambda: (function, Box(kept=1)), several(8))


def test_order_of_a_dict() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.d.pop("a", None)
        state.d["b"] = x
        state.d["a"] = x + 1

    check(lambda: (function, Box(d={"a": 1})), several(5), graph_calls=0)


@pytest.mark.parametrize("adaptive", [False, True])
def test_optimizer_under_a_schedule(adaptive: bool) -> None:
    def train(convert: Callable[[Any], Any]) -> list[Any]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer: Any = (
            torch.optim.Adam(model.parameters(), lr=0.1)
            if adaptive
            else torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        )
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)

        def step(x: Tensor) -> float:
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss.item()

        call = convert(step)
        losses = []
        for _ in range(8):
            losses.append(call(torch.ones(4, 3)))
            schedule.step()
        return [losses, call, *[p.detach() for p in model.parameters()]]

    expected, actual = train(lambda step: step), train(bifront.function)
    torch.testing.assert_close(actual[0], expected[0])
    torch.testing.assert_close(actual[2:], expected[2:])
    assert actual[1].stats["graph_calls"] >= 6, bifront.explain(actual[1])


# Arguments


def test_containers_among_the_arguments() -> None:
    def function(state: Any, batch: dict[str, Any], log: list[Any]) -> Any:
        batch["out"] = batch["x"] * 2
        log.append(batch["out"].sum())
        return batch, log

    check(lambda: (function, Box()), [({"x": X + i}, [i > 100]) for i in range(5)])


def test_one_container_twice() -> None:
    @bifront.function
    def function(a: list[Any], b: list[Any]) -> Any:
        a.append(1)
        return len(b), a is b

    for _ in range(3):
        assert function([], []) == (0, False)
    for _ in range(3):
        same_list: list[Any] = []
        assert function(same_list, same_list) == (1, True)
        assert same_list == [1]
    assert function([], []) == (0, False)


def test_one_tensor_twice() -> None:
    @bifront.function
    def function(a: Tensor, b: Tensor) -> Any:
        return a is b, a + b

    for _ in range(3):
        assert function(X, X + 1)[0] is False
    for _ in range(3):
        assert function(X, X)[0] is True
    assert function(X, X + 1)[0] is False


def test_an_argument_that_is_state_too() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        state = Box(h=X * 1)

        def function(state: Any, which: bool) -> Any:
            return inner(state.h if which else X, state)

        return function, state

    def inner(x: Tensor, state: Any) -> Any:
        return x is state.h, x + state.h

    held = Box(h=X * 1)
    converted = bifront.function(inner)
    for _ in range(3):
        assert converted(X, held)[0] is False
    for _ in range(3):
        assert converted(held.h, held)[0] is True
    assert converted(X, held)[0] is False
    items: list[Any] = [1]
    held.items = items

    @bifront.function
    def appends(argument: list[Any]) -> Any:
        argument.append(2)
        return len(held.items)

    assert [appends([1]) for _ in range(3)] == [1, 1, 1]
    assert [appends(items) for _ in range(3)] == [2, 3, 4]
    assert appends([1]) == 4


def test_numbers_among_the_arguments() -> None:
    def function(state: Any, x: Tensor, step: int, rate: float, flag: bool, names: Any) -> Any:
        return x * step + rate, step + 1, -rate, names["k"] * 2, flag

    calls = [(X, i, i / 2, False, {"k": i, "s": "s"}) for i in range(8)]
    converted = check(lambda: (function, Box()), calls)
    assert converted.stats["graphs"] == 1


def test_numbers_that_the_program_needs() -> None:
    """They stay constants, with a graph each, until there are too many."""

    def function(state: Any, x: Tensor, count: int) -> Any:
        for _ in range(count):
            x = x * 2
        return x, state.table[count]

    calls = [(X, i % 3) for i in range(9)]
    check(lambda: (function, Box(table={0: "a", 1: "b", 2: "c"})), calls)


def test_bools_that_vary() -> None:
    def function(state: Any, x: Tensor, flag: bool) -> Any:
        y = x + 1 if flag else x - 1
        return y, flag is True, flag is None, not flag, isinstance(flag, bool), type(flag)

    check(lambda: (function, Box()), [(X, i % 3 == 0) for i in range(9)])


def test_types_of_numbers() -> None:
    def function(state: Any, x: Tensor, n: int, r: float) -> Any:
        return (
            isinstance(n, int),
            isinstance(n, float),
            isinstance(r, (str, float)),
            type(n),
            type(r) is float,
            x * n * r,
        )

    check(lambda: (function, Box()), [(X, i, i + 0.5) for i in range(6)])


def test_strings_are_paths_of_one_graph() -> None:
    def function(state: Any, x: Tensor, mode: str) -> Any:
        return x * 2 if mode == "a" else x + 1

    converted = check(lambda: (function, Box()), [(X, "abc"[i % 3]) for i in range(9)])
    assert converted.stats["graphs"] == 1
    converted = check(
        lambda: (function, Box()),
        [(X, f"m{i % 6}") for i in range(24)],
        graph_calls=14,
        max_graphs=4,
    )
    assert converted.stats["conversions"] == 4
    assert "TooManyGraphs" in converted.stats["exits"]


def test_objects_that_C_functions_make() -> None:
    def function(state: Any, x: Tensor) -> Any:
        rows = list(map(list, [[1], [2]]))
        rows[0].append(x)
        state.rows = rows
        words = "a b".split()
        words.append("c")
        return rows, words, dict.fromkeys("ab", words)

    check(lambda: (function, Box()), several(5))


def test_a_gradient_is_the_one_of_the_call() -> None:
    def train(convert: Callable[[Any], Any]) -> list[Any]:
        weight = torch.nn.Parameter(torch.ones(1))
        state = Box(seen=None)

        def step(x: Tensor, n: int) -> Any:
            if n == 0:
                weight.grad = None
            elif n == 1:
                weight.grad.zero_()  # type: ignore[union-attr]
            (weight * x.sum()).backward()
            state.seen = weight.grad
            return weight.grad

        call, results = convert(step), []
        for i in range(12):
            grad = call(X, i % 3)
            results.append((grad is weight.grad, grad is state.seen, grad.tolist()))
        return results

    assert train(bifront.function) == train(lambda step: step)


# Commit


def test_nothing_is_written_where_an_assertion_fails() -> None:
    """CPython runs such a call from its start: each change happens once."""

    def function(state: Any, x: Tensor) -> Any:
        state.steps += 1
        state.log.append(state.steps)
        state.weight.add_(1)
        if x.sum() > 10:
            state.big += 1
        return x

    calls = [(X,), (X,), (X,), (X * 10,), (X,), (X * 10,), (X * 10,), (X,)]
    check(
        lambda: (function, Box(steps=0, big=0, log=[], weight=X * 1)),
        calls,
        graph_calls=4,
    )


def test_an_exception_leaves_what_eager_leaves() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.steps += 1
        if state.steps == 5:
            raise ValueError("five")
        return x

    def make() -> tuple[Any, Any]:
        state = Box(steps=0)
        return state, bifront.function(function)

    state, converted = make()
    eager = Box(steps=0)
    for _ in range(8):
        outcomes = []
        for call, box in ((function, eager), (converted, state)):
            try:
                outcomes.append(str(call(box, X).tolist()))
            except ValueError as error:
                outcomes.append(repr(error))
        assert outcomes[0] == outcomes[1]
        same(state, eager)


def test_print(capfd: pytest.CaptureFixture[str]) -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.steps += 1
        print("step", state.steps)
        total = x.sum().item()
        print("total", total, total > 3, x.shape[0], sep=", ", end=";\n")
        print(x + 1)
        print([total, (x,)], {"k": total})
        print()
        return total

    def run(call: Callable[..., Any]) -> str:
        state = Box(steps=0)
        for i in range(5):
            call(state, X + i)
        return capfd.readouterr().out

    expected = run(function)
    converted = bifront.function(function)
    assert run(converted) == expected
    assert converted.stats["graph_calls"] == 4, bifront.explain(converted)


def test_print_shows_values_of_its_time(capfd: pytest.CaptureFixture[str]) -> None:
    def function(x: Tensor) -> Any:
        y = x + 1
        items = [1]
        print(y, items)
        y.add_(5)
        items.append(2)
        print(y, items)
        return y

    for _ in range(3):
        function(X)
    expected = capfd.readouterr().out
    converted = bifront.function(function)
    for _ in range(3):
        converted(X)
    assert capfd.readouterr().out == expected
    assert converted.stats["graph_calls"] == 2, bifront.explain(converted)


def test_no_leak_of_state() -> None:
    """Old hidden states die, though graphs were made of them."""

    class Holder:
        pass

    state = Holder()
    state.h = X * 1  # type: ignore[attr-defined]
    references = []

    @bifront.function
    def function(x: Tensor) -> Any:
        state.h = state.h + x  # type: ignore[attr-defined]

    for _ in range(6):
        references.append(weakref.ref(state.h))  # type: ignore[attr-defined]
        function(X)
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 1


def test_attributes_of_a_parameter_are_slots() -> None:
    def make() -> tuple[Any, nn.Parameter]:
        weight = nn.Parameter(torch.ones(3))

        def step(x: Tensor, n: int) -> Any:
            weight.uses = getattr(weight, "uses", 0) + n
            weight.last = x * 2
            return x * weight.detach() + weight.uses, hasattr(weight, "other")

        return step, weight

    (step, weight), (eager, expected) = make(), make()
    converted = bifront.function(step)
    for call in range(8):
        x = torch.ones(3) + call
        torch.testing.assert_close(converted(x, call), eager(x, call))
        assert (weight.uses, list(vars(weight))) == (expected.uses, list(vars(expected)))
        torch.testing.assert_close(weight.last, expected.last)
        if call == 5:
            weight.other = expected.other = None
    assert converted.stats["graph_calls"] == 7, bifront.explain(converted)


def test_a_function_made_by_the_call_is_wrapped() -> None:
    def step(x: Tensor) -> Any:
        def double(y: Tensor) -> Tensor:
            "Twice as much."
            return y * 2

        @functools.wraps(double)
        def logged(*args: Any) -> Tensor:
            return double(*args) + 1

        return logged(x), logged.__name__, logged.__doc__, logged

    converted = bifront.function(step)
    for call in range(6):
        x = torch.ones(3) + call
        actual, expected = converted(x), step(x)
        torch.testing.assert_close(actual[0], expected[0])
        assert actual[1:3] == expected[1:3] == ("double", "Twice as much.")
        one, other = actual[3], expected[3]
        assert (one.__name__, one.__qualname__) == (other.__name__, other.__qualname__)
        assert one.__wrapped__.__code__ is other.__wrapped__.__code__
        torch.testing.assert_close(one(x), other(x))
    assert converted.stats["graph_calls"] == 5, bifront.explain(converted)


def test_a_partial_of_a_function_made_by_the_call() -> None:
    def step(x: Tensor) -> Any:
        def scaled(factor: float, offset: Tensor) -> Tensor:
            return x * factor + offset

        add = functools.partial(scaled, offset=x + 1)
        return add(2.0), add(3.0, offset=x)

    converted = bifront.function(step)
    for call in range(6):
        x = torch.ones(3) + call
        torch.testing.assert_close(converted(x), step(x))
    assert converted.stats["graph_calls"] == 5, bifront.explain(converted)
