"""Trains the language model with a sampled softmax on Python's docstrings."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from programs.data.text import passages
from programs.janus.lm.model import LanguageModel
from programs.program import Program, main


class Training(Program):
    def __init__(
        self,
        seed: int,
        vocabulary: int,
        hidden: int,
        projected: int,
        samples: int,
        length: int,
        batch: int,
    ) -> None:
        torch.manual_seed(seed)
        self.model = LanguageModel(vocabulary, hidden, projected, samples, dropout=0.1)
        self.optimizer = torch.optim.Adagrad(
            self.model.parameters(), lr=0.2, initial_accumulator_value=1.0
        )
        self.state_before = self.model.initial(batch)
        self.vocabulary, self.length, self.batch = vocabulary, length, batch

    def step(self, words: Tensor, following: Tensor) -> Tensor:
        h, c = self.state_before
        self.optimizer.zero_grad()
        loss, self.state_before = self.model(words, following, (h.detach(), c.detach()))
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.lstm.parameters(), 10.0)
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return passages(self.vocabulary, self.batch, self.length)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(
            seed, 30_000, hidden=2048, projected=512, samples=8192, length=20, batch=256
        )
    return Training(seed, 100, hidden=32, projected=16, samples=32, length=8, batch=32)


if __name__ == "__main__":
    main(build)
