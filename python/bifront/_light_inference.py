"""torch's inference of shapes in Python, without what torch.compile needs for it.

Some ops have theirs from Python only. At its first use it imports sympy and torch.compile, which
takes two seconds, for questions that plain sizes answer themselves: while a capture asks for
shapes, these imports give what answers them.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bifront import _core

_kept: list[Any] = []


def checking(original: Callable[..., None]) -> Callable[..., None]:
    """For `torch._check_with`: only symbolic conditions need the import."""

    def check_with(error: type[BaseException], condition: Any, message: Any) -> None:
        if condition is not True:
            original(error, condition, message)

    return check_with


def importing(original: Callable[..., Any]) -> Callable[..., Any]:
    """For `__import__`."""

    def import_known(name: str, *arguments: Any, **keywords: Any) -> Any:
        importer = arguments[0].get("__name__") if arguments and arguments[0] else None
        asked = name in _KNOWN and name not in sys.modules and importer in _IMPORTERS
        if asked and _core.capture_infers():
            known = _Known(name)
            return types.SimpleNamespace(_dynamo=known) if name == "torch._dynamo" else known
        return original(name, *arguments, **keywords)

    return import_known


def forget() -> None:
    """torch.compile is asked again, once it is there."""
    while _kept:
        vars(_kept.pop()).pop("__dynamo_disable", None)


def _as_it_is(function: Any, *_: Any, **__: Any) -> Any:
    _kept.append(function)
    return function


def _itself(plain: Any) -> Any:
    return plain


def _all_of(*conditions: bool) -> bool:
    return all(conditions)


def _any_of(*conditions: bool) -> bool:
    return any(conditions)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return tuple(one) == tuple(other)
    return bool(one == other)


class _Nothing:
    """No object is one."""


class _Known:
    """A module of which a few names are enough; for another it is imported."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        known = _KNOWN[self._module]
        return known[name] if name in known else getattr(import_module(self._module), name)


# Loaded long since: what they import now, a function does, and no module keeps it.
_IMPORTERS = {
    "torch._compile",
    "torch._decomp.decompositions",
    "torch._meta_registrations",
    "torch._prims",
    "torch._prims_common",
    "torch._refs",
    "torch._refs.linalg",
    "torch._refs.nn.functional",
}
_KNOWN: dict[str, dict[str, Any]] = {
    "sympy": {"Basic": _Nothing},
    "torch._dynamo": {"disable": _as_it_is},
    "torch.fx.experimental.symbolic_shapes": {
        "expect_true": _itself,
        "guard_or_false": _itself,
        "guard_or_true": _itself,
        "guard_size_oblivious": _itself,
        "guarding_hint_or_throw": _itself,
        "has_guarding_hint": lambda size: True,
        "is_nested_int": lambda size: False,
        "statically_known_true": _itself,
        "sym_and": _all_of,
        "sym_eq": _equal,
        "sym_or": _any_of,
    },
}
