"""A multi-layer perceptron with dropout."""

import torch
from torch import nn

from programs.foundation.training import TrainingProgram


def build(seed: int, optimizer: str = "sgd") -> TrainingProgram:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 128),
        nn.Tanh(),
        nn.Linear(128, 10),
    )
    return TrainingProgram(
        model, optimizer, lambda size, random: torch.randn(size, 64, generator=random), classes=10
    )
