"""What safety costs of a converted training step: `python -m bench.safety_cost [lenet] [treelstm]`.

All that is asked before a graph runs (arguments, modes, Python's values, tensors, aliasing) is
timed by `fits`, which asks it and runs nothing. What is asked while it runs are assertions: each is
a comparison of a number that the graph has computed anyway. Their number a step is counted by the
mode that fails checks on purpose, in a process of its own, and that of one is measured on a graph
of many.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import bifront
import torch
from bifront import _core
from torch import Tensor

# Of a step, at most.
BOUNDS = {"lenet": 0.03, "treelstm": 0.05}
ASSERTIONS = 40


def best_seconds(call: Callable[[], Any], rounds: int, repeats: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def converted(name: str, size: str) -> tuple[Any, tuple[Any, ...]]:
    program = importlib.import_module(f"programs.janus.{name}.train").build(0, size)
    step = bifront.function(program.step)
    batches = program.batches()
    for _ in range(8):
        inputs = next(batches)
        step(*inputs)
    assert step.fits(*inputs), bifront.explain(step)
    return step, inputs


def count_assertions(name: str, size: str) -> int:
    """In this process, which BIFRONT_FAIL_ON_PURPOSE has been set for."""
    step, inputs = converted(name, size)
    counts = []
    for call in (step, step.fits):
        _core.fail_nth("check", 0)
        call(*inputs)
        counts.append(_core.events_seen())
    return counts[0] - counts[1]


def counted_elsewhere(name: str, size: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "bench.safety_cost", name, "--size", size, "--count"],
        env={**os.environ, "BIFRONT_FAIL_ON_PURPOSE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def many(x: Tensor, asserted: bool) -> Tensor:
    total = x.sum()
    for number in range(ASSERTIONS):
        total = total * 1.0001 + number
        if asserted and total < -1:
            return total
    return total


def seconds_of_an_assertion() -> float:
    """With the comparison, and the number taken out of its tensor, which only it needs here."""
    x = torch.ones(3)
    seconds = []
    for asserted in (True, False):
        step = bifront.function(lambda x, asserted=asserted: many(x, asserted))
        for _ in range(3):
            step(x)
        assert step.stats["graph_calls"] == 2, bifront.explain(step)
        assert (len(step.assumptions) >= ASSERTIONS) == asserted, len(step.assumptions)
        seconds.append(best_seconds(lambda step=step: step(x), 30, 20))  # type: ignore[misc]
    return max(seconds[0] - seconds[1], 0.0) / ASSERTIONS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=list(BOUNDS))
    parser.add_argument("--size", default="small")
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.count:
        print(count_assertions(arguments.programs[0], arguments.size))
        return 0
    each = seconds_of_an_assertion()
    print(f"an assertion: {each * 1e9:.0f} ns\n")
    print(
        "| | step | before it runs | assertions | of the step | bound |\n|---|---|---|---|---|---|"
    )
    failed = False
    for name in arguments.programs:
        assertions = counted_elsewhere(name, arguments.size)
        step, inputs = converted(name, arguments.size)
        whole = best_seconds(lambda step=step, inputs=inputs: step(*inputs), 30, 5)  # type: ignore[misc]
        before = best_seconds(lambda step=step, inputs=inputs: step.fits(*inputs), 30, 100)  # type: ignore[misc]
        share = (before + assertions * each) / whole
        print(
            f"| {name}, {arguments.size} | {whole * 1e6:.0f} us | {before * 1e6:.1f} us |"
            f" {assertions} | {share:.1%} | {BOUNDS[name]:.0%} |"
        )
        failed |= share > BOUNDS[name]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
