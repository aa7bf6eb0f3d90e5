"""The Python values that a traced function can reach and that its graph takes for constants.

A trace records what the function's tensors do; everything else - a module's mode, a learning rate,
a list of layers, a global - is as it was. So that a graph never runs when one of these has changed,
all places that the function's code can reach by name are watched: its closure, the globals that it
and the functions it calls name, the attributes of the objects found there. Library code is taken as
it is.
"""

from __future__ import annotations

import collections
import dis
import functools
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch

# A longer container is data, not structure.
_LONGEST = 4096

_LIBRARIES = tuple(
    {
        sysconfig.get_path(name)
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if sysconfig.get_path(name)
    }
)
_PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    torch.Tensor,
    torch.dtype,
    torch.device,
)

# The last: names of a namespace, or slots of an object.
Place = (
    dict[Any, Any]
    | list[Any]
    | set[Any]
    | collections.deque[Any]
    | types.CellType
    | tuple[Any, tuple[str, ...]]
)
_STORES_GLOBAL = (dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"])


def reachable(fn: Any, args: tuple[Any, ...]) -> list[Place]:
    """Places to watch: whole containers, cells, names of a namespace and slots of an object."""
    walk = _Walk()
    walk.pending += [fn, *args]
    while walk.pending:
        walk.visit(walk.pending.pop())
    return walk.places


def _in_library(file: str | None) -> bool:
    return file is None or file.startswith(("<frozen", *_LIBRARIES))


def _class_in_library(cls: type[Any]) -> bool:
    module = sys.modules.get(cls.__module__)
    return _in_library(getattr(module, "__file__", None)) and cls.__module__ != "__main__"


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _stored_globals(code: types.CodeType) -> Iterator[str]:
    if any(opcode in _STORES_GLOBAL for opcode in code.co_code[::2]):
        for instruction in dis.get_instructions(code):
            if instruction.opcode in _STORES_GLOBAL:
                yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _stored_globals(constant)


def _slots(cls: type) -> tuple[str, ...]:
    return tuple(
        name
        for base in cls.__mro__
        if not _class_in_library(base)
        for name, value in vars(base).items()
        if isinstance(value, types.MemberDescriptorType)
    )


class _Walk:
    def __init__(self) -> None:
        self.places: list[Place] = []
        self.pending: list[Any] = []
        self._seen: dict[int, Any] = {}  # keeps what was seen alive, so that an id means one object

    def visit(self, value: Any) -> None:
        if isinstance(value, _PLAIN) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self.pending += [value.__func__, value.__self__]
        elif isinstance(value, functools.partial):
            self.pending += [value.func, value.args, value.keywords]
        elif isinstance(value, (dict, list)) or type(value) in (set, collections.deque):
            self._container(value)
        elif isinstance(value, (tuple, set, frozenset)):
            if len(value) <= _LONGEST:
                self.pending += value
        elif isinstance(value, (classmethod, staticmethod)):
            self.pending.append(value.__func__)
        elif isinstance(value, property):
            self.pending += [value.fget, value.fset]
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, (torch.nn.Module, torch.optim.Optimizer)) or not _class_in_library(
            type(value)
        ):
            self._object(value)

    def _container(self, value: Any) -> None:
        if len(value) > _LONGEST:
            return
        self.places.append(value)
        self.pending += value.values() if isinstance(value, dict) else value

    def _object(self, value: Any) -> None:
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            self.visit(attributes)
        if slots := _slots(type(value)):
            self.places.append((value, slots))
            self.pending += [getattr(value, name, None) for name in slots]
        self.pending.append(type(value))

    def _class(self, cls: type) -> None:
        if not _class_in_library(cls):
            self.pending += [*vars(cls).values(), *cls.__bases__]

    def _function(self, function: types.FunctionType) -> None:
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.pending.append(wrapped)
        if _in_library(function.__code__.co_filename):
            return
        for cell in function.__closure__ or ():
            self.places.append(cell)
            try:
                self.pending.append(cell.cell_contents)
            except ValueError:
                continue  # not assigned yet
        self.pending += [function.__defaults__, function.__kwdefaults__]
        code = function.__code__
        self._namespace(function.__globals__, set(_names(code)), set(_stored_globals(code)))

    def _namespace(
        self, namespace: dict[str, Any], names: set[str], stored: Iterable[str] = ()
    ) -> None:
        found = sorted(name for name in names if name in namespace)
        made = sorted(name for name in stored if name not in namespace)
        if not found and not made:
            return
        self.places.append((namespace, (*found, *made)))
        for name in found:
            value = namespace[name]
            if isinstance(value, types.ModuleType):
                # `settings.rate`: attributes are among the names too.
                if not _in_library(getattr(value, "__file__", None)):
                    self._namespace(vars(value), names)
            else:
                self.pending.append(value)
