"""BERT's encoder (Devlin et al., 2018), which classification and question answering share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from programs.data.vocabulary import Vocabulary
from programs.terra.attention import Configuration, FeedForward, SelfAttention, initialise


class Layer(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        width, dropout = configuration.width, configuration.dropout
        self.attention = SelfAttention(width, configuration.heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.after_attention = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, 4 * width, dropout)
        self.after_feed_forward = nn.LayerNorm(width)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = self.after_attention(x + self.dropout(self.attention(x, visible)))
        result: Tensor = self.after_feed_forward(x + self.feed_forward(x))
        return result


class BERT(nn.Module):
    """Tokens of one or two segments, padded; returns a vector for each token."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        width = configuration.width
        self.tokens = nn.Embedding(configuration.vocabulary, width, padding_idx=Vocabulary.PAD)
        self.positions = nn.Embedding(configuration.longest, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(configuration.dropout)
        self.layers = nn.ModuleList(Layer(configuration) for _ in range(configuration.layers))
        self.apply(initialise)

    def forward(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        if segments is None:
            segments = torch.zeros_like(tokens)
        positions = torch.arange(tokens.size(1)).unsqueeze(0)
        x = self.tokens(tokens) + self.positions(positions) + self.segments(segments)
        x = self.dropout(self.norm(x))
        visible = (tokens != Vocabulary.PAD)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, visible)
        return x
