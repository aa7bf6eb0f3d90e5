"""The demo: three training steps in eager PyTorch and as Bifront graphs, side by side."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import bifront
import torch

from programs.foundation import PROGRAMS


@dataclass
class Row:
    name: str
    conversion: float
    eager: float
    graph: float
    spread: tuple[float, float]
    same: bool
    graphs: int


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, steps: int) -> Row:
    """Train the same program twice from one seed, a step of each in turn."""

    eager, traced = PROGRAMS[name](0, "adam"), PROGRAMS[name](0, "adam")
    convert = bifront.trace(traced.step)
    batches = [eager.batch(32, seed) for seed in range(4)]
    losses: list[tuple[float, float]] = []
    times: list[tuple[float, float]] = []
    for i in range(steps):
        batch = batches[i % len(batches)]
        results: list[torch.Tensor] = []
        random_state = torch.get_rng_state()
        t_eager = seconds(lambda: results.append(eager.step(*batch)))
        torch.set_rng_state(random_state)  # both draw the same dropout masks
        t_graph = seconds(lambda: results.append(convert(*batch)))
        losses.append((results[0].item(), results[1].item()))
        times.append((t_eager, t_graph))
        if sys.stdout.isatty() or i + 1 == steps:  # a log wants the last line only
            print(
                f"\r{name:12} step {i + 1}/{steps}  eager {losses[-1][0]:.6f}  "
                f"bifront {losses[-1][1]:.6f}",
                end="",
                flush=True,
            )
    print()
    warm = times[3:]
    ratios = sorted(e / g for e, g in warm)
    stats = convert.stats
    return Row(
        name,
        stats["conversion_seconds"],
        statistics.median(e for e, _ in warm),
        statistics.median(g for _, g in warm),
        (ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]),
        all(abs(e - g) <= 1e-4 * max(1.0, abs(e)) for e, g in losses),
        stats["graphs"],
    )


def main() -> int:
    torch.set_num_threads(1)
    rows = [
        compare("mlp", 60),
        compare("lenet", 60),
        compare("transformer", 40),
    ]
    print(
        f"\n{'program':12} {'graphs':>6} {'convert s':>10} {'eager ms':>9} {'bifront ms':>10} "
        f"{'speedup':>8} {'10%..90%':>13}  same losses"
    )
    for row in rows:
        spread = f"{row.spread[0]:.2f}..{row.spread[1]:.2f}"
        print(
            f"{row.name:12} {row.graphs:6} {row.conversion:10.3f} {row.eager * 1e3:9.3f} "
            f"{row.graph * 1e3:10.3f} {row.eager / row.graph:8.2f} {spread:>13}  "
            f"{'yes' if row.same else 'NO'}"
        )
    return 0 if all(row.same and row.graphs == 1 for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
