"""An LSTM as people write it: a cell, and a Python loop over the words of a batch of sentences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TIME, HIDDEN, BATCH, WORDS = 35, 256, 20, 1000


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, HIDDEN)
        self.cell = nn.LSTMCell(HIDDEN, HIDDEN)

    def forward(self, words: Tensor) -> Tensor:
        h = c = torch.zeros(BATCH, HIDDEN)
        outputs = []
        for word in self.embedding(words):
            h, c = self.cell(word, (h, c))
            outputs.append(h)
        return torch.stack(outputs)


def some_words(length: int) -> Tensor:
    return torch.randint(WORDS, (length, BATCH))
