"""The Music Transformer (Huang et al., 2018): attention knows how far apart two events are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.terra.attention import Configuration, Decoder, SelfAttention, causal


class RelativeSelfAttention(SelfAttention):
    def __init__(self, width: int, heads: int, dropout: float, longest: int) -> None:
        super().__init__(width, heads, dropout)
        self.longest = longest
        self.distances = nn.Parameter(torch.randn(longest, width // heads) * 0.02)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        length = query.shape[2]
        # The last row is distance 0, the one before it distance 1, and so on.
        relative = query @ self.distances[self.longest - length :].T
        return super().scores(query, key) + self.skew(relative)

    @staticmethod
    def skew(relative: Tensor) -> Tensor:
        """From [query, distance] to [query, key], by one column of padding and a reshape."""
        batch, heads, length, _ = relative.shape
        padded = functional.pad(relative, (1, 0))
        return padded.reshape(batch, heads, length + 1, length)[:, :, 1:]


class MusicTransformer(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        width, dropout = configuration.width, configuration.dropout
        self.scale = width**0.5
        self.events = nn.Embedding(configuration.vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Decoder(
                RelativeSelfAttention(width, configuration.heads, dropout, configuration.longest),
                width,
                dropout,
            )
            for _ in range(configuration.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, configuration.vocabulary)
        self.masks: dict[int, Tensor] = {}
        nn.init.normal_(self.events.weight, std=width**-0.5)

    def mask(self, length: int) -> Tensor:
        """Masks are made once for each length and kept."""
        try:
            return self.masks[length]
        except KeyError:
            self.masks[length] = causal(length)
            return self.masks[length]

    def forward(self, events: Tensor) -> Tensor:
        visible = self.mask(events.shape[1])
        x = self.dropout(self.events(events) * self.scale)
        for layer in self.layers:
            x = layer(x, visible)
        logits: Tensor = self.head(self.norm(x))
        return logits
