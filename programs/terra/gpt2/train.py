"""Language modelling on the chapters of Python's reference, cut to pieces of any length."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.documentation import chapters
from programs.data.vocabulary import Vocabulary
from programs.program import Program, main
from programs.terra.attention import Configuration
from programs.terra.gpt2.model import GPT2

CONFIGURATIONS = {
    "small": Configuration(vocabulary=512, longest=32, width=64, layers=2, heads=4),
    "paper": Configuration(vocabulary=50257, longest=1024, width=768, layers=12, heads=12),
}
BATCH = {"small": 4, "paper": 1}
LEARNING_RATE = {"small": 3e-3, "paper": 6e-4}


@cache
def corpus(words: int) -> Tensor:
    texts = chapters()
    vocabulary = Vocabulary(texts, words)
    return torch.tensor([piece for text in texts for piece in vocabulary.encode(text)])


class Training(Program):
    chaotic = (
        True  # the gradient of a bias of keys is rounding alone, and Adam divides it by its size
    )

    def __init__(
        self, configuration: Configuration, batch: int, learning_rate: float, seed: int
    ) -> None:
        self.configuration = configuration
        self.batch = batch
        self.seed = seed
        self.model = GPT2(configuration)
        decayed = [p for p in self.model.parameters() if p.dim() >= 2]
        others = [p for p in self.model.parameters() if p.dim() < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.95),
        )
        self.peak_rate = learning_rate
        self.warmup, self.decay = 10, 1000
        self.steps = 0
        self.tokens_seen = 0

    def learning_rate(self) -> float:
        if self.steps < self.warmup:
            return self.peak_rate * (self.steps + 1) / self.warmup
        done = min(1.0, (self.steps - self.warmup) / self.decay)
        return self.peak_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))

    def windows(self, text: Tensor) -> Iterator[Tensor]:
        """What the context can hold at a time, and the token after it."""
        for start in range(0, text.shape[1] - 1, self.configuration.longest):
            yield text[:, start : start + self.configuration.longest + 1]

    def step(self, text: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad()
        predicted = text.shape[0] * (text.shape[1] - 1)
        total = torch.zeros(())
        for window in self.windows(text):
            logits = self.model(window[:, :-1])
            targets = window[:, 1:].reshape(-1)
            loss = functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
            loss = loss / predicted
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.tokens_seen += predicted
        return total

    def batches(self) -> Iterator[tuple[Tensor]]:
        text = corpus(self.configuration.vocabulary)
        context = self.configuration.longest
        rng = random.Random(self.seed)
        while True:
            length = rng.randint(context // 2, 2 * context)
            starts = [rng.randrange(len(text) - length) for _ in range(self.batch)]
            yield (torch.stack([text[start : start + length] for start in starts]),)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(CONFIGURATIONS[size], batch or BATCH[size], LEARNING_RATE[size], seed)


if __name__ == "__main__":
    main(build)
