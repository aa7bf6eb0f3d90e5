"""What builtins do, as Python, for the walk of a program to go through in their place.

That is where only the run of the graph knows how many items there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def sum_of(items: Iterable[Any], total: Any) -> Any:
    for item in items:
        total = total + item
    return total


def chosen(condition: Any, then: Any, otherwise: Any) -> Any:
    return then if condition else otherwise
