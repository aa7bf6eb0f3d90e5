"""Measures eager and converted calls in turn, so that both see the same machine."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Comparison:
    """Seconds a call. `ratio` is eager's time over Bifront's, with its 10th and 90th percentile."""

    name: str
    eager: float
    bifront: float
    ratio: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def compare(
    name: str,
    eager: Callable[[], object],
    bifront: Callable[[], object],
    *,
    rounds: int = 30,
    repeats: int = 1,
    warmup: int = 4,
) -> Comparison:
    for _ in range(warmup):
        eager()
        bifront()
    gc.collect()
    gc.disable()
    try:
        times = [(seconds(eager, repeats), seconds(bifront, repeats)) for _ in range(rounds)]
    finally:
        gc.enable()
    ratios = sorted(e / b for e, b in times)
    return Comparison(
        name,
        statistics.median(e for e, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(ratios),
        ratios[len(ratios) // 10],
        ratios[-1 - len(ratios) // 10],
    )
