"""Which module of the standard library does a sentence of its documentation come from?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from programs.data.documentation import docstrings, sentences
from programs.data.vocabulary import Vocabulary
from programs.program import Program, main
from programs.terra.attention import Configuration
from programs.terra.bert_cls.model import SentenceClassifier

MODULES = ("argparse", "ipaddress", "random", "statistics", "subprocess", "tarfile", "threading")
CONFIGURATIONS = {
    "small": Configuration(vocabulary=512, longest=48, width=64, layers=2, heads=4),
    "paper": Configuration(vocabulary=30522, longest=512, width=768, layers=12, heads=12),
}
BATCH = {"small": 8, "paper": 8}
LEARNING_RATE = {"small": 1e-3, "paper": 2e-5}


@cache
def examples(words: int, longest: int) -> list[tuple[list[int], int]]:
    """Pieces of a sentence, and which module it is from."""
    found = [
        (sentence, label)
        for label, module in enumerate(MODULES)
        for text in docstrings(module)
        for sentence in sentences(text)
    ]
    vocabulary = Vocabulary([sentence for sentence, _ in found], words)
    return [
        ([Vocabulary.START, *vocabulary.encode(sentence)][:longest], label)
        for sentence, label in found
    ]


class Scores:
    """Counts of (true class, predicted class), which fade as the model learns."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes))
        self.best = 0.0

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        self.confusion *= 0.99
        np.add.at(self.confusion, (labels, predictions), 1)
        self.best = max(self.best, self.macro_f1())

    def macro_f1(self) -> float:
        right = np.diag(self.confusion)
        total = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return float(np.mean(2 * right / np.maximum(total, 1e-9)))


class Training(Program):
    chaotic = True  # as GPT-2: the gradients of some biases are rounding alone

    def __init__(
        self, configuration: Configuration, batch: int, learning_rate: float, seed: int
    ) -> None:
        self.configuration = configuration
        self.batch = batch
        self.seed = seed
        self.model = SentenceClassifier(configuration, len(MODULES))
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate)
        self.scores = Scores(len(MODULES))

    def step(self, tokens: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        logits = self.model(tokens)
        loss = self.loss(logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        predictions = logits.detach().cpu().numpy().argmax(axis=1)
        self.scores.update(labels.cpu().numpy(), predictions)
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        known = examples(self.configuration.vocabulary, self.configuration.longest)
        rng = random.Random(self.seed)
        while True:
            chosen = rng.sample(known, self.batch)
            yield Vocabulary.pad([ids for ids, _ in chosen]), torch.tensor([c for _, c in chosen])


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(CONFIGURATIONS[size], batch or BATCH[size], LEARNING_RATE[size], seed)


if __name__ == "__main__":
    main(build)
