"""Self-attention and feed-forward layers, which BERT, GPT-2 and the Music Transformer share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Configuration:
    """`vocabulary` is how many different tokens there are, `longest` how many fit at a time."""

    vocabulary: int
    longest: int
    width: int
    layers: int
    heads: int
    dropout: float = 0.1


class SelfAttention(nn.Module):
    """`visible` says which positions a position may look at; it broadcasts over heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        query, key, value = (
            self.split(self.query(x)),
            self.split(self.key(x)),
            self.split(self.value(x)),
        )
        scores = self.scores(query, key) / math.sqrt(query.shape[-1])
        weights = functional.softmax(scores.masked_fill(~visible, -math.inf), dim=-1)
        seen = self.dropout(weights) @ value
        joined: Tensor = self.output(seen.transpose(1, 2).reshape(x.shape))
        return joined


class FeedForward(nn.Sequential):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(dropout)
        )


class Decoder(nn.Module):
    """A layer that normalises first; what attends is given, so that it can be relative or not."""

    def __init__(self, attention: SelfAttention, width: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.before_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, 4 * width, dropout)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.before_attention(x), visible))
        result: Tensor = x + self.feed_forward(self.before_feed_forward(x))
        return result


def causal(length: int) -> Tensor:
    """Each position sees itself and those before it."""
    return torch.ones(length, length, dtype=torch.bool).tril()


def initialise(module: nn.Module) -> None:
    """What BERT and GPT-2 start from; for `Module.apply`."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
