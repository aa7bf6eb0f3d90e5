"""Code without source, which CPython runs as it is in the place of a walk: what it may name.

A walk sees what code reads and does. Of code that it cannot go through all that it reaches must be
known: Python's values, which are watched, and functions that change nothing and look at nothing but
what they are given.
"""

from __future__ import annotations

import builtins
import dis
import sys
import types
from collections.abc import Iterable
from typing import Any

import torch

from bifront import _hidden_state
from bifront._reachable_state import Place, Walk, in_library

# Of the builtin functions, those that change something or look at more than what they are given.
_TELLING_BUILTINS = frozenset(
    (
        "__import__",
        "breakpoint",
        "compile",
        "delattr",
        "dir",
        "eval",
        "exec",
        "globals",
        "id",
        "input",
        "locals",
        "open",
        "print",
        "setattr",
        "vars",
    )
)
# Whose methods tell of nothing but the object, which is watched.
_PURE_TYPES = (type, str, bytes, int, float, tuple, list, dict, set, frozenset)
_IMPORTS = (dis.opmap["IMPORT_NAME"], dis.opmap["IMPORT_FROM"])
_PURE_MODULES = frozenset(
    (
        "_abc",
        "_bisect",
        "_collections",
        "_functools",
        "_operator",
        "abc",
        "bisect",
        "cmath",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "itertools",
        "math",
        "operator",
        "torch",
        "typing",
    )
)


def reached(fn: Any, args: tuple[Any, ...]) -> list[Place]:
    """Places to watch; raises HiddenState where the code may ask or do what nobody sees."""
    return _Strict().watched_from(fn, *args)


class _Strict(Walk):
    """Code that CPython runs as it is, in the place of a walk: each name of it is known."""

    def _hidden(self, value: Any) -> None:
        super()._hidden(value)
        if isinstance(value, torch.nn.Module):
            raise _hidden_state.HiddenState("a module is run by code without source")

    def _function(self, function: types.FunctionType) -> None:
        if any(opcode in _IMPORTS for opcode in function.__code__.co_code[::2]):
            raise _hidden_state.HiddenState("code without source imports")
        super()._function(function)

    def _namespace(
        self, namespace: dict[str, Any], names: set[str], stored: Iterable[str] = ()
    ) -> None:
        for name in names:
            if name in namespace:
                self._known(namespace[name], names)
        super()._namespace(namespace, names, stored)
        others = {name for name in names if name not in namespace and hasattr(builtins, name)}
        if others and namespace is not vars(builtins):
            self._namespace(vars(builtins), others)

    def _known(self, value: Any, names: set[str]) -> None:
        if isinstance(value, types.ModuleType):
            if id(value) not in self._seen:
                self._seen[id(value)] = value
                self._namespace(vars(value), names)
            return
        if isinstance(value, types.MethodType):
            value = value.__func__
        if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return
        if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, _PURE_TYPES):
            return
        module = value.__module__ or ""
        known = (
            value.__name__ not in _TELLING_BUILTINS
            if module == "builtins"
            else module.split(".")[0] in _PURE_MODULES
        )
        of_library = isinstance(value, types.BuiltinFunctionType) or in_library(
            getattr(sys.modules.get(module), "__file__", None)
        )
        if of_library and not known and module != "__main__":
            raise _hidden_state.HiddenState(
                f"calls {module}.{value.__qualname__}, of which nothing is known"
            )
