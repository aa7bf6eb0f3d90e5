"""A language model of LSTM cells written out, for words (Zaremba et al., 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class LSTMCell(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs + hidden, 4 * hidden)

    def forward(self, x: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c


class LanguageModel(nn.Module):
    def __init__(self, vocabulary: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.embed = nn.Embedding(vocabulary, hidden)
        self.cells = nn.ModuleList([LSTMCell(hidden, hidden) for _ in range(layers)])
        self.dropout = nn.Dropout(dropout)
        self.decode = nn.Linear(hidden, vocabulary)

    def initial(self, batch: int) -> list[State]:
        zeros = torch.zeros(batch, self.hidden)
        return [(zeros, zeros) for _ in self.cells]

    def forward(self, words: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Words of shape (time, batch) to logits of the words that follow."""
        outputs = []
        for word in words:
            x = self.dropout(self.embed(word))
            following = []
            for cell, state in zip(self.cells, states):
                h, c = cell(x, state)
                following.append((h, c))
                x = self.dropout(h)
            states = following
            outputs.append(x)
        return self.decode(torch.stack(outputs)), states
