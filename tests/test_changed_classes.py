"""`object.__class__ = cls` in the step: from there on the object is of that class."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_function import assert_same_value

CALLS = 9


class Calm:
    def act(self, x: Tensor) -> Tensor:
        return x + 1


class Wild(Calm):
    def act(self, x: Tensor) -> Tensor:
        return super().act(x) * 10


class Fixed:
    __slots__ = ("value",)


class Layer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Halved(Layer):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 4


def by_argument(pet: Any, x: Tensor, call: int) -> Any:
    pet.__class__ = Wild if call % 3 else Calm
    return pet.act(x), isinstance(pet, Wild), type(pet).__name__


def there_and_back(pet: Any, x: Tensor, call: int) -> Any:
    pet.__class__ = Wild
    first = pet.act(x)
    pet.__class__ = Calm
    return first + pet.act(x) * call


def of_a_new_object(pet: Any, x: Tensor, call: int) -> Any:
    made = Calm()
    made.__class__ = Wild
    return made.act(x), made.__class__ is Wild, type(pet) is Calm, call


def on_one_way(pet: Any, x: Tensor, call: int) -> Any:
    if x.sum() > 0:
        pet.__class__ = Wild
    else:
        pet.__class__ = Calm
    return pet.act(x) * call


def then_raises(pet: Any, x: Tensor, call: int) -> Any:
    pet.__class__ = Wild
    if call % 4 == 3:
        raise ValueError("behind the change")
    return pet.act(x)


def of_another_layout(pet: Any, x: Tensor, call: int) -> Any:
    try:
        pet.__class__ = Fixed
    except TypeError as error:
        return str(error), x * call
    return None


def of_a_type_of_c(pet: Any, x: Tensor, call: int) -> Any:
    try:
        pet.__class__ = int
    except TypeError:
        return x * call
    return None


STEPS: list[Callable[..., Any]] = [
    by_argument,
    there_and_back,
    of_a_new_object,
    on_one_way,
    then_raises,
    of_another_layout,
    of_a_type_of_c,
]


def compare(step: Callable[..., Any], between: Callable[[Any, int], None] | None = None) -> Any:
    pets = [Calm(), Calm()]
    converted = bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for pet, run in zip(pets, (step, converted), strict=True):
            if between:
                between(pet, call)
            torch.manual_seed(call)
            try:
                result = run(pet, torch.randn(3), call)
            except ValueError as error:
                result = str(error)
            outcomes.append([result, type(pet).__name__, vars(pet)])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    return converted


@pytest.mark.parametrize("step", STEPS)
def test_a_class_is_changed(step: Callable[..., Any]) -> None:
    compare(step)


def test_it_is_a_graph() -> None:
    assert compare(there_and_back).stats["graph_calls"] >= CALLS - 3


def test_the_class_is_another_one_between_the_calls() -> None:
    def between(pet: Any, call: int) -> None:
        if call == 5:
            pet.__class__ = Wild

    def step(pet: Any, x: Tensor, call: int) -> Any:
        before = type(pet).__name__
        pet.__class__ = Calm
        return before, pet.act(x)

    compare(step, between)


def test_of_a_module() -> None:
    models = [Layer(), Layer()]

    def make(model: nn.Module) -> Callable[[Tensor], Any]:
        def step(x: Tensor) -> Any:
            model.__class__ = Halved
            y = model(x)
            model.__class__ = Layer
            return y + model(x)

        return step

    eager, converted = make(models[0]), bifront.function(make(models[1]))
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(x), eager(x), "module")
    assert type(models[1]) is Layer
    assert converted.stats["graph_calls"] >= CALLS - 3


def test_of_a_module_of_python() -> None:
    """Not one of torch: `import` makes it."""
    import types

    class Noted(types.ModuleType):
        pass

    modules = [types.ModuleType("made"), types.ModuleType("made")]

    def make(module: Any) -> Callable[[Tensor], Any]:
        def step(x: Tensor) -> Any:
            module.__class__ = Noted
            return x * 2, type(module).__name__

        return step

    eager, converted = make(modules[0]), bifront.function(make(modules[1]))
    for _ in range(5):
        x = torch.randn(3)
        assert_same_value(converted(x), eager(x), "module")
    assert [type(module) for module in modules] == [Noted, Noted]
    assert "__class__" not in vars(modules[1])


def test_membership_reads_no_more_than_the_class() -> None:
    """What an object holds that is equal to itself alone may change."""
    results = []
    for convert in (False, True):
        objects, lock = [Calm(), Calm()], threading.Lock()
        objects[0].lock = lock  # type: ignore[attr-defined]

        def step(x: Tensor, objects: list[Any] = objects) -> Any:
            seen = {objects[0]}
            again = objects[1] in seen or objects[1] in (objects[0], None)
            objects[0].last = x.sum()
            return x * 2, again, objects[0] in seen

        run: Any = bifront.function(step) if convert else step
        torch.manual_seed(0)
        results.append([run(torch.randn(3)) for _ in range(CALLS)])
        if convert:
            assert run.stats["forms"] == 1, bifront.explain(run)
    assert_same_value(results[1], results[0], "membership")


def test_membership_by_code_of_the_program() -> None:
    class Equal:
        def __init__(self, number: int) -> None:
            self.number = number

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal) and self.number == other.number

        def __hash__(self) -> int:
            return self.number

    one, other = Equal(1), Equal(2)

    def step(x: Tensor) -> Any:
        return x * 2, one in [other], one in {other}

    converted = bifront.function(step)
    for call in range(CALLS):
        other.number = 1 + call % 2
        x = torch.randn(3)
        assert_same_value(converted(x), step(x), "membership")
