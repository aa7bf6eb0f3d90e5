"""What all programs have in common: a step, the inputs of each step, the state that it changes.

A program is a package `programs.<paper>.<name>` with its model in `model.py` and its training in
`train.py`, whose `build(seed, size)` makes a `Program`; as a module, `train` trains it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

SIZES = ("small", "paper")
"""`small`: a step in milliseconds. `paper`: the paper's dimensions, as far as two cores can."""


class Program:
    """A program in training. A subclass has its modules and optimizers as attributes."""

    chaotic = False
    """The last bit of fp32 decides what comes of a few steps, as with batch norm over few numbers:
    two ways of computing a step can be compared only `in_double` precision."""

    def step(self, *inputs: Any) -> Tensor | tuple[Tensor, ...]:
        """The whole of one training step: forward, backward and update. Returns the loss, or
        several of which the first is the one to watch: it falls while the program learns."""
        raise NotImplementedError

    def batches(self) -> Iterator[tuple[Any, ...]]:
        """The arguments of one step after the other, without end, the same for the same seed.
        Making them must not move the random stream of the training."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """All that training changes, by name: parameters, gradients, buffers, optimizer state,
        numbers."""
        found: dict[str, Any] = {}
        _collect(vars(self), "", found, {})
        return found


Build = Callable[[int, str], Program]


@contextlib.contextmanager
def default_double() -> Iterator[None]:
    """What a program makes of its own in here is in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_double(program: Program) -> Program:
    """Its modules and its inputs from now on in double precision. It is to be made, and to train,
    with `default_double`."""
    for value in vars(program).values():
        if isinstance(value, nn.Module):
            value.double()
    batches = program.batches

    def doubled() -> Iterator[tuple[Any, ...]]:
        for batch in batches():
            yield _doubled(batch)

    program.batches = doubled  # type: ignore[method-assign]
    return program


def _doubled(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_doubled, value))
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _collect(value: Any, name: str, found: dict[str, Any], seen: dict[int, Any]) -> None:
    """Walks containers and the programs' own objects, and what is known of the libraries'."""
    if isinstance(value, bool | int | float | str | type(None)):
        found[name] = value
        return
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept alive: another object may not have its id
    if isinstance(value, Tensor):
        found[name] = value
        if value.is_leaf and value.grad is not None:
            found[f"{name}.grad"] = value.grad
    elif isinstance(value, nn.Module):
        for key, tensor in value.state_dict(keep_vars=True).items():
            _collect(tensor, _join(name, key), found, seen)
    elif isinstance(value, torch.optim.Optimizer):
        _collect(value.state_dict(), name, found, seen)
    elif isinstance(value, numpy.ndarray):
        found[name] = torch.from_numpy(value.copy())
    elif isinstance(value, numpy.random.Generator):
        _collect(value.bit_generator.state, name, found, seen)
    elif isinstance(value, torch.Generator):
        found[name] = value.get_state()
    elif isinstance(value, random.Random):
        found[name] = hash(value.getstate())
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(item, _join(name, str(key)), found, seen)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _collect(item, _join(name, str(index)), found, seen)
    elif type(value).__module__.startswith("programs.") and hasattr(value, "__dict__"):
        _collect(vars(value), name, found, seen)


def _join(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def names() -> list[str]:
    """Every program, as "<paper>/<name>"."""
    root = Path(__file__).parent
    return sorted(f"{p.parent.parent.name}/{p.parent.name}" for p in root.glob("*/*/train.py"))


def find(name: str) -> Build:
    """The `build` of the program "<paper>/<name>"."""
    module = importlib.import_module(f"programs.{name.replace('/', '.')}.train")
    build: Build = module.build
    return build


def main_loss(result: Tensor | tuple[Tensor, ...]) -> float:
    first = result[0] if isinstance(result, tuple) else result
    return float(first)


def main(build: Build) -> None:
    """Trains from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    program = build(options.seed, options.size)
    train(program, options.steps)


def train(program: Program, steps: int) -> list[float]:
    """Shows the loss, as an average over the last tenth of the steps, while it trains."""
    losses: list[float] = []
    window = max(1, steps // 10)
    start = time.perf_counter()
    for count, batch in zip(range(1, steps + 1), program.batches(), strict=False):
        losses.append(main_loss(program.step(*batch)))
        recent = losses[-window:]
        line = (
            f"step {count}/{steps}  loss {sum(recent) / len(recent):.4f}  "
            f"{(time.perf_counter() - start) / count * 1e3:.1f} ms a step"
        )
        if sys.stdout.isatty():
            print(f"\r{line}", end="" if count < steps else "\n", flush=True)
        elif count == 1 or count % window == 0 or count == steps:
            print(line, flush=True)
    return losses
