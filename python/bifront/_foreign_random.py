"""The states of random generators that are not PyTorch's: Python's own and numpy's."""

from __future__ import annotations

import random
import sys
from typing import Any


def states() -> tuple[Any, Any]:
    """Numpy's is None where nobody has imported it."""
    numpy = sys.modules.get("numpy.random")
    return random.getstate(), numpy.get_state() if numpy else None


def _same(one: Any, other: Any) -> bool:
    return all(map(_array_equal, one, other))


def _array_equal(one: Any, other: Any) -> bool:
    equal = one == other
    return bool(equal.all() if hasattr(equal, "all") else equal)


def restore(before: tuple[Any, Any]) -> bool:
    """Whether they had moved."""
    python, numpy = before
    moved = False
    if random.getstate() != python:
        random.setstate(python)
        moved = True
    if numpy is not None:
        generator = sys.modules["numpy.random"]
        if not _same(generator.get_state(), numpy):
            generator.set_state(numpy)
            moved = True
    return moved
