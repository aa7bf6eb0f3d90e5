"""The machine that a benchmark ran on, and what it could do at best."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bifront
import torch

ROOT = Path(__file__).resolve().parent.parent


def best_seconds(call: Callable[[], object], rounds: int = 10) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def peaks() -> dict[str, float]:
    """FLOP/s of a large matrix product, by whichever library is faster here, eager's or that of
    graphs, and bytes/s of a large copy, read and written."""
    a, b, c = (torch.randn(1024, 1024) for _ in range(3))
    of_graphs: Any = bifront.function(torch.mm)
    for _ in range(2):
        of_graphs(a, b)
    product = min(
        best_seconds(lambda: torch.mm(a, b, out=c)), best_seconds(lambda: of_graphs(a, b))
    )
    source = torch.zeros(64 * 2**20 // 4)
    target = torch.empty_like(source)
    copy = best_seconds(lambda: target.copy_(source))
    return {"flops": 2 * 1024**3 / product, "bytes": 2 * source.nbytes / copy}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def describe() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
