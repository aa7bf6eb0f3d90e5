"""The Python values that a traced function can reach and that its graph takes for constants.

A trace records what the function's tensors do; everything else - a module's mode, a learning rate,
a list of layers, a global - is as it was. So that a graph never runs when one of these has changed,
all places that the function's code can reach by name are watched: its closure, the globals that it
and the functions it calls name, the attributes of the objects found there. Library code is taken as
it is; objects of its classes are watched like others. An object that cannot be watched is refused.
"""

from __future__ import annotations

import collections
import contextlib
import dis
import functools
import gc
import logging
import sys
import sysconfig
import types
import warnings
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bifront import _core, _hidden_state

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
    torch.dtype,
    torch.device,
)

# The last: names of a namespace, slots of an object or attributes of a class.
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
    """Places to watch: containers, cells, names of a namespace, slots, attributes of classes."""
    return Walk().watched_from(fn, *args)


def reached_by_call(*objects: Any) -> dict[Any, Any]:
    """What a call of these, given each other, may see: by address, and names of namespaces."""
    walk = _Reach()
    walk.go_from(*objects, *_hearers())
    reached: dict[Any, Any] = walk.seen()
    for place in walk.places:
        if isinstance(place, tuple) and isinstance(place[0], dict):
            reached.update(((id(place[0]), name), None) for name in place[1])
        elif isinstance(place, types.CellType):
            reached[id(place)] = place
    return reached


def _hearers() -> list[Any]:
    """Of what any call may print or warn."""
    streams = [getattr(stream, "_guarded", stream) for stream in (sys.stdout, sys.stderr)]
    return [*streams, *(vars(warnings)[name] for name in ("showwarning", "_showwarnmsg_impl"))]


def in_library(file: str | None) -> bool:
    return file is None or file.startswith(("<frozen", *_LIBRARIES))


def _class_in_library(cls: type[Any]) -> bool:
    module = sys.modules.get(cls.__module__)
    return in_library(getattr(module, "__file__", None)) and cls.__module__ != "__main__"


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
        if "__slots__" in vars(base)
        for name, value in vars(base).items()
        if isinstance(value, types.MemberDescriptorType)
    )


_CONTAINERS: tuple[Any, ...] = (dict, list, set, collections.deque)
# Objects of libraries that are code, or caches of it.
_LIBRARY_CODE = (
    types.ModuleType,
    torch._ops.OperatorBase,
    torch._ops.OpOverloadPacket,
    torch.jit.ScriptFunction,
)


_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    property,
    classmethod,
    staticmethod,
    functools.cached_property,
)


class Walk:
    def __init__(self) -> None:
        self.places: list[Place] = []
        self.pending: list[Any] = []
        self._named: set[str] = set()  # in any of the code
        self._of_own_classes: list[Any] = []
        self._seen: dict[int, Any] = {}  # keeps what was seen alive, so that an id means one object

    def go_from(self, *values: Any) -> None:
        self.pending += values
        while self.pending:
            self.visit(self.pending.pop())

    def watched_from(self, *values: Any) -> list[Place]:
        self.go_from(*values)
        return self.places + self.classes()

    def visit(self, value: Any) -> None:
        kind = type(value)  # and not isinstance, to which an object may answer with its own code
        if issubclass(kind, _PLAIN) and _class_in_library(kind):
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if issubclass(kind, torch.Tensor):
            self._tensor(value)
        elif issubclass(kind, types.FunctionType):
            self._function(value)
        elif issubclass(kind, types.MethodType):
            self.pending += [value.__func__, value.__self__]
        elif issubclass(kind, (types.BuiltinFunctionType, types.MethodWrapperType)):
            self.pending.append(value.__self__)  # `append = history.append`
        elif issubclass(kind, functools.partial):
            self.pending += [value.func, value.args, value.keywords]
        elif issubclass(kind, (dict, list)) or kind in _CONTAINERS:
            self._container(value)
            if not _class_in_library(kind):
                self._object(value)
        elif issubclass(kind, (tuple, frozenset)):
            if len(value) <= _LONGEST:
                self.pending += value
            if not _class_in_library(kind):
                self._object(value)
        elif issubclass(kind, weakref.ref):
            self.pending.append(value())
        elif issubclass(kind, types.MappingProxyType):
            self.pending += gc.get_referents(value)
        elif issubclass(kind, (classmethod, staticmethod)):
            self.pending.append(value.__func__)
        elif issubclass(kind, property):
            self.pending += [value.fget, value.fset, value.fdel]
        elif issubclass(kind, type):
            self._class(value)
        elif issubclass(kind, logging.Logger):
            self._logger(value)
        elif not issubclass(kind, _LIBRARY_CODE):
            self._hidden(value)
            self._object(value)

    def _hidden(self, value: Any) -> None:
        _hidden_state.refuse(value)

    def _container(self, value: Any) -> None:
        # A subclass may count and iterate in its own way.
        kind = next(kind for kind in _CONTAINERS if issubclass(type(value), kind))
        short = kind.__len__(value) <= _LONGEST
        if short or kind is dict:  # which has a number that says whether it has changed
            self.places.append(value)
        if short:
            self.pending += kind.__iter__(value)
            if kind is dict:
                self.pending += dict.values(value)

    def _object(self, value: Any) -> None:
        cls = type(value)
        self._attributes(value)
        if slots := _slots(cls):
            self.places.append((value, slots))
            for name in slots:
                with contextlib.suppress(AttributeError):  # not assigned yet
                    self.pending.append(object.__getattribute__(value, name))
        if cls is _core.ConvertedFunction:
            self.pending.append(value.__wrapped__)
        if not _class_in_library(cls):
            self.pending.append(cls)
            if not any("__class__" in vars(base) for base in cls.__mro__[:-1]):
                self._of_own_classes.append(value)

    def _attributes(self, value: Any) -> None:
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        if isinstance(attributes, dict):
            self.visit(attributes)

    def _tensor(self, tensor: torch.Tensor) -> None:
        """Any tensor can have attributes, and hardly one does."""
        if not _class_in_library(type(tensor)):
            self._object(tensor)
        elif object.__getattribute__(tensor, "__dict__"):
            self._attributes(tensor)

    def classes(self) -> list[Place]:
        """The classes of objects, where some of the code may give them another."""
        if "__class__" not in self._named:
            return []
        return [(value, ("__class__",)) for value in self._of_own_classes]

    def _logger(self, logger: logging.Logger) -> None:
        """Whether it is silent counts; what it says is seen when it says it."""
        self.places.append((vars(logger), ("level", "disabled", "propagate", "parent")))
        self.pending.append(logger.parent)

    def _class(self, cls: type) -> None:
        if _class_in_library(cls):
            return
        attributes = type.__dict__["__dict__"].__get__(
            cls
        )  # whatever the class makes of `__dict__`
        self.pending += [*attributes.values(), *cls.__bases__, type(cls)]
        data = tuple(
            name
            for name, value in attributes.items()
            if not (name.startswith(("__", "_abc_")) or issubclass(type(value), _DESCRIPTORS))
        )
        if data:
            self.places.append((cls, data))

    def _function(self, function: types.FunctionType) -> None:
        if function.__dict__ or not in_library(function.__code__.co_filename):
            self.visit(function.__dict__)  # with `__wrapped__`
        if in_library(function.__code__.co_filename):
            return
        for cell in function.__closure__ or ():
            self.places.append(cell)
            try:
                self.pending.append(cell.cell_contents)
            except ValueError:
                continue  # not assigned yet
        self.pending += [function.__defaults__, function.__kwdefaults__]
        code = function.__code__
        names = set(_names(code))
        self._named |= names
        self._namespace(function.__globals__, names, set(_stored_globals(code)))

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
                if not in_library(getattr(value, "__file__", None)):
                    self._namespace(vars(value), names)
            else:
                self.pending.append(value)


class _Reach(Walk):
    """Nothing is watched, so that nothing has to be: what C holds is asked of the collector."""

    def seen(self) -> dict[Any, Any]:
        return self._seen

    def _container(self, value: Any) -> None:
        self.pending += gc.get_referents(value)

    def _logger(self, logger: logging.Logger) -> None:
        super()._logger(logger)
        self.pending += [logger.handlers, logger.filters]

    def _hidden(self, value: Any) -> None:
        self.pending += (
            held for held in gc.get_referents(value) if not isinstance(held, types.ModuleType)
        )
