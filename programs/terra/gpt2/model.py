"""GPT-2 (Radford et al., 2019), written out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.terra.attention import Configuration, Decoder, SelfAttention, causal, initialise


class GPT2(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        width, dropout = configuration.width, configuration.dropout
        self.context = configuration.longest
        self.tokens = nn.Embedding(configuration.vocabulary, width)
        self.positions = nn.Embedding(configuration.longest, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Decoder(SelfAttention(width, configuration.heads, dropout), width, dropout)
            for _ in range(configuration.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.apply(initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("output.weight", "feed_forward.2.weight")):
                # One residual path adds up 2 * layers of these.
                nn.init.normal_(parameter, std=0.02 / (2 * configuration.layers) ** 0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"{length} tokens do not fit a context of {self.context}")
        x = self.tokens(tokens) + self.positions(torch.arange(length))
        x = self.dropout(x)
        visible = causal(length)
        for layer in self.layers:
            x = layer(x, visible)
        # The output layer is the embedding's own weight.
        return functional.linear(self.norm(x), self.tokens.weight)
