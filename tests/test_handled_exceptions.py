"""What the program asks about exceptions that are handled, by itself or by who calls it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

X = torch.arange(3.0)


def test_nothing_is_handled() -> None:
    converted: Any = bifront.function(lambda x: (x * 2, sys.exc_info()))
    for _ in range(4):
        doubled, info = converted(X)
        assert torch.equal(doubled, X * 2) and info == (None, None, None)
    assert converted.stats["graph_calls"] == 3, bifront.explain(converted)


def test_the_caller_begins_to_handle_one() -> None:
    converted: Any = bifront.function(lambda x: (x * 2, sys.exc_info()[1]))
    for _ in range(3):
        assert converted(X)[1] is None
    try:
        raise ValueError("of the caller")
    except ValueError as error:
        for _ in range(3):
            assert converted(X)[1] is error
    before = converted.stats["graph_calls"]
    assert converted(X)[1] is None
    assert converted.stats["graph_calls"] == before + 1, bifront.explain(converted)


def test_the_program_handles_one() -> None:
    def step(x: Tensor) -> Any:
        try:
            raise KeyError("of the program")
        except KeyError:
            return x + 1, sys.exc_info()[0]

    converted: Any = bifront.function(step)
    for _ in range(4):
        assert converted(X)[1] is KeyError


@pytest.mark.parametrize("fails", [False, True])
def test_an_exit_stack(fails: bool) -> None:
    def make(log: list[Any]) -> Any:
        def step(x: Tensor, n: int) -> Tensor:
            with contextlib.ExitStack() as stack:
                for i in range(n + 1):
                    stack.callback(log.append, i)
                if fails and n == 2:
                    raise ValueError("in the block")
                return x * n

        return step

    logs: list[list[Any]] = [[], []]
    eager, converted = make(logs[0]), bifront.function(make(logs[1]))
    for call in range(8):
        outcomes: list[Any] = []
        for step in (eager, converted):
            try:
                outcomes.append(step(X, call % 4).tolist())
            except ValueError as error:
                outcomes.append(str(error))
        assert outcomes[1] == outcomes[0] and logs[1] == logs[0], f"call {call}"
    if not fails:
        assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)
