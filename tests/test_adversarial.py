"""Programs that change after conversion in each way that an assumption can break.

The first call behind the change must be right, the exit must be named, and a graph must run again,
or the reason why none does must be named as well. Behaviours that alternate must neither cause
conversion after conversion nor cost more than CPython does.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_state import Box, X, check, same, several


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(6.0).reshape(2, 3) / 7)
            self.layer.bias.fill_(0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layer(x))


class Scaled:
    def __init__(self, by: float) -> None:
        self.by = by

    def apply(self, x: Tensor) -> Tensor:
        return x * self.by


class Shifted(Scaled):
    def apply(self, x: Tensor) -> Tensor:
        return x + self.by


def scale(x: Tensor) -> Tensor:
    return x * 3


def shift(x: Tensor) -> Tensor:
    return x + 3


FACTOR = 2.0


def drive(
    function: Callable[..., Any],
    make: Callable[[], Any],
    change: Callable[[Any], None],
    exits: set[str],
    *,
    calls: Callable[[int], tuple[Any, ...]] = lambda call: (X + call,),
    again: bool = True,
) -> Any:
    """Six calls, the change, six more; each is compared with CPython's on a state of its own.

    `exits`: one of these is named at the first call behind the change.
    """
    eager_state, state = make(), make()
    converted = bifront.function(function)

    def both(number: int) -> None:
        torch.manual_seed(number)
        expected = function(eager_state, *calls(number))
        torch.manual_seed(number)
        actual = converted(state, *calls(number))
        same([actual, state], [expected, eager_state])

    for number in range(6):
        both(number)
    before = converted.stats
    assert before["graph_calls"] >= 3, bifront.explain(converted)
    change(eager_state)
    change(state)
    both(6)
    after = converted.stats["exits"]
    new = {name for name in after if after[name] > before["exits"].get(name, 0)}
    assert new & exits, f"{new}, not one of {exits}"
    ran = converted.stats["graph_calls"]
    for number in range(7, 12):
        both(number)
    assert (converted.stats["graph_calls"] > ran) == again, bifront.explain(converted)
    assert converted.stats["conversions"] <= 8
    return converted


def returns(state: Any, x: Tensor) -> Any:
    return state.net(x).detach()


def test_an_argument_of_another_type() -> None:
    drive(
        lambda state, x, n: x * n,
        lambda: Box(),
        lambda state: None,
        {"ArgumentStructure"},
        calls=lambda call: (X, 2 if call < 6 else 2.5),
    )


def test_a_tensor_in_place_of_a_number() -> None:
    drive(
        lambda state, x, n: x * n,
        lambda: Box(),
        lambda state: None,
        {"ArgumentStructure"},
        calls=lambda call: (X, 2 if call < 6 else torch.tensor(2.0)),
    )


def test_another_shape() -> None:
    converted = drive(
        lambda state, x: x.sum(0) * x.shape[0],
        lambda: Box(),
        lambda state: None,
        {"TensorMismatch"},
        calls=lambda call: (torch.ones(4 if call < 6 else 5 + call, 3),),
    )
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_another_number_of_dimensions() -> None:
    drive(
        lambda state, x: x.sum(-1),
        lambda: Box(),
        lambda state: None,
        {"TensorMismatch"},
        calls=lambda call: (torch.ones(4, 3) if call < 6 else torch.ones(2, 4, 3),),
    )


def test_another_dtype() -> None:
    drive(
        lambda state, x: x * 2 + 1,
        lambda: Box(),
        lambda state: None,
        {"TensorMismatch"},
        calls=lambda call: (X if call < 6 else X.double(),),
    )


def test_the_other_way_of_a_branch() -> None:
    converted = drive(
        lambda state, x: x * 2 if x.sum() > 0 else x - 1,
        lambda: Box(),
        lambda state: None,
        {"AssertionFailed"},
        calls=lambda call: (X if call < 6 else -X,),
    )
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_a_callee_is_monkeypatched() -> None:
    module = types.SimpleNamespace(op=scale)

    def function(state: Any, x: Tensor) -> Any:
        return module.op(x)

    def change(state: Any) -> None:
        module.op = shift

    drive(function, lambda: Box(), change, {"PythonState"})


@pytest.fixture
def restored_factor() -> Iterator[None]:
    yield
    globals()["FACTOR"] = 2.0


@pytest.mark.usefixtures("restored_factor")
def test_a_global_is_replaced() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x * FACTOR

    drive(function, Box, lambda state: globals().update(FACTOR=5.0), {"PythonState"})


def test_the_code_of_a_callee_is_replaced() -> None:
    def callee(x: Tensor) -> Tensor:
        return x * 3

    def function(state: Any, x: Tensor) -> Any:
        return callee(x)

    def change(state: Any) -> None:
        callee.__code__ = shift.__code__

    drive(function, Box, change, {"PythonState"})


def test_defaults_of_a_callee_are_replaced() -> None:
    def callee(x: Tensor, by: float = 2.0) -> Tensor:
        return x * by

    def function(state: Any, x: Tensor) -> Any:
        return callee(x)

    def change(state: Any) -> None:
        callee.__defaults__ = (7.0,)

    drive(function, Box, change, {"PythonState"})


def test_a_default_of_a_callee_is_replaced_in_place() -> None:
    def make() -> Any:
        def callee(x: Tensor, *, by: float = 2.0, more: list[float] | None = None) -> Tensor:
            return x * by

        return Box(callee=callee)

    def change(state: Any) -> None:
        state.callee.__kwdefaults__["by"] = 7.0

    drive(lambda state, x: state.callee(x), make, change, {"PythonState"})


def test_the_code_of_the_function_itself_is_replaced() -> None:
    def function(x: Tensor) -> Tensor:
        return x * 3

    converted = bifront.function(function)
    for _ in range(4):
        assert torch.equal(converted(X), X * 3)
    function.__code__ = shift.__code__
    for _ in range(4):
        assert torch.equal(converted(X), X + 3)
    assert converted.stats["exits"]["PythonState"] == 1


def test_a_module_gets_a_hook() -> None:
    def change(state: Any) -> None:
        # By a key that is not counted across the process.
        state.net.layer._forward_hooks[7] = lambda module, args, output: output * 10

    def calls(call: int) -> tuple[Any, ...]:
        return (torch.full((2, 3), float(call)),)

    drive(returns, lambda: Box(net=Net().eval()), change, {"PythonState"}, calls=calls)


def test_a_parameter_is_swapped() -> None:
    def change(state: Any) -> None:
        state.net.layer.weight = nn.Parameter(torch.full((2, 3), 0.5))

    drive(
        returns,
        lambda: Box(net=Net().eval()),
        change,
        {"PythonState", "TensorMismatch"},
        calls=lambda call: (torch.full((2, 3), float(call)),),
    )


def test_the_memory_of_a_parameter_is_swapped() -> None:
    """Which a graph need not notice: it reads the tensor that the parameter is."""
    eager_state, state = Box(net=Net().eval()), Box(net=Net().eval())
    converted = bifront.function(returns)
    for call in range(12):
        x = torch.full((2, 3), float(call))
        if call == 6:
            for box in (eager_state, state):
                box.net.layer.weight.data = torch.full((2, 3), 0.5)
        same(converted(state, x), returns(eager_state, x))
    assert converted.stats["graph_calls"] >= 8, bifront.explain(converted)


def test_a_parameter_gets_a_gradient() -> None:
    def step(state: Any, x: Tensor) -> Any:
        state.net(x).sum().backward()

    def change(state: Any) -> None:
        state.net.layer.weight.grad = None

    drive(
        step,
        lambda: Box(net=Net().eval()),
        change,
        {"GradPresence", "PythonState"},
        calls=lambda call: (torch.full((2, 3), float(call)),),
    )


def gradients(state: Any, x: Tensor) -> Any:
    state.net(x).sum().backward()
    found = [parameter.grad.clone() for parameter in state.net.parameters()]
    state.net.zero_grad()
    return found


@pytest.mark.parametrize("name", ["gradient", "accumulated"])
def test_a_parameter_gets_a_hook(name: str) -> None:
    """Which a graph cannot run: CPython does."""

    def hook(parameter: Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.mul_(10)

    eager, state = Box(net=Net().eval()), Box(net=Net().eval())
    converted = bifront.function(gradients)
    for call in range(12):
        x = torch.full((2, 3), float(call))
        if call == 6:
            before = converted.stats
            for box in (eager, state):
                weight = box.net.layer.weight
                if name == "gradient":
                    weight.register_hook(lambda grad: grad * 10)
                else:
                    weight.register_post_accumulate_grad_hook(hook)
        same(converted(state, x), gradients(eager, x))
    assert before["graph_calls"] >= 3
    assert converted.stats["exits"]["TensorMismatch"] >= 1, bifront.explain(converted)


def test_a_method_of_tensors_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    converted = bifront.function(lambda x: (x - 2).relu())
    for _ in range(4):
        assert torch.equal(converted(X), (X - 2).relu())
    monkeypatch.setattr(torch.Tensor, "relu", lambda self: self * 5)
    for _ in range(4):
        assert torch.equal(converted(X), (X - 2) * 5)
    assert converted.stats["exits"]["PythonState"] == 1
    assert converted.stats["graph_calls"] >= 6


def test_eval() -> None:
    drive(
        returns,
        lambda: Box(net=Net()),
        lambda state: state.net.eval(),
        {"PythonState"},
        calls=lambda call: (torch.full((2, 3), float(call)),),
    )


def test_a_module_changes_its_dtype() -> None:
    drive(
        lambda state, x: state.net(x.to(state.net.layer.weight.dtype)).detach(),
        lambda: Box(net=Net().eval()),
        lambda state: state.net.double(),
        {"PythonState", "TensorMismatch"},
        calls=lambda call: (torch.full((2, 3), float(call)),),
    )


def test_a_list_grows() -> None:
    def function(state: Any, x: Tensor) -> Any:
        for factor in state.factors:
            x = x * factor
        return x

    def change(state: Any) -> None:
        state.factors.append(3.0)

    drive(function, lambda: Box(factors=[2.0]), change, {"PythonState"})


def test_an_attribute_is_deleted() -> None:
    def function(state: Any, x: Tensor) -> Any:
        return x * state.by if hasattr(state, "by") else x

    def change(state: Any) -> None:
        del state.by

    drive(function, lambda: Box(by=2.0), change, {"PythonState"})


def test_an_attribute_hides_that_of_the_class() -> None:
    def change(state: Any) -> None:
        state.scaled.apply = lambda x: x - 1

    drive(
        lambda state, x: state.scaled.apply(x),
        lambda: Box(scaled=Scaled(2.0)),
        change,
        {"PythonState"},
    )


def test_a_method_of_a_class_is_replaced() -> None:
    """Of a class for each side, made by one factory."""

    def make() -> Any:
        return Box(scaled=type("Scaled", (Scaled,), {})(2.0))

    def change(state: Any) -> None:
        type(state.scaled).apply = lambda self, x: x - self.by

    eager, state = make(), make()
    converted = bifront.function(lambda state, x: state.scaled.apply(x))
    for call in range(12):
        if call == 6:
            change(eager)
            change(state)
            before = converted.stats
        expected = eager.scaled.apply(X + call)
        same(converted(state, X + call), expected)
    assert converted.stats["exits"]["PythonState"] > before["exits"].get("PythonState", 0)
    assert converted.stats["graph_calls"] > before["graph_calls"]


def test_class_is_assigned() -> None:
    def change(state: Any) -> None:
        state.scaled.__class__ = Shifted

    drive(
        lambda state, x: state.scaled.apply(x),
        lambda: Box(scaled=Scaled(2.0)),
        change,
        {"PythonState"},
    )


def test_a_closure_is_rebound() -> None:
    def make() -> Any:
        by = 2.0

        def apply(x: Tensor) -> Tensor:
            return x * by

        def rebind(value: float) -> None:
            nonlocal by
            by = value

        return Box(apply=apply, rebind=rebind)

    eager, state = make(), make()

    def function(state: Any, x: Tensor) -> Any:
        return state.apply(x)

    converted = bifront.function(function)
    for call in range(12):
        if call == 6:
            eager.rebind(9.0)
            state.rebind(9.0)
        same(converted(state, X + call), function(eager, X + call))
    assert converted.stats["exits"]["PythonState"] == 1
    assert converted.stats["graph_calls"] >= 8


#  ---- Modes ----


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic(warn_only: bool) -> Iterator[None]:
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES: dict[str, tuple[Callable[[], Any], set[str], bool]] = {
    "grad mode": (torch.no_grad, {"GlobalMode"}, True),
    "inference mode": (torch.inference_mode, {"GlobalMode"}, True),
    "autocast": (lambda: torch.autocast("cpu"), {"GlobalMode"}, True),
    "default dtype": (lambda: default_dtype(torch.float64), {"GlobalMode"}, True),
    "deterministic flags": (lambda: deterministic(False), {"GlobalMode"}, True),
    # A mode of torch's function stack: what it does to each call is Python code.
    "default device": (lambda: torch.device("meta"), {"ForeignMode"}, False),
}


def modal(state: Any, x: Tensor) -> Any:
    y = state.layer(x)
    made = torch.ones(2) * 0.5
    return y.detach(), made, y.requires_grad, torch.is_grad_enabled()


@pytest.mark.parametrize("name", MODES)
def test_a_mode_changes(name: str) -> None:
    mode, exits, again = MODES[name]
    eager, state = (Box(layer=Net().layer) for _ in range(2))
    converted = bifront.function(modal)
    x = torch.full((2, 3), 0.5)
    for _ in range(5):
        same(converted(state, x), modal(eager, x))
    before = converted.stats
    assert before["graph_calls"] >= 3, bifront.explain(converted)
    for call in range(5):
        with mode():
            if name == "default device":
                (_, actual, *_), (_, expected, *_) = converted(state, x), modal(eager, x)
                assert actual.device == expected.device == torch.device("meta")
            else:
                same(converted(state, x), modal(eager, x))
        if call == 0:
            assert exits & converted.stats["exits"].keys(), bifront.explain(converted)
    after = converted.stats
    assert (after["graph_calls"] > before["graph_calls"]) == again, bifront.explain(converted)
    same(converted(state, x), modal(eager, x))
    assert converted.stats["graph_calls"] > after["graph_calls"], "back in the first mode"


def test_the_cpu_becomes_the_default_device() -> None:
    """As it is without: nothing changes, before the conversion or behind it."""

    def function(state: Any, x: Tensor) -> Any:
        y = torch.relu(state.layer(x)) + torch.ones(2)
        return y.detach(), torch.zeros(2).device, str(torch.get_default_device())

    eager, state = (Box(layer=Net().layer) for _ in range(2))
    x = torch.full((2, 3), 0.5)
    converted = bifront.function(function)
    for call in range(20):
        before = call % 10 < 5
        with contextlib.nullcontext() if before else torch.device("cpu"):
            same(converted(state, x), function(eager, x))
    assert converted.stats["graph_calls"] >= 16, bifront.explain(converted)
    assert "ForeignMode" not in converted.stats["exits"]
    made_under_it = bifront.function(function)
    torch.set_default_device("cpu")
    try:
        for _ in range(6):
            same(made_under_it(state, x), function(eager, x))
    finally:
        torch.set_default_device(None)
    assert made_under_it.stats["graph_calls"] >= 2, bifront.explain(made_under_it)
    same(made_under_it(state, x), function(eager, x))


def test_how_many_modes_there_are() -> None:
    """Somebody who asks is told, by CPython."""

    def function(x: Tensor) -> Tensor:
        return x * len(torch.overrides._get_current_function_mode_stack())

    converted = bifront.function(function)
    for call in range(20):
        with torch.device("cpu") if call % 10 < 5 else contextlib.nullcontext():
            same(converted(X), function(X))


#  ---- Behaviours that alternate ----


def alternate(
    function: Callable[..., Any], arguments: Callable[[int], tuple[Any, ...]], calls: int = 1000
) -> Any:
    eager_state, state = Box(calls=0), Box(calls=0)
    converted = bifront.function(function)
    for call in range(calls):
        expected = function(eager_state, *arguments(call))
        same([converted(state, *arguments(call)), state], [expected, eager_state])
    stats = converted.stats
    assert stats["conversions"] <= 8, bifront.explain(converted)
    assert stats["graphs"] <= stats["conversions"]
    assert stats["calls"] == calls
    assert stats["profiled_calls"] + stats["graph_calls"] + stats["fallback_calls"] == calls
    return converted


def test_two_dtypes_in_turn() -> None:
    kinds = (torch.float32, torch.float64)
    converted = alternate(
        lambda state, x: x * 2, lambda call: (torch.ones(3, dtype=kinds[call % 2]),)
    )
    assert converted.stats["conversions"] == 2
    assert converted.stats["graph_calls"] >= 990


def test_two_ways_in_turn() -> None:
    converted = alternate(
        lambda state, x: x * 2 if x.sum() > 0 else x - 1,
        lambda call: (X if call % 2 else -X,),
    )
    assert converted.stats["graphs"] == 1
    assert converted.stats["graph_calls"] >= 990


def test_one_call_in_ten_is_another() -> None:
    def function(state: Any, x: Tensor, flag: bool) -> Any:
        return [x * 2] if flag else {"x": x + 1}

    converted = alternate(function, lambda call: (X, call % 10 == 0))
    assert converted.stats["graph_calls"] >= 980, bifront.explain(converted)


def test_more_behaviours_than_graphs() -> None:
    """Ten kinds of results, each for a string of its own: eight of them have a path."""

    def function(state: Any, x: Tensor, name: str) -> Any:
        return {name: x * len(name)}

    converted = alternate(function, lambda call: (X, "a" * (call % 10)))
    stats = converted.stats
    assert stats["conversions"] == 8
    assert stats["exits"]["TooManyGraphs"] > 0
    assert "as many graphs as the limit allows" in bifront.explain(converted)


@pytest.mark.parametrize("period", [20, 1000])
def test_no_call_is_like_those_before(period: int) -> None:
    """Conversions cost, and win nothing: more than two wait until values come back soon."""

    def function(state: Any, x: Tensor, name: str) -> Any:
        return {name: x}

    converted = alternate(function, lambda call: (X, str(call % period)))
    stats = converted.stats
    assert stats["conversions"] == 2
    assert stats["exits"]["NewChoice"] > 50
    assert "a value that no graph knows" in bifront.explain(converted)


def test_a_value_that_comes_back_gets_its_path() -> None:
    """Of three, the third does when it is met for the second time, and what is new does not."""

    def function(state: Any, x: Tensor, name: str) -> Any:
        return {name: x * 2}

    names = ("train", "check", "test")
    converted = alternate(
        function, lambda call: (X, f"once {call}" if call % 50 == 49 else names[call % 3])
    )
    stats = converted.stats
    assert stats["conversions"] <= 4
    assert stats["graph_calls"] > 950
    assert stats["exits"]["NewChoice"] >= 15


def test_random_numbers_decide() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.calls += 1
        if torch.rand(()) > 0.5:
            return x * 2
        return x - 1

    eager_state, state = Box(calls=0), Box(calls=0)
    converted = bifront.function(function)
    for call in range(1000):
        torch.manual_seed(call)
        expected = function(eager_state, X), torch.rand(3)
        torch.manual_seed(call)
        same([(converted(state, X), torch.rand(3)), state], [expected, eager_state])
    assert converted.stats["conversions"] <= 8


def test_a_function_that_is_given_up_says_why() -> None:
    """And after the graphs no longer fit at all, few calls still try them."""

    def function(state: Any, x: Tensor, name: str) -> Any:
        return {name: x}

    converted = bifront.function(function, max_graphs=1)
    for call in range(300):
        converted(None, X, "a" if call < 5 else str(call))
    exits = converted.stats["exits"]
    assert exits["TooManyGraphs"] >= 280
    assert exits["ArgumentStructure"] < 100, "the graph's checks still run at each call"
    for _ in range(64):
        converted(None, X, "a")
    assert converted.stats["graph_calls"] > 4, "a graph that fits again runs again"


def test_a_function_that_cannot_be_converted_is_left_alone() -> None:
    def function(state: Any, x: Tensor) -> Any:
        state.seen.append(x.storage_offset())
        return x

    converted = check(lambda: (function, Box(seen=[])), several(40), graph_calls=0)
    assert converted.stats["conversions"] <= 3
    assert "BF010" in bifront.explain(converted)
