"""The harness of the language suite: a program by CPython and converted, all of it compared."""

# A program is a factory: it builds its objects and returns the step, which is called with eight
# argument sets. Everything that the step can reach is its state: what its closure holds, what it
# names among its module's globals, and what the factory returns beside it. Each theme's module is
# loaded twice, once for CPython and once for the converted step, so that nothing is shared.

from __future__ import annotations

import collections
import contextlib
import functools
import importlib.util
import io
import itertools
import random
import re
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import bifront
import numpy as np
import torch
from torch import Tensor

from tests.same_function import assert_same_tensor

CALLS = 8
# The front end profiles three calls; of the five that follow, most must run in a graph.
LEAST_GRAPH_CALLS = 3
# Inputs have a period of at most three, and a state begins in a form of its own. A graph with more
# forms than that gets one more for each call, which is no better than a graph for each call.
MOST_FORMS = 4
THEMES = (
    "assignments",
    "branches_and_loops",
    "functions",
    "comprehensions_and_generators",
    "classes",
    "kinds_of_classes",
    "modules",
    "containers",
    "tensor_values",
    "recursion",
    "training",
    "training_tasks",
    "autograd_code",
    "changing_types",
    "effects",
    "silent_errors",
    "bad_input",
)


Make = Callable[[int], Any]
Factory = Callable[[], Any]


def _print_thread_error(error: threading.ExceptHookArgs) -> None:
    print(f"in a thread: {error.exc_value!r}", file=sys.stderr)


def convert(step: Callable[..., Any]) -> Any:
    """The one place that chooses the entry point."""
    return bifront.function(step)


@dataclass(frozen=True)
class Program:
    theme: str
    name: str
    factory: Factory
    make: Make
    graphs: int  # at most so many after the eight calls; 0: nearly all calls raise, a graph or not
    opaque: int  # at most so many opaque calls in a graph
    cpython: str  # the reason ("code name") for which no graph runs, or ""
    wrong_today: str  # what `bifront.function` gets wrong, or ""


def vector(call: int) -> tuple[Tensor]:
    """A vector whose length has period three and whose sum changes sign at every call."""
    return (torch.randn(3 + call % 3).abs() * (1 if call % 2 else -1),)


def matrix(call: int) -> tuple[Tensor]:
    return (torch.randn(2 + call % 3, 4) + (call % 2 - 0.5),)


def vector_and_number(call: int) -> tuple[Tensor, int]:
    return torch.randn(3 + call // 2 % 2).abs() * (1 if call % 2 else -1), call % 3


def two_vectors(call: int) -> tuple[Tensor, Tensor]:
    return (*vector(call), *vector(call))


def batch(call: int) -> tuple[Tensor, Tensor]:
    return torch.randn(2 + call % 3, 4), torch.randn(2 + call % 3, 2)


def program(
    make: Make = vector,
    *,
    graphs: int = 1,
    opaque: int = 0,
    cpython: str = "",
    wrong_today: str = "",
) -> Callable[[Factory], Factory]:
    def register(factory: Factory) -> Factory:
        theme = factory.__module__.rpartition(".")[2]
        name = factory.__name__
        entry = Program(theme, name, factory, make, graphs, opaque, cpython, wrong_today)
        programs = sys.modules[factory.__module__].__dict__.setdefault("PROGRAMS", {})
        assert name not in programs, f"two programs are called {theme}/{name}"
        programs[name] = entry
        return factory

    return register


@functools.cache
def load(theme: str, side: str) -> ModuleType:
    name = f"tests.language.{side}.{theme}"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{theme}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


def all_programs() -> list[Program]:
    return [entry for theme in THEMES for entry in load(theme, "eager").PROGRAMS.values()]


def seed(number: int) -> None:
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)


class Side:
    """One run of a program: by CPython, or converted."""

    def __init__(self, entry: Program, side: str) -> None:
        self.program: Program = load(entry.theme, side).PROGRAMS[entry.name]
        seed(0)
        made = self.program.factory()
        self.step, self.state = made if isinstance(made, tuple) else (made, None)
        self.called = convert(self.step) if side == "converted" else self.step
        self.results: list[Any] = []  # all of them, so that a later change of one is noticed
        self.arguments: list[Any] = []

    def call(self, number: int) -> dict[str, Any]:
        """What can be observed of one call."""
        seed(number)
        arguments = self.program.make(number)
        if not isinstance(arguments, (tuple, dict)):
            arguments = (arguments,)
        self.arguments = [arguments]
        args, kwargs = (arguments, {}) if isinstance(arguments, tuple) else ((), arguments)
        seed(1000 + number)
        raised: BaseException | None = None
        with (
            contextlib.redirect_stdout(io.StringIO()) as printed,
            contextlib.redirect_stderr(io.StringIO()) as errors,
            mock.patch("threading.excepthook", _print_thread_error),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            try:
                result = self.called(*args, **kwargs)
                if isinstance(result, types.GeneratorType):
                    result = [types.GeneratorType, *result]
                self.results.append(result)
            except (Exception, SystemExit) as error:
                raised = error
        return {
            "results": self.results,
            "arguments": self.arguments,
            "step": self.step,
            "state": self.state,
            "raised": raised,
            "traceback": self._own_lines(raised),
            "printed": printed.getvalue(),
            "printed to stderr": errors.getvalue(),
            "warnings": [(w.category, str(w.message)) for w in warned],
            "torch's random stream": torch.get_rng_state(),
            "random's stream": random.getstate(),
            "numpy's random stream": np.random.get_state(),
            "modes": (
                torch.is_grad_enabled(),
                torch.is_autocast_enabled("cpu"),
                torch.get_default_dtype(),
            ),
        }

    def _own_lines(self, raised: BaseException | None) -> list[tuple[str, int]]:
        lines = []
        trace = raised.__traceback__ if raised is not None else None
        while trace is not None:
            code = trace.tb_frame.f_code
            if code.co_filename == load(self.program.theme, "eager").__file__:
                lines.append((code.co_name, trace.tb_lineno))
            trace = trace.tb_next
        # How deep a RecursionError is depends on who called.
        return lines[:1] if isinstance(raised, RecursionError) else lines


def call_both(eager: Side, converted: Side, number: int) -> None:
    """Raise where a call of the converted step differs."""
    expected = eager.call(number)
    actual = converted.call(number)
    raised, expected_raised = actual.pop("raised"), expected.pop("raised")
    if type(raised).__qualname__ != type(expected_raised).__qualname__:
        message = f"call {number}: raised {raised!r}, not {expected_raised!r}"
        raise AssertionError(message) from raised
    pairing = Pairing()
    pairing.compare(raised, expected_raised, f"call {number}: raised")
    pairing.compare(actual, expected, f"call {number}: ")


def run(entry: Program) -> str:
    """Raise where the converted step differs; say how it falls short of what is declared."""
    eager, converted = Side(entry, "eager"), Side(entry, "converted")
    for number in range(CALLS):
        call_both(eager, converted, number)
    stats = converted.called.stats
    return "" if meets_declaration(entry, stats) else shortfall(converted.called)


def meets_declaration(entry: Program, stats: dict[str, Any]) -> bool:
    if entry.graphs == 0:
        return True
    if entry.cpython:
        return stats["graph_calls"] == 0 and entry.cpython.split()[1] in stats["exits"]
    return (
        stats["graph_calls"] >= LEAST_GRAPH_CALLS
        and 1 <= stats["graphs"] <= entry.graphs
        and stats["forms"] <= max(entry.graphs, MOST_FORMS)
        and stats["opaque_calls"] <= entry.opaque
    )


def shortfall(converted: Any) -> str:
    """What became of a step, in a line that is the same at each run and on each machine."""
    stats = converted.stats
    forms = f" of {stats['forms']} forms" if stats["forms"] > stats["graphs"] else ""
    counts = f"{stats['graphs']} graphs{forms}, {stats['graph_calls']} calls in them"
    reasons = ", ".join(stats["exits"])
    message = ""
    if "CaptureFailed" in stats["exits"]:
        text = converted.last_error.splitlines()[0].replace(str(Path(__file__).parent), "...")
        message = ": " + _NUMBER.sub("#", text)[:160]
    return f"{counts}; {reasons}{message}"


_ATOMS = (
    type(None),
    bool,
    int,
    complex,
    bytes,
    range,
    slice,
    type(...),
    type(NotImplemented),
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    np.generic,
    itertools.count,
)
# Their identity says nothing: CPython makes them anew, or shares them, as it likes.
_WITHOUT_IDENTITY = (tuple, frozenset, types.MethodType, types.BuiltinFunctionType)
# What they hold is not state of the program, or cannot be looked at without a change of it.
_OPAQUE = (
    types.ModuleType,
    types.GeneratorType,
    types.CodeType,
    types.TracebackType,
    weakref.ref,
    torch.utils.hooks.RemovableHandle,
)
_NUMBER = re.compile(r"0x[0-9a-f]+|-?\d+\.\d*(?:e[+-]?\d+)?")


def _own(module: str | None) -> bool:
    """Whether code is a program's: in a theme's module, or executed by one."""
    return module is None or module.startswith("tests.language.")


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class Pairing:
    """Walks two nests of objects together: what is one object here must be one object there."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[Any, Any]] = {}
        self._back: dict[int, tuple[Any, Any]] = {}
        self._storages: dict[int, int] = {}
        self._storages_back: dict[int, int] = {}
        self._pending: list[tuple[Any, Any, str]] = []

    def compare(self, actual: Any, expected: Any, where: str) -> None:
        self._pending.append((actual, expected, where))
        while self._pending:
            self._visit(*self._pending.pop())

    def _later(self, actual: Any, expected: Any, where: str) -> None:
        self._pending.append((actual, expected, where))

    def _visit(self, actual: Any, expected: Any, where: str) -> None:
        self._same_type(type(actual), type(expected), where)
        kind = type(expected)
        if issubclass(kind, _ATOMS):
            assert repr(actual) == repr(expected), f"{where}: {actual!r}, not {expected!r}"
        elif kind is float:
            same = actual == expected or (actual != actual and expected != expected)
            close = same or abs(actual - expected) <= 1e-6 + 1e-5 * abs(expected)
            assert close, f"{where}: {actual}, not {expected}"
        elif kind is str:
            self._same_text(actual, expected, where)
        elif issubclass(kind, _WITHOUT_IDENTITY) or self._first_visit(actual, expected, where):
            self._contents(actual, expected, where)

    def _same_type(self, actual: type, expected: type, where: str) -> None:
        same = actual is expected or (
            # A theme is loaded twice; torch makes classes for parametrized modules.
            actual.__qualname__ == expected.__qualname__
            and (_own(expected.__module__) or actual.__module__ == expected.__module__)
        )
        assert same, f"{where}: {actual}, not {expected}"
        if actual is not expected:
            self._later(actual, expected, f"type({where})")

    def _first_visit(self, actual: Any, expected: Any, where: str) -> bool:
        there, back = self._pairs.get(id(actual)), self._back.get(id(expected))
        if there is None and back is None:
            # The pair keeps both alive, so that an id means one object.
            self._pairs[id(actual)] = self._back[id(expected)] = (actual, expected)
            return True
        assert there is not None, f"{where}: a new object, not one that is met elsewhere too"
        assert back is not None, f"{where}: an object that is met elsewhere too, not a new one"
        assert there[1] is expected and back[0] is actual, f"{where}: another object"
        return False

    def _same_text(self, actual: str, expected: str, where: str) -> None:
        """Digits may differ within a tensor's tolerance; addresses differ."""
        message = f"{where}: {actual!r}, not {expected!r}"
        assert _NUMBER.sub("#", actual) == _NUMBER.sub("#", expected), message
        for a, e in zip(_NUMBER.findall(actual), _NUMBER.findall(expected), strict=True):
            if e.startswith("0x"):
                continue
            last_digit = 10.0 ** -len(e.partition("e")[0].partition(".")[2])
            assert abs(float(a) - float(e)) <= last_digit + 1e-5 * abs(float(e)), message

    def _contents(self, actual: Any, expected: Any, where: str) -> None:
        kind = type(expected)  # and not isinstance, to which an object may lie about itself
        if actual is expected or issubclass(kind, _OPAQUE):
            return
        if issubclass(kind, type):
            self._class(actual, expected, where)
        elif issubclass(kind, Tensor):
            self._tensor(actual, expected, where)
        elif issubclass(kind, np.ndarray):
            assert actual.dtype == expected.dtype, where
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6, err_msg=where)
        elif issubclass(kind, types.FunctionType):
            self._function(actual, expected, where)
        elif issubclass(kind, (types.MethodType, functools.partial)):
            self._callable(actual, expected, where)
        elif issubclass(kind, (types.BuiltinFunctionType, types.WrapperDescriptorType)):
            assert actual.__name__ == expected.__name__, where
        elif issubclass(kind, (tuple, list, collections.deque)):
            self._sequence(actual, expected, where)
        elif issubclass(kind, (dict, types.MappingProxyType)):
            self._dict(actual, expected, where)
        elif issubclass(kind, (set, frozenset)):
            assert len(actual) == len(expected), f"{where}: {actual}, not {expected}"
            if all(isinstance(item, (int, str, float)) for item in expected):
                assert actual == expected, f"{where}: {actual}, not {expected}"
        self._attributes(actual, expected, where)

    def _tensor(self, actual: Tensor, expected: Tensor, where: str) -> None:
        assert actual.layout == expected.layout, f"{where}: layout {actual.layout}"
        if expected.layout != torch.strided:
            assert_same_tensor(actual.to_dense(), expected.to_dense(), where)
            return
        assert_same_tensor(actual, expected, where)
        assert actual.is_leaf == expected.is_leaf, f"{where}: is_leaf {actual.is_leaf}"
        if expected.is_leaf:
            self._later(actual.grad, expected.grad, f"{where}.grad")
        if expected.numel() > 0:
            a, e = (t.untyped_storage().data_ptr() for t in (actual, expected))
            shared = self._storages.setdefault(a, e) == e
            shared_back = self._storages_back.setdefault(e, a) == a
            assert shared and shared_back, f"{where}: shares memory otherwise"

    def _sequence(self, actual: Any, expected: Any, where: str) -> None:
        items, expected_items = (list(type(s).__iter__(s)) for s in (actual, expected))
        length, expected_length = len(items), len(expected_items)
        assert length == expected_length, f"{where}: {length} items, not {expected_length}"
        if isinstance(expected, collections.deque):
            assert actual.maxlen == expected.maxlen, where
        for index, pair in enumerate(zip(items, expected_items, strict=True)):
            self._later(*pair, f"{where}[{index}]")

    def _dict(self, actual: Any, expected: Any, where: str) -> None:
        items, expected_items = list(actual.items()), list(expected.items())
        keys = [key for key, _ in expected_items]
        assert len(items) == len(keys), f"{where}: keys {list(actual)}, not {keys}"
        for (key, value), (expected_key, expected_value) in zip(items, expected_items, strict=True):
            self._later(value, expected_value, f"{where}[{_label(expected_key)}]")
            if "hooks" not in where:  # the keys of hooks are numbered across the process
                self._later(key, expected_key, f"{where}: key {_label(expected_key)}")
        if isinstance(expected, collections.defaultdict):
            self._later(actual.default_factory, expected.default_factory, where)

    def _function(self, actual: Any, expected: Any, where: str) -> None:
        assert actual.__qualname__ == expected.__qualname__, where
        if not _own(expected.__module__):
            return
        name = f"{where} <{expected.__name__}>"
        self._later(actual.__defaults__, expected.__defaults__, f"{name}.__defaults__")
        self._later(actual.__kwdefaults__, expected.__kwdefaults__, f"{name}.__kwdefaults__")
        cells = zip(actual.__closure__ or (), expected.__closure__ or (), strict=True)
        for variable, pair in zip(expected.__code__.co_freevars, cells, strict=True):
            self._later(_content(pair[0]), _content(pair[1]), f"{name}.{variable}")
        named = set(_names(expected.__code__)) & expected.__globals__.keys()
        for variable in sorted(name for name in named if not name.startswith("__")):
            value = actual.__globals__.get(variable, _Missing)
            self._later(value, expected.__globals__[variable], f"global {variable}")

    def _callable(self, actual: Any, expected: Any, where: str) -> None:
        if isinstance(expected, types.MethodType):
            self._later(actual.__func__, expected.__func__, where)
            self._later(actual.__self__, expected.__self__, f"{where}.__self__")
        else:
            for name in ("func", "args", "keywords"):
                self._later(getattr(actual, name), getattr(expected, name), f"{where}.{name}")

    def _class(self, actual: type, expected: type, where: str) -> None:
        assert actual.__qualname__ == expected.__qualname__, where
        if not _own(expected.__module__):
            return
        for name, value in vars(expected).items():
            # What the interpreter keeps in a class is its own business.
            if not (name.startswith(("__", "_abc_")) or isinstance(value, _DESCRIPTORS)):
                self._later(vars(actual).get(name, _Missing), value, f"{where}.{name}")
        extra = vars(actual).keys() ^ vars(expected).keys()
        # CPython makes a class's __annotations__ when somebody asks for them.
        assert not extra - {"__annotations__"}, f"{where}: attributes {extra}"

    def _attributes(self, actual: Any, expected: Any, where: str) -> None:
        if issubclass(type(expected), (type, types.MethodType)):
            return
        for read in (_instance_dict, _slots, _hidden_state):
            actual_state, expected_state = read(actual), read(expected)
            if expected_state or actual_state:
                self._later(actual_state, expected_state, where)


_Missing = type("Missing", (), {})
_DESCRIPTORS = (property, types.MemberDescriptorType, types.GetSetDescriptorType)


def _label(key: Any) -> str:
    """A short name for a dict's key, whose own __repr__ may be hostile."""
    return repr(key) if type(key) in (str, int, float, bool) else type(key).__name__


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _Missing


def _instance_dict(value: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return {name: item for name, item in found.items() if name != "__module__"}


def _slots(value: Any) -> dict[str, Any]:
    found = {}
    for cls in type(value).__mro__:
        for name, member in vars(cls).items():
            if _own(cls.__module__) and isinstance(member, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):
                    found[name] = member.__get__(value, cls)
    return found


def _hidden_state(value: Any) -> dict[str, Any]:
    """What an object of the standard library, numpy or torch keeps beside its attributes."""
    kind = type(value)
    if issubclass(kind, io.StringIO):
        return {"text": value.getvalue(), "position": value.tell()}
    if issubclass(kind, random.Random):
        return {"state": value.getstate()}
    if issubclass(kind, np.random.Generator):
        return {"state": value.bit_generator.state}
    if issubclass(kind, torch.Generator):
        return {"state": value.get_state()}
    if issubclass(kind, functools._lru_cache_wrapper):
        return {"cache": tuple(value.cache_info())}
    if issubclass(kind, BaseException):
        causes = {"cause": value.__cause__, "context": value.__context__}
        return {"args": value.args, "text": str(value), **causes}
    return {}
