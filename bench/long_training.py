"""Trains converted programs for many steps: memory must stay flat, and the results right.

`python -m bench.long_training [lenet] [treelstm]` prints what memory each takes on the way, and
fails where it has grown by more than a hundredth since the first tenth, or where a step behind the
last one differs from what eager makes of the same state.
"""

from __future__ import annotations

import argparse
import copy
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bifront
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from programs.janus.treelstm.train import Training as TreeLstm

MOST_GROWTH = 0.01


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class LeNet:
    def __init__(self) -> None:
        self.model = nn.Sequential(
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
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Any, ...]]:
        while True:
            yield torch.randn(4, 1, 28, 28), torch.randint(0, 10, (4,))


def lenet() -> Any:
    return LeNet()


def treelstm() -> Any:
    return TreeLstm(0, 50, embedded=8, hidden=8, modules=3, batch=1)


PROGRAMS = {"lenet": lenet, "treelstm": treelstm}


def ends_as_eager_would(program: Any, step: Any, inputs: tuple[Any, ...]) -> bool:
    eager = copy.deepcopy(program)
    random = torch.get_rng_state()
    expected = eager.step(*inputs)
    torch.set_rng_state(random)
    ran = step.stats["graph_calls"]
    pairs = [(step(*inputs), expected)]
    pairs += zip(program.model.parameters(), eager.model.parameters(), strict=True)
    same = all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in pairs)
    return same and step.stats["graph_calls"] == ran + 1


def train(name: str, steps: int) -> bool:
    torch.manual_seed(0)
    program = PROGRAMS[name]()
    step: Any = bifront.function(program.step)
    batches = program.batches()
    tenth = max(steps // 10, 1)
    settled, start = 0.0, time.perf_counter()
    for number in range(1, steps + 1):
        step(*next(batches))
        if number % tenth == 0:
            now = resident_megabytes()
            settled = settled or now  # what the allocators keep settles in the first tenth
            print(f"{name}, {number} steps: {now:.1f} MB, {time.perf_counter() - start:.0f} s")
            sys.stdout.flush()
    grown = resident_megabytes() / settled - 1
    right = ends_as_eager_would(program, step, next(batches))
    stats = step.stats
    print(
        f"{name}: {stats['graphs']} graph(s), {stats['graph_calls']} of {stats['calls']} calls in"
        f" them, grown by {grown:.2%}, the end is {'right' if right else 'WRONG'}"
    )
    return right and grown <= MOST_GROWTH and stats["graph_calls"] >= stats["calls"] - 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=list(PROGRAMS))
    parser.add_argument("--steps", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fine = [train(name, arguments.steps) for name in arguments.programs]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
