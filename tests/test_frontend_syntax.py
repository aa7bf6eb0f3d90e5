"""The syntax that the front end reads of Python functions, and which source it takes for theirs."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from bifront import _core

from tests.syntax_constructs import CASES


def _read(function: Any) -> list[str]:
    """The slots, then the statements without their lines' numbers."""
    first, *lines = [line for line in _core.read_syntax(function).splitlines() if line]
    return [first, *(line[6:] for line in lines)]


def _expected(function: Any) -> list[str]:
    source = inspect.getsource(function)
    return [line.split("#: ", 1)[1] for line in source.splitlines() if "#: " in line]


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_construct(function: Callable[..., Any]) -> None:
    assert _read(function) == _expected(function)


def test_statements_have_the_lines_of_the_file() -> None:
    for function in CASES:
        lines, first = inspect.getsourcelines(function)
        read = _core.read_syntax(function).splitlines()
        numbers = [int(line.split()[0]) for line in read if line[:1].isdigit()]
        assert numbers == sorted(numbers)
        assert all(first < number < first + len(lines) for number in numbers)


# ===- Which source it is ------------------------------------------------------------------=== #


def test_lambdas_on_one_line() -> None:
    one, two = lambda x: x + 1, lambda x: x + 2
    both = [lambda y: (y, lambda z: (y, z)), lambda y: [lambda z: y * z][0]]
    assert _read(one)[1:] == ["(return (+ x@0 1))"]
    assert _read(two)[1:] == ["(return (+ x@0 2))"]
    assert _read(both[0](1)[1])[1:] == ["(return (tuple y@c0 z@0))"]
    assert _read(both[1](1))[1:] == ["(return (* y@c0 z@0))"]


def test_lambdas_of_many_lines() -> None:
    functions = [
        lambda x: x + 1,
        (
            lambda x, *rest: {
                "rest": rest,
            }
        ),
    ]
    assert _read(functions[0])[1:] == ["(return (+ x@0 1))"]
    assert _read(functions[1])[1:] == ["(return (dict 'rest':rest@1))"]


def test_functions_of_one_name() -> None:
    def make(which: int) -> Any:
        if which:

            def function(x: Any) -> Any:
                return x + 1
        else:

            def function(x: Any) -> Any:
                return x + 2

        return function

    assert _read(make(1))[1:] == ["(return (+ x@0 1))"]
    assert _read(make(0))[1:] == ["(return (+ x@0 2))"]


SOURCE = """
import operator
import json as other

def calls(x):
    return operator.neg(x), x.neg(), other.dumps(x)

class Class:
    def __private(self):
        return self.__private

def decorate(function):
    return function

@decorate
@decorate
def decorated(
    x,
):
    return x
"""


@pytest.fixture
def module(tmp_path: Path) -> dict[str, Any]:
    """The functions of a file, which a test may change."""
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    namespace: dict[str, Any] = {"__file__": file}
    exec(compile(SOURCE, str(file), "exec"), namespace)
    return namespace


def test_methods_of_imported_names(module: dict[str, Any]) -> None:
    # The compiler has them otherwise than methods of other names.
    calls = "(call (. operator neg) x@0) (call (. x@0 neg)) (call (. other dumps) x@0)"
    assert _read(module["calls"])[1:] == [f"(return (tuple {calls}))"]


def test_private_names_and_decorators(module: dict[str, Any]) -> None:
    method = vars(module["Class"])["_Class__private"]
    assert _read(method)[1:] == ["(return (. self@0 _Class__private))"]
    assert _read(module["decorated"])[1:] == ["(return x@0)"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("operator.neg(x)", "operator.pos(x)"),
        ("x.neg()", "x.neg(1)"),
        ("def calls(x)", "def calls(x, y=1)"),
    ],
)
def test_source_that_has_changed(module: dict[str, Any], old: str, new: str) -> None:
    module["__file__"].write_text(SOURCE.replace(old, new))
    read = _core.read_syntax(module["calls"])
    assert read == "not read: its source is not the code that runs"


def test_source_that_is_gone(module: dict[str, Any]) -> None:
    module["__file__"].unlink()
    assert _core.read_syntax(module["calls"]) == "not read: it has no source"


def test_executed_code() -> None:
    namespace: dict[str, Any] = {}
    exec(SOURCE, namespace)
    assert _core.read_syntax(namespace["calls"]) == "not read: it has no source"


def test_replaced_code() -> None:
    def function(x: Any) -> Any:
        return x + 1

    function.__code__ = function.__code__.replace(co_consts=(None, 2))
    assert _core.read_syntax(function) == "not read: its source is not the code that runs"


@pytest.mark.parametrize("value", [len, int, "text", functools.partial(len)])
def test_what_is_no_function(value: Any) -> None:
    assert _core.read_syntax(value) == "not read: it is no Python function"


# ===- Everybody's functions ---------------------------------------------------------------=== #

SWEPT = [
    "argparse",
    "ast",
    "asyncio.base_events",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "decimal",
    "difflib",
    "email.message",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "inspect",
    "json.decoder",
    "logging",
    "pickle",
    "random",
    "statistics",
    "string",
    "tarfile",
    "textwrap",
    "threading",
    "typing",
    "unittest.mock",
    "weakref",
    "torch",
    "torch._tensor",
    "torch.functional",
    "torch.distributions.normal",
    "torch.distributions.categorical",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules.activation",
    "torch.nn.modules.batchnorm",
    "torch.nn.modules.container",
    "torch.nn.modules.conv",
    "torch.nn.modules.linear",
    "torch.nn.modules.loss",
    "torch.nn.modules.module",
    "torch.nn.modules.rnn",
    "torch.nn.modules.transformer",
    "torch.nn.utils.clip_grad",
    "torch.nn.utils.rnn",
    "torch.optim.adam",
    "torch.optim.lbfgs",
    "torch.optim.lr_scheduler",
    "torch.optim.optimizer",
    "torch.optim.sgd",
    "torch.utils.data.dataloader",
]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            parts = [getattr(member, name, None) for name in ("__func__", "fget", "fset")]
            for function in (member, *parts):
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    yield function


def test_functions_of_libraries() -> None:
    functions = [f for name in SWEPT for f in _functions(importlib.import_module(name))]
    with_source = [f for f in functions if not f.__code__.co_filename.startswith("<")]
    unread = [f for f in with_source if _core.read_syntax(f).startswith("not read")]
    assert len(with_source) > 2000
    assert len(unread) <= 0.01 * len(with_source), unread
