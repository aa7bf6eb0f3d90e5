"""What builtins do, as Python: the walk of a program goes through these in their place where only the run of the graph
knows how many items there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def sum_of(items: Iterable[Any], total: Any) -> Any:
    for item in items:
        total = total + item
    return total
