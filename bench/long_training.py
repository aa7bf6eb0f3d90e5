"""Trains a converted LeNet for many steps and says what memory it takes: it must not grow."""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

import bifront
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def small_lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--allow", type=float, default=4.0, help="megabytes of growth")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = small_lenet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    @bifront.function
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    # What the allocators keep settles in the first tenth.
    settled = 0.0
    for number in range(arguments.steps):
        x = torch.randn(arguments.batch, 1, 28, 28)
        step(x, torch.randint(0, 10, (arguments.batch,)))
        if number == arguments.steps // 10:
            settled = resident_megabytes()
        if (number + 1) % max(arguments.steps // 10, 1) == 0:
            print(f"{number + 1} steps: {resident_megabytes():.1f} MB", flush=True)
    stats = step.stats
    grown = resident_megabytes() - settled
    print(f"{stats['graphs']} graph(s), {stats['graph_calls']} of {stats['calls']} calls in them")
    print(f"grown by {grown:.1f} MB since step {arguments.steps // 10}")
    return 0 if grown <= arguments.allow and stats["graph_calls"] >= stats["calls"] - 4 else 1


if __name__ == "__main__":
    sys.exit(main())
