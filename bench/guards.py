"""What the guards of each kind of Python value cost a call: `python -m bench.guards`.

A function that reads few values of a kind and one that reads many are converted; what calls of the
second take longer, over the guards that it has more, is what one costs. `fits` asks all guards and
runs nothing.
"""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import bifront
import torch
from torch import Tensor, nn

MOST = 20  # nanoseconds a guard
FEW, MANY = 1, 201

Step = Callable[[Tensor], Tensor]


class Layer:
    def __init__(self, width: int) -> None:
        self.width = width

    def grown(self) -> int:
        return self.width + 1


def attributes(count: int) -> tuple[Step, int]:
    """The class, its attribute that might be a descriptor, and the value."""
    layers = [Layer(i) for i in range(count)]

    def step(x: Tensor) -> Tensor:
        for layer in layers:
            if layer.width < 0:
                return x
        return x + 1

    return step, 1


def methods(count: int) -> tuple[Step, int]:
    """A class of its own each: its method, the method's code, and the attribute that this reads."""
    layers = [type(f"Layer{i}", (Layer,), {})(i) for i in range(count)]

    def step(x: Tensor) -> Tensor:
        for layer in layers:
            if layer.grown() < 0:
                return x
        return x + 1

    return step, 2


def items_of_a_list(count: int) -> tuple[Step, int]:
    widths = [10_000 + i for i in range(count)]

    def step(x: Tensor) -> Tensor:
        for width in widths:
            if width < 0:
                return x
        return x + 1

    return step, 1


def items_of_a_dict(count: int) -> tuple[Step, int]:
    widths = {f"layer{i}": i for i in range(count)}

    def step(x: Tensor) -> Tensor:
        for name in widths:
            if widths[name] < 0:
                return x
        return x + 1

    return step, 1


def lengths(count: int) -> tuple[Step, int]:
    rows: list[list[int]] = [[] for _ in range(count)]

    def step(x: Tensor) -> Tensor:
        for row in rows:
            if len(row) > 0:
                return x
        return x + 1

    return step, 1


def names_of_globals(count: int) -> tuple[Step, int]:
    """Each is one name of the function's, and an item of one dict."""
    space: dict[str, Any] = {}
    text = "".join(f"G{i} = {i}\n" for i in range(count))
    text += "def step(x):\n" + "".join(f"    if G{i} < 0: return x\n" for i in range(count))
    filename = f"<{count} globals>"
    keep_source(filename, text + "    return x + 1\n")
    exec(compile(text + "    return x + 1\n", filename, "exec"), space)
    return space["step"], 1


def keep_source(filename: str, text: str) -> None:
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def flags_of_modules(count: int) -> tuple[Step, int]:
    """Of an identity: its class, `training` is read, hooks of four kinds are empty."""
    modules = nn.ModuleList(nn.Identity() for _ in range(count))

    def step(x: Tensor) -> Tensor:
        for module in modules:
            if not module.training:
                return x
        return x + 1

    return step, 1


def tensors(count: int) -> tuple[Step, int]:
    """Of a parameter: the object, its dtype, shape, strides, device, requires_grad."""
    parameters = nn.ParameterList(nn.Parameter(torch.ones(2)) for _ in range(count))

    def step(x: Tensor) -> Tensor:
        for parameter in parameters:
            if not parameter.requires_grad:
                return x
        with torch.no_grad():
            return x + parameters[0][0]

    return step, 6


KINDS: dict[str, Callable[[int], tuple[Step, int]]] = {
    "attributes of objects": attributes,
    "methods of classes": methods,
    "items of a list": items_of_a_list,
    "items of a dict": items_of_a_dict,
    "lengths of lists": lengths,
    "globals": names_of_globals,
    "flags of modules": flags_of_modules,
    "tensors": tensors,
}


def nanoseconds(call: Callable[..., Any], arguments: Sequence[Any], repeats: int = 500) -> float:
    best = float("inf")
    for _ in range(20):
        start = time.thread_time()
        for _ in range(repeats):
            call(*arguments)
        best = min(best, (time.thread_time() - start) / repeats)
    return best * 1e9


def cost_of_one(make: Callable[[int], tuple[Step, int]]) -> float:
    x = torch.ones(3)
    costs = []
    for count in (FEW, MANY):
        function, guards = make(count)
        step = bifront.function(function)
        for _ in range(3):
            step(x)
        assert step.stats["graph_calls"] == 2, bifront.explain(step)
        assert step.fits(x)
        costs.append(nanoseconds(step.fits, [x]))
    return (costs[1] - costs[0]) / (MANY - FEW) / guards


def main() -> None:
    beyond = False
    for name, make in KINDS.items():
        cost = cost_of_one(make)
        beyond |= cost > MOST
        print(f"{name:24} {cost:6.1f} ns each")
    sys.exit(1 if beyond else 0)


if __name__ == "__main__":
    main()
