"""Trains the TreeLSTM on statements of Python's standard library."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from programs.data.trees import CLASSES, Node, trees
from programs.janus.treelstm.model import TreeLSTM
from programs.program import Program, main


class Training(Program):
    def __init__(
        self, seed: int, vocabulary: int, embedded: int, hidden: int, modules: int, batch: int
    ) -> None:
        torch.manual_seed(seed)
        self.model = TreeLSTM(vocabulary, embedded, hidden, CLASSES)
        self.optimizer = torch.optim.Adagrad(self.model.parameters(), lr=0.05)
        self.seed, self.vocabulary, self.modules, self.batch = seed, vocabulary, modules, batch

    def step(self, trees: list[Node]) -> Tensor:
        self.optimizer.zero_grad()
        losses: list[Tensor] = []
        for tree in trees:
            self.model(tree, losses)
        loss = torch.stack(losses).sum() / len(trees)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[list[Node]]]:
        for drawn in trees(self.vocabulary, self.modules, self.batch, self.seed):
            yield (drawn,)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, 10_000, embedded=300, hidden=150, modules=100, batch=25)
    return Training(seed, 200, embedded=16, hidden=16, modules=5, batch=3)


if __name__ == "__main__":
    main(build)
