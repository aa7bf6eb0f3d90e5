"""A language model for large vocabularies (Jozefowicz et al., 2016): an LSTM whose output is
projected to fewer numbers, and a softmax over a sample of the words."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]


class ProjectedLSTM(nn.Module):
    def __init__(self, inputs: int, hidden: int, projected: int) -> None:
        super().__init__()
        self.cell = nn.Linear(inputs + projected, 4 * hidden)
        self.project = nn.Linear(hidden, projected, bias=False)

    def forward(self, x: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = self.cell(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        return self.project(torch.sigmoid(o) * torch.tanh(c)), c


class SampledSoftmax(nn.Module):
    """The loss over the true word and `samples` others, drawn as word frequencies fall: the word of
    rank r with probability log((r + 2) / (r + 1)) / log(words + 1)."""

    def __init__(self, vocabulary: int, width: int, samples: int) -> None:
        super().__init__()
        self.vocabulary, self.samples = vocabulary, samples
        self.weight = nn.Parameter(torch.randn(vocabulary, width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def log_expected(self, words: Tensor) -> Tensor:
        """How often a word is expected in a sample."""
        ranks = words.float()
        probability = torch.log((ranks + 2) / (ranks + 1)) / math.log(self.vocabulary + 1)
        return torch.log(probability * self.samples)

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        drawn = torch.exp(torch.rand(self.samples) * math.log(self.vocabulary + 1)) - 1
        sample = drawn.long().clamp(max=self.vocabulary - 1)
        true_logits = (hidden * self.weight[targets]).sum(dim=1) + self.bias[targets]
        logits = hidden @ self.weight[sample].t() + self.bias[sample]
        true_logits = true_logits - self.log_expected(targets)
        logits = logits - self.log_expected(sample)
        # A sample that happens to be the true word is no other word.
        logits = logits.masked_fill(targets[:, None] == sample, -1e9)
        logits = torch.cat([true_logits[:, None], logits], dim=1)
        return functional.cross_entropy(logits, torch.zeros(len(targets), dtype=torch.long))


class LanguageModel(nn.Module):
    def __init__(
        self, vocabulary: int, hidden: int, projected: int, samples: int, dropout: float
    ) -> None:
        super().__init__()
        self.hidden, self.projected = hidden, projected
        self.embed = nn.Embedding(vocabulary, projected)
        self.lstm = ProjectedLSTM(projected, hidden, projected)
        self.dropout = nn.Dropout(dropout)
        self.softmax = SampledSoftmax(vocabulary, projected, samples)

    def initial(self, batch: int) -> State:
        return torch.zeros(batch, self.projected), torch.zeros(batch, self.hidden)

    def forward(self, words: Tensor, following: Tensor, state: State) -> tuple[Tensor, State]:
        """The loss of words of shape (time, batch), and the state after them."""
        embedded = self.dropout(self.embed(words))
        outputs = []
        for x in embedded:
            state = self.lstm(x, state)
            outputs.append(self.dropout(state[0]))
        return self.softmax(torch.cat(outputs), following.flatten()), state
