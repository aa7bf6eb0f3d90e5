"""BERT with a classifier on what the first token has become."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from programs.terra.attention import Configuration
from programs.terra.bert import BERT


class SentenceClassifier(nn.Module):
    def __init__(self, configuration: Configuration, classes: int) -> None:
        super().__init__()
        self.bert = BERT(configuration)
        self.pooler = nn.Linear(configuration.width, configuration.width)
        self.dropout = nn.Dropout(configuration.dropout)
        self.classifier = nn.Linear(configuration.width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        first = self.bert(tokens)[:, 0]
        logits: Tensor = self.classifier(self.dropout(torch.tanh(self.pooler(first))))
        return logits
