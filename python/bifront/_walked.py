"""What CPython does in C, as Python, for the walk of a program to go through in its place.

That is where only the run of the graph knows how many items there are, or where the program's own
methods are called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any


def sum_of(items: Iterable[Any], total: Any) -> Any:
    for item in items:
        total = total + item
    return total


def listed(items: Iterable[Any]) -> list[Any]:
    return [item for item in items]  # noqa: C416 (a loop that the graph counts)


def extreme_of(items: Iterable[Any], best: Any, is_least: bool) -> Any:
    """Of items the first of which is `best`."""
    for item in items:
        if item < best if is_least else item > best:
            best = item
    return best


def items_of_mapping(mapping: Any, keys_first: bool) -> list[tuple[Any, Any]]:
    keys = mapping.keys()
    if keys_first:
        keys = list(keys)
    return [(key, mapping[key]) for key in keys]


def cached_value(cached: Any, instance: Any) -> Any:
    """`functools.cached_property.__get__`, without the lock that CPython 3.12 has no more."""
    values = vars(instance)
    if cached.attrname not in values:
        values[cached.attrname] = cached.func(instance)
    return values[cached.attrname]


def is_nothing_handled(_: None) -> bool:
    return sys.exc_info() == (None, None, None)


def chosen(condition: Any, then: Any, otherwise: Any) -> Any:
    return then if condition else otherwise


def items_by_number(items: Any) -> Iterator[Any]:
    """Of an object with `__getitem__` and no `__iter__`."""
    number = 0
    while True:
        try:
            item = items[number]
        except (IndexError, StopIteration):
            return
        yield item
        number += 1


def sorted_places(keys: tuple[Any, ...], is_reversed: bool) -> list[int]:
    """Which of up to 63 keys comes where, by the comparisons that CPython makes for that."""
    order = list(range(len(keys)))
    if is_reversed:
        order.reverse()
    if len(order) < 2:
        return order
    # The run that they begin with.
    ordered = 2
    if keys[order[1]] < keys[order[0]]:
        while ordered < len(order) and keys[order[ordered]] < keys[order[ordered - 1]]:
            ordered += 1
        order[:ordered] = order[:ordered][::-1]
    else:
        while ordered < len(order) and not keys[order[ordered]] < keys[order[ordered - 1]]:
            ordered += 1
    for place in range(ordered, len(order)):
        pivot = order.pop(place)
        low, high = 0, place
        while low < high:
            middle = (low + high) // 2
            if keys[pivot] < keys[order[middle]]:
                high = middle
            else:
                low = middle + 1
        order.insert(low, pivot)
    if is_reversed:
        order.reverse()
    return order
