"""What CPython does in C, as Python, for the walk of a program to go through in its place.

That is where only the run of the graph knows how many items there are, or where the program's own
methods are called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map

from bifront import _transforms


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


def adaptive_avg_pool2d(tensor: torch.Tensor, sizes: Any) -> torch.Tensor:
    """`torch._C._nn.adaptive_avg_pool2d` of what is contiguous."""
    height, width = sizes
    if height == 1 and width == 1:
        return tensor.mean((-1, -2), keepdim=True)
    return torch._adaptive_avg_pool2d(tensor, sizes)


def upsampled(
    function: Callable[..., torch.Tensor], tensor: torch.Tensor, sizes: Any, *others: Any
) -> torch.Tensor:
    """What `function` of `torch._C._nn` makes of it, whose C++ multiplies no sizes of graphs."""
    *alignment, factors = others
    if factors is None:
        return function(tensor, sizes, *alignment)
    sizes = [int(size * factor) for size, factor in zip(tensor.shape[2:], factors, strict=True)]
    return function(tensor, sizes, *alignment, *factors)


# The C functions of heapq, for lists alone.


def heappush(heap: list[Any], item: Any) -> None:
    heap.append(item)
    _sift_down(heap, 0, len(heap) - 1, False)


def heappop(heap: list[Any]) -> Any:
    return _popped(heap, False)


def _heappop_max(heap: list[Any]) -> Any:
    return _popped(heap, True)


def heapreplace(heap: list[Any], item: Any) -> Any:
    return _replaced(heap, item, False)


def _heapreplace_max(heap: list[Any], item: Any) -> Any:
    return _replaced(heap, item, True)


def heappushpop(heap: list[Any], item: Any) -> Any:
    if heap and heap[0] < item:
        item, heap[0] = heap[0], item
        _sift_up(heap, 0, False)
    return item


def heapify(heap: list[Any]) -> None:
    for place in reversed(range(len(heap) // 2)):
        _sift_up(heap, place, False)


def _heapify_max(heap: list[Any]) -> None:
    for place in reversed(range(len(heap) // 2)):
        _sift_up(heap, place, True)


def _popped(heap: list[Any], is_greatest: bool) -> Any:
    if not heap:
        raise IndexError("index out of range")
    last = heap.pop()
    if not heap:
        return last
    first, heap[0] = heap[0], last
    _sift_up(heap, 0, is_greatest)
    return first


def _replaced(heap: list[Any], item: Any, is_greatest: bool) -> Any:
    if not heap:
        raise IndexError("index out of range")
    first, heap[0] = heap[0], item
    _sift_up(heap, 0, is_greatest)
    return first


def _comes_first(one: Any, other: Any, is_greatest: bool) -> Any:
    return other < one if is_greatest else one < other


def _sift_down(heap: list[Any], start: int, place: int, is_greatest: bool) -> None:
    """What is at `place` goes towards `start`, as far as it comes first."""
    while place > start:
        above = (place - 1) >> 1
        if not _comes_first(heap[place], heap[above], is_greatest):
            return
        heap[place], heap[above] = heap[above], heap[place]
        place = above


def _sift_up(heap: list[Any], place: int, is_greatest: bool) -> None:
    """What is at `place` goes to the end, the way of those that come first, and back."""
    start, end = place, len(heap)
    while 2 * place + 1 < end:
        child = 2 * place + 1
        if child + 1 < end and not _comes_first(heap[child], heap[child + 1], is_greatest):
            child += 1
        heap[place], heap[child] = heap[child], heap[place]
        place = child
    _sift_down(heap, start, place, is_greatest)


# torch.func's gradients; its vmap batches the graph's tensors by itself.


def grad_and_value(
    func: Callable[..., Any],
    argnums: Any,
    has_aux: bool,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any, Any]:
    tracked = torch.is_grad_enabled()
    numbers = _transforms.numbers_of(argnums, len(args))
    with torch.enable_grad():
        given, leaves = _differentiated(args, numbers, tracked)
        output, aux = _transforms.output_of(func(*given, **kwargs), has_aux)
        found = list(_transforms.gradients(output, leaves, tracked))
        gradients = _of_arguments(found, args, numbers, argnums)
        output = _transforms.settled(output, leaves, tracked)
        if has_aux:
            aux = _settled(aux, leaves, tracked)
    return gradients, (output, aux) if has_aux else output


def vjp_with_argnums(
    func: Callable[..., Any], *primals: Any, argnums: Any = None, has_aux: bool = False
) -> Any:
    tracked = torch.is_grad_enabled()
    everything = tuple(range(len(primals)))
    numbers = _transforms.numbers_of(everything if argnums is None else argnums, len(primals))
    with torch.enable_grad():
        given, leaves = _differentiated(primals, numbers, tracked)
        output, aux = _transforms.output_of(func(*given), has_aux, scalar=False)
        outputs, spec = tree_flatten(output)
        result = _settled(output, leaves, tracked)
        if has_aux:
            aux = _settled(aux, leaves, tracked)

    def products(
        cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> Any:
        if create_graph is None:
            create_graph = torch.is_grad_enabled()
        flat, form = tree_flatten(cotangents)
        _transforms.require_same(form, spec)
        found = list(
            _transforms.products(tuple(outputs), leaves, tuple(flat), retain_graph, create_graph)
        )
        return _of_arguments(found, primals, numbers, argnums)

    return (result, products, aux) if has_aux else (result, products)


def _differentiated(
    args: tuple[Any, ...], numbers: tuple[int, ...], tracked: bool
) -> tuple[list[Any], list[torch.Tensor]]:
    """What the function is given, and what is differentiated of it."""
    given, leaves = list(args), []

    def own(argument: Any) -> torch.Tensor:
        leaf, inside = _transforms.own(argument, tracked)
        leaves.append(leaf)
        return inside

    for number in numbers:
        given[number] = tree_map(own, args[number])
    return given, leaves


def _of_arguments(
    found: list[torch.Tensor], args: tuple[Any, ...], numbers: tuple[int, ...], argnums: Any
) -> Any:
    """In the form of the arguments that they are the gradients of."""
    parts = [tree_map(lambda _: found.pop(0), args[number]) for number in numbers]
    return parts[0] if isinstance(argnums, int) else tuple(parts)


def _settled(tree: Any, leaves: list[torch.Tensor], tracked: bool) -> Any:
    return tree_map(lambda value: _transforms.settled(value, leaves, tracked), tree)
