"""Trains the LSTM language model on the docstrings of Python's standard library."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.text import passages
from programs.janus.lstm.model import LanguageModel
from programs.program import Program, main


class Training(Program):
    def __init__(
        self, seed: int, vocabulary: int, hidden: int, length: int, dropout: float, batch: int
    ) -> None:
        torch.manual_seed(seed)
        self.model = LanguageModel(vocabulary, hidden, layers=2, dropout=dropout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self.states = self.model.initial(batch)
        self.vocabulary, self.length, self.batch = vocabulary, length, batch

    def step(self, words: Tensor, following: Tensor) -> Tensor:
        # The state goes on from passage to passage, the gradient does not.
        states = [(h.detach(), c.detach()) for h, c in self.states]
        self.optimizer.zero_grad()
        logits, self.states = self.model(words, states)
        loss = functional.cross_entropy(logits.flatten(0, 1), following.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return passages(self.vocabulary, self.batch, self.length)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, vocabulary=10_000, hidden=650, length=35, dropout=0.5, batch=20)
    return Training(seed, vocabulary=100, hidden=32, length=8, dropout=0.1, batch=10)


if __name__ == "__main__":
    main(build)
