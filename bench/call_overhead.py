"""What a call costs of a converted function that CPython runs, beside eager's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bifront
import torch

CALLS, ROUNDS = 20_000, 15


def given_up_after_its_graphs() -> Callable[..., Any]:
    """Each argument is another: eight graphs, then none."""
    converted = bifront.function(named)
    for call in range(400):
        converted(f"{call}", None)
    assert "TooManyGraphs" in converted.stats["exits"]
    return converted


def never_converted() -> Callable[..., Any]:
    converted = bifront.function(printing)
    for _ in range(100):
        converted("a", None)
    assert converted.stats["graph_calls"] == 0
    return converted


def named(name: str, x: Any) -> Any:
    return {name: x}


def printing(name: str, x: Any) -> Any:
    vars(torch).get(name)
    return torch.get_rng_state is x


def seconds(function: Callable[..., Any]) -> float:
    """Of a call: the least of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            function("x", None)
        best = min(best, (time.perf_counter() - start) / CALLS)
    return best


def main() -> None:
    print("| function | eager | converted | overhead |\n|---|---|---|---|")
    for make, eager in ((given_up_after_its_graphs, named), (never_converted, printing)):
        before, after = seconds(eager), seconds(make())
        name = make.__name__.replace("_", " ")
        cells = [f"{1e6 * value:.2f} us" for value in (before, after, after - before)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
