"""What a step keeps for its backward pass, beside what eager keeps: `python -m bench.tapes`.

Eager: the memory of all tensors that autograd saves, each counted once, the parameters' left out.
Bifront: the memory on the tapes of a run (`stats["tape_bytes"]`), counted in the same way, where
the loop or the recursion is one of the graph. An unrolled loop has no tape: there `arena_bytes` is
all that the whole step computes with, gradients included. Ends with status 1 above the bound.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import bifront
import torch
from torch import Tensor, nn

from bench.lstm import BATCH, HIDDEN, TIME, Lstm, some_words

BOUND = 1.1
DEPTH = 6


class Node:
    def __init__(self, depth: int) -> None:
        self.left = Node(depth - 1) if depth else None
        self.right = Node(depth - 1) if depth else None
        self.word = torch.tensor([depth])


class TreeLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(DEPTH + 1, HIDDEN)
        self.gates = nn.Linear(2 * HIDDEN, 5 * HIDDEN)

    def forward(self, node: Node) -> tuple[Tensor, Tensor]:
        if node.left is None or node.right is None:
            c = self.embedding(node.word)
            return torch.tanh(c), c
        (lh, lc), (rh, rc) = self(node.left), self(node.right)
        i, f, g, o, u = self.gates(torch.cat([lh, rh], dim=1)).chunk(5, dim=1)
        c = f.sigmoid() * lc + g.sigmoid() * rc + i.sigmoid() * u.tanh()
        return o.sigmoid() * c.tanh(), c


def kept_by_eager(model: nn.Module, loss: Callable[[], Tensor]) -> int:
    kept: dict[int, Tensor] = {}  # which keeps the memory's address its own
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def stats_of(step: Callable[..., Any], arguments: Iterable[Any]) -> dict[str, Any]:
    converted = bifront.function(step)
    for argument in arguments:
        converted(argument)
    stats: dict[str, Any] = converted.stats
    return stats


def training(model: nn.Module, loss_of: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    def step(argument: Any) -> Tensor:
        model.zero_grad()
        loss = loss_of(argument)
        loss.backward()
        return loss.detach()

    return step


def main() -> int:
    torch.manual_seed(0)
    lstm, tree = Lstm(), TreeLstm()

    def lstm_loss(argument: Tensor) -> Tensor:
        return lstm(argument).square().mean()

    def tree_loss(argument: Node) -> Tensor:
        loss: Tensor = tree(argument)[0].square().mean()
        return loss

    lengths = [TIME - 2, TIME - 1, TIME, TIME - 3, TIME]
    loop = stats_of(training(lstm, lstm_loss), map(some_words, lengths))
    unrolled = stats_of(training(lstm, lstm_loss), [some_words(TIME) for _ in range(4)])
    trees = stats_of(training(tree, tree_loss), [Node(d) for d in (2, 3, 4, 5, DEPTH, DEPTH)])
    lstm_kept = kept_by_eager(lstm, lambda: lstm_loss(some_words(TIME)))
    tree_kept = kept_by_eager(tree, lambda: tree_loss(Node(DEPTH)))
    rows = [
        (f"LSTM, a loop, T={TIME}, H={HIDDEN}, batch {BATCH}", lstm_kept, loop),
        (f"TreeLSTM, a recursion, depth {DEPTH}, H={HIDDEN}", tree_kept, trees),
    ]
    worst = 0.0
    print(f"{'':45}{'eager keeps':>14}{'tapes':>12}{'ratio':>8}{'arena':>12}")
    for name, kept, stats in rows:
        ratio = stats["tape_bytes"] / kept
        worst = max(worst, ratio if stats["tape_bytes"] else float("inf"))
        print(
            f"{name:45}{kept / 1e6:11.2f} MB{stats['tape_bytes'] / 1e6:9.2f} MB{ratio:8.2f}"
            f"{stats['arena_bytes'] / 1e6:9.2f} MB"
        )
    name, arena = "The same LSTM, unrolled", unrolled["arena_bytes"] / 1e6
    print(f"{name:45}{lstm_kept / 1e6:11.2f} MB{'-':>12}{'':>8}{arena:9.2f} MB")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
