"""Training steps whose behaviour alternates, beside eager: `python -m bench.alternating`.

Each program is called many times from its very first call on, so that what its conversions take is
part of its time. However it alternates, there are at most eight of them, and the whole must not
take much longer than eager. Prints a table; fails where a program takes a tenth more than eager.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_CONVERSIONS = 8
MOST_OF_EAGER = 1.1
BLOCK = 50


class Training:
    """A small network in training; a subclass has what alternates, by the call's number."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.Tanh()
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def arguments(self, call: int) -> tuple[Any, ...]:
        return (torch.randn(64, 256),)

    def learn(self, loss: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def step(self, x: Tensor) -> Any:
        return self.learn(self.model(x).square().mean())


class WaysOfABranch(Training):
    def step(self, x: Tensor) -> Any:
        y = self.model(x)
        return self.learn(y.square().mean() if x.sum() > 0 else y.abs().mean())


class SizesOfABatch(Training):
    def arguments(self, call: int) -> tuple[Any, ...]:
        return (torch.randn(32 + call % 37, 256),)


class LearningRates(Training):
    def step(self, x: Tensor) -> Any:
        self.optimizer.param_groups[0]["lr"] *= 0.999
        return super().step(x)


class TrainAndEval(Training):
    def arguments(self, call: int) -> tuple[Any, ...]:
        self.model.train(call % 3 != 0)
        return super().arguments(call)


class Losses(Training):
    """Three functions in turn, of which each is another callee."""

    losses = (F.mse_loss, F.l1_loss, F.smooth_l1_loss)

    def arguments(self, call: int) -> tuple[Any, ...]:
        self.loss = self.losses[call % 3]
        return super().arguments(call)

    def step(self, x: Tensor) -> Any:
        return self.learn(self.loss(self.model(x), x))


class Precisions(Training):
    def step(self, x: Tensor, inner: torch.dtype) -> Any:
        return self.learn(self.model(x).to(inner).square().mean())

    def arguments(self, call: int) -> tuple[Any, ...]:
        return torch.randn(64, 256), (torch.float32, torch.float64)[call % 2]


class KindsOfResults(Training):
    """Twenty, which are more than there may be graphs."""

    def step(self, x: Tensor, name: str) -> Any:
        return {name: super().step(x)}

    def arguments(self, call: int) -> tuple[Any, ...]:
        return torch.randn(64, 256), f"loss{call % 20}"


class EachCallAnother(Training):
    def step(self, x: Tensor, name: str) -> Any:
        return {name: super().step(x)}

    def arguments(self, call: int) -> tuple[Any, ...]:
        return torch.randn(64, 256), f"loss{call}"


PROGRAMS = (
    WaysOfABranch,
    SizesOfABatch,
    LearningRates,
    TrainAndEval,
    Losses,
    Precisions,
    KindsOfResults,
    EachCallAnother,
)


def measure(make: Callable[[], Training], calls: int) -> tuple[float, float, dict[str, Any]]:
    """Seconds of all calls by CPython and converted, in turn, and the counts."""
    sides = (make(), make())
    step = bifront.function(sides[1].step)
    spent = [0.0, 0.0]
    for first in range(0, calls, BLOCK):
        for side, (program, called) in enumerate(zip(sides, (sides[0].step, step), strict=True)):
            torch.manual_seed(first)
            for call in range(first, first + BLOCK):
                arguments = program.arguments(call)
                start = time.perf_counter()
                called(*arguments)
                spent[side] += time.perf_counter() - start
    return spent[0], spent[1], step.stats


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    torch.set_num_threads(1)
    Training().step(torch.randn(64, 256))  # what PyTorch does once is nobody's
    failed = False
    print("| what alternates | eager | bifront | of eager | conversions | calls in graphs |")
    print("|---|---|---|---|---|---|")
    for make in PROGRAMS:
        eager, converted, stats = measure(make, calls)
        share = converted / eager
        print(
            f"| {make.__name__} | {eager:.2f} s | {converted:.2f} s | {share:.2f} |"
            f" {stats['conversions']}, {stats['conversion_seconds']:.2f} s |"
            f" {stats['graph_calls']} of {stats['calls']} |",
            flush=True,
        )
        failed |= share > MOST_OF_EAGER or stats["conversions"] > MOST_CONVERSIONS
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
