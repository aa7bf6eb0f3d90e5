"""Training an LSTM beside eager: `python -m bench.recurrence`.

The whole step: forward, loss, backward, optimizer. Where the length of the sentences has varied,
the loop over time is a loop of the graph, else it is unrolled. The floor is the step's products of
matrices alone, as one graph. `--peers` adds torch.compile, which unrolls, and compiles for long.
Ends with status 1 where Bifront is slower than the bounds say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor

from bench.lstm import BATCH, HIDDEN, TIME, Lstm, some_words
from bench.side_by_side import Comparison, compare

BOUNDS = {"loop": 2.0, "unrolled": 2.0}  # eager's time over Bifront's, at least
LENGTHS = [TIME - 2, TIME - 1, TIME, TIME - 3, TIME]


def training() -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    model = Lstm()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(words: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model(words).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def converted(lengths: list[int]) -> Any:
    step: Any = bifront.function(training())
    for length in lengths:
        step(some_words(length))
    before = step.stats["fallback_calls"]
    step(some_words(TIME))
    if step.stats["fallback_calls"] != before:
        raise RuntimeError(f"the LSTM runs in CPython: {bifront.explain(step)}")
    return step


def products(
    inputs: Tensor, states: Tensor, gates: Tensor, input_weight: Tensor, state_weight: Tensor
) -> tuple[Tensor, ...]:
    """Forward, and both gradients of each product."""
    forward, of_input, of_state = gates[0], inputs[0], states[0]
    of_input_weight, of_state_weight = (
        torch.zeros_like(input_weight),
        torch.zeros_like(state_weight),
    )
    for x, h, g in zip(inputs, states, gates, strict=True):
        forward = torch.addmm(torch.addmm(forward, x, input_weight.t()), h, state_weight.t())
        of_input = torch.addmm(of_input, g, input_weight)
        of_state = torch.addmm(of_state, g, state_weight)
        of_input_weight = of_input_weight + g.t() @ x
        of_state_weight = of_state_weight + g.t() @ h
    return forward, of_input, of_state, of_input_weight, of_state_weight


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--peers", action="store_true", help="torch.compile beside eager")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    words = some_words(TIME)
    eager = training()
    sequence = torch.randn(TIME, BATCH, HIDDEN)
    arguments = [sequence, sequence, torch.randn(TIME, BATCH, 4 * HIDDEN)]
    arguments += [torch.randn(4 * HIDDEN, HIDDEN) for _ in range(2)]
    floor = bifront.function(products)
    ways: dict[str, Callable[[], object]] = {"products": lambda: floor(*arguments)}
    for name, lengths in [("loop", LENGTHS), ("unrolled", [TIME] * 3)]:
        step = converted(lengths)
        ways[name] = lambda step=step: step(words)
    rivals: dict[str, Callable[[], object]] = {"eager": lambda: eager(words)}
    if options.peers:
        compiled = torch.compile(training())
        rivals["torch.compile"] = lambda: compiled(words)

    slow = False
    print(f"LSTM, T={TIME}, H={HIDDEN}, batch {BATCH}; {options.threads} thread(s)")
    print(f"{'':28}{'its time':>12}{'bifront':>12}{'ratio':>8}{'10%..90%':>14}")
    for way, call in ways.items():
        for rival, of_rival in rivals.items():
            row = compare(f"{way}, {rival}", of_rival, call, rounds=options.rounds)
            slow |= rival == "eager" and row.ratio < BOUNDS.get(way, 0)
            print(line(row))
    return int(slow)


def line(row: Comparison) -> str:
    times = f"{row.eager * 1e3:9.2f} ms{row.bifront * 1e3:9.2f} ms"
    return f"{row.name:28}{times}{row.ratio:8.2f}{f'{row.low:.2f}..{row.high:.2f}':>14}"


if __name__ == "__main__":
    sys.exit(main())
