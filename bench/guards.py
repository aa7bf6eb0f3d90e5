"""What the guards of Python's values cost per call: `python -m bench.guards`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor


class Layer:
    def __init__(self, width: int) -> None:
        self.width = width
        self.mode = "plain"


def reader(layers: list[Layer]) -> Callable[[Tensor], Tensor]:
    def step(x: Tensor) -> Tensor:
        for layer in layers:
            if layer.width < 0 or layer.mode == "other":
                return x
        return x + 1

    return step


def nanoseconds(step: Callable[..., Any], x: Tensor, repeats: int = 500) -> float:
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(repeats):
            step(x)
        best = min(best, (time.perf_counter() - start) / repeats)
    return best * 1e9


def main() -> None:
    x = torch.ones(3)
    costs = {}
    for count in (1, 201):
        step = bifront.function(reader([Layer(i) for i in range(count)]))
        for _ in range(3):
            step(x)
        assert step.stats["graph_calls"] == 2, bifront.explain(step)
        costs[count] = nanoseconds(step, x)
    each = (costs[201] - costs[1]) / 200
    print(
        f"a call with one object: {costs[1]:.0f} ns; "
        f"each further object, two attributes: {each:.1f} ns"
    )


if __name__ == "__main__":
    main()
