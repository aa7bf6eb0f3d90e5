"""What a walk does to Python's values no other thread sees; what another changes stays."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.language.conformance import Program, all_programs, run
from tests.same_state import Box, X

SOME_PROGRAMS = [entry for entry in all_programs() if not entry.wrong_today][::9]


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Another thread works, over and over, until the block ends; what it raises is raised here."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def repeat() -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if raised:
        raise raised[0]


def test_another_changes_what_the_function_reads() -> None:
    """A guard may break between two calls of the other; each result is one of the two."""
    box = Box(by=2.0)
    converted = bifront.function(lambda x: x * box.by)

    def change() -> None:
        box.by = 5.0 - box.by

    with beside(change):
        for _ in range(2000):
            assert converted(X)[0].item() in (2.0, 3.0)


def is_of_the_program(value: Any) -> bool:
    """Rather than of a walk, whose tensors have no memory and whose numbers are not Python's."""
    if isinstance(value, Tensor):
        return type(value) in (Tensor, nn.Parameter) and value.data_ptr() != 0
    return type(value) in (int, float, str)


class State:
    """With changes of each kind."""

    kind = 1.0
    __slots__ = ("by_another", "hidden", "items", "looks", "names", "rate")

    def __init__(self) -> None:
        self.hidden, self.rate = torch.zeros(4), 1.0
        self.looks = self.by_another = 0.0
        self.items: list[Any] = [torch.ones(4), 2.0]
        self.names: dict[str, Any] = {"steps": 0, "last": torch.ones(4)}

    def step(self, x: Tensor) -> Tensor:
        self.rate = self.rate * 0.5 + 1
        self.hidden = (self.hidden + x * self.rate + self.by_another).tanh()
        self.items[0] = self.hidden.exp() * self.items[1]
        self.items.append(self.items[0].sum())
        self.names["steps"] += 1
        self.names["last"] = self.items[0] - self.hidden
        del self.items[2]
        self.names["new"] = torch.stack([self.hidden, self.names["last"]])
        State.kind = State.kind * 2 % 7
        last: Tensor = self.names.pop("new").sum() + State.kind
        return last

    def values(self) -> list[Any]:
        return [self.rate, self.hidden, State.kind, *list(self.items), *list(self.names.values())]


@pytest.fixture(params=[5e-3, 1e-6], ids=["as CPython", "at once"])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """How soon another thread that waits may run where Python's code is running."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_another_sees_the_values_of_the_program_and_changes_them() -> None:
    states: list[State] = [State()]

    def look() -> None:
        state = states[-1]
        assert all(is_of_the_program(value) for value in state.values())
        state.by_another += 1.0
        state.looks += 1.0  # which nobody else looks at

    with beside(look):
        for _ in range(25):
            states.append(State())
            step = bifront.function(states[-1].step)
            for _ in range(4):
                step(torch.ones(4))
    assert sum(state.looks for state in states) > 0
    assert all(state.by_another == state.looks for state in states)


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=f"{entry.theme}/{entry.name}") for entry in SOME_PROGRAMS]
)
def test_programs_do_the_same_beside_another_thread(entry: Program) -> None:
    """Whose being there is enough: a walk does not know whether it waits."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        run(entry)
    finally:
        stop.set()
        thread.join()
