"""The ways in which a program's step can be run: eager, by Bifront, and by its peers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import bifront
import torch

from programs.program import Program

Step = Callable[..., Any]
Counts = dict[str, int | str]


def eager(program: Program) -> tuple[Step, Callable[[], Counts]]:
    return program.step, dict


def by_bifront(program: Program) -> tuple[Step, Callable[[], Counts]]:
    step: Any = bifront.function(program.step)

    def counts() -> Counts:
        stats = step.stats
        counted: Counts = {
            "graphs": stats["graphs"],
            "breaks": stats["opaque_calls"],
            "fallbacks": stats["fallback_calls"],
        }
        called = Counter(name for _, name in step.opaque_calls)
        if called:
            counted["called"] = ", ".join(
                name if times == 1 else f"{name} (at {times} places)"
                for name, times in called.most_common()
            )
        if stats["fallback_calls"] > 0:
            counted["note"] = step.last_error or ", ".join(stats["exits"])
        return counted

    return step, counts


def compiled(program: Program, mode: str | None = None) -> tuple[Step, Callable[[], Counts]]:
    from torch._dynamo.utils import counters
    from torch._inductor import config

    # Its own random numbers would be as good, but no other way's, and nothing could be compared.
    config.fallback_random = True
    step = torch.compile(program.step, mode=mode)

    def counts() -> Counts:
        return {
            "graphs": counters["stats"]["unique_graphs"],
            "breaks": sum(counters["graph_break"].values()),
        }

    return step, counts


def scripted(program: Program) -> tuple[Step, Callable[[], Counts]]:
    """TorchScript takes modules, not steps: every module becomes a script, what is around them
    stays Python."""
    modules = [k for k, v in vars(program).items() if isinstance(v, torch.nn.Module)]
    for name in modules:
        setattr(program, name, torch.jit.script(getattr(program, name)))
    return program.step, lambda: {"graphs": len(modules)}


WAYS: dict[str, Callable[[Program], tuple[Step, Callable[[], Counts]]]] = {
    "eager": eager,
    "bifront": by_bifront,
    "compile": compiled,
    "compile-autotune": lambda program: compiled(program, "max-autotune"),
    "script": scripted,
}
