"""Objects with state that nobody can watch from outside, nor put back."""

from __future__ import annotations

import array
import collections
import contextvars
import ctypes
import functools
import io
import queue
import random
import sys
import threading
import types
from typing import Any

import torch


class HiddenState(Exception):
    """The function reaches an object whose state cannot be watched."""


_KINDS: dict[str, tuple[type, ...]] = {
    "a function that keeps its results (functools.cache)": (functools._lru_cache_wrapper,),
    "a coroutine": (types.CoroutineType, types.AsyncGeneratorType),
    "a random generator of its own": (random.Random, torch.Generator),
    "a file": (io.IOBase,),
    "a queue": (queue.Queue, queue.SimpleQueue),
    "a buffer": (bytearray, memoryview, array.array),
    "memory that ctypes gives out": (ctypes.Structure.__mro__[1],),
    "a variable of the thread or the context": (threading.local, contextvars.ContextVar),
}
# The same, of modules that the program may not have imported.
_KINDS_ELSEWHERE: dict[str, tuple[tuple[str, str], ...]] = {
    "a random generator of its own": (
        ("numpy.random", "Generator"),
        ("numpy.random", "BitGenerator"),
        ("numpy.random", "RandomState"),
    ),
    "an array of numpy": (("numpy", "ndarray"),),
    "a queue": (("multiprocessing.queues", "Queue"), ("multiprocessing.queues", "SimpleQueue")),
}
# Which a capture leaves as it found them.
_SHARED_GENERATORS = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))


def refuse(value: Any) -> None:
    """Raise HiddenState for an object that has such state."""
    # Not isinstance: it asks the object, which may answer with code of its own.
    what = _what(type(value))
    if what and not any(value is generator for generator in _imported(_SHARED_GENERATORS)):
        raise HiddenState(f"the function reaches {what}, whose state cannot be watched")


def _what(kind: type) -> str | None:
    for what, classes in _KINDS.items():
        if issubclass(kind, classes):
            return what
    for what, names in _KINDS_ELSEWHERE.items():
        if any(issubclass(kind, cls) for cls in _imported(names)):
            return what
    if any(_advances(base) for base in kind.__mro__):
        return f"an iterator ({kind.__name__})"
    for cls in (set, collections.deque):
        if kind is not cls and issubclass(kind, cls):
            return f"a {cls.__name__} of a class of its own"
    return None


def _imported(names: tuple[tuple[str, str], ...]) -> list[Any]:
    return [getattr(sys.modules[module], name) for module, name in names if module in sys.modules]


def _advances(cls: type) -> bool:
    """An iterator's position is hidden where no Python code of the program's keeps it."""
    method = vars(cls).get("__next__")
    return isinstance(method, types.WrapperDescriptorType)
