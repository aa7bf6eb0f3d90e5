"""BERT with a head that says where in the passage the answer starts and ends."""

from __future__ import annotations

from torch import Tensor, nn

from programs.terra.attention import Configuration
from programs.terra.bert import BERT


class SpanPredictor(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.bert = BERT(configuration)
        self.span = nn.Linear(configuration.width, 2)

    def forward(self, tokens: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.span(self.bert(tokens, segments))
        # The answer lies in the passage, which is the second segment.
        scores = scores.masked_fill(segments.unsqueeze(-1) == 0, -1e4)
        start, end = scores.unbind(dim=-1)
        return start, end
