"""A sequence classifier: a two-layer Transformer encoder (Vaswani et al., 2017), dropout on."""

import torch
from torch import Tensor, nn

from programs.foundation.training import TrainingProgram

VOCABULARY = 100
LENGTH = 16
WIDTH = 64


class EncoderClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=4, dim_feedforward=128, dropout=0.1, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        encoded = self.encoder(self.embed(tokens) + self.position)
        logits: Tensor = self.head(encoded.mean(dim=1))
        return logits


def build(seed: int, optimizer: str = "sgd") -> TrainingProgram:
    torch.manual_seed(seed)
    return TrainingProgram(
        EncoderClassifier(),
        optimizer,
        lambda size, random: torch.randint(0, VOCABULARY, (size, LENGTH), generator=random),
        classes=10,
    )
