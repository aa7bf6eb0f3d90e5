"""LeNet-5 on 28x28 images (LeCun et al., 1998), with ReLU and max pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.foundation.training import TrainingProgram


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        hidden = torch.flatten(hidden, 1)
        hidden = functional.relu(self.fc1(hidden))
        hidden = functional.relu(self.fc2(hidden))
        logits: Tensor = self.fc3(hidden)
        return logits


def build(seed: int, optimizer: str = "sgd") -> TrainingProgram:
    torch.manual_seed(seed)
    return TrainingProgram(
        LeNet(),
        optimizer,
        lambda size, random: torch.randn(size, 1, 28, 28, generator=random),
        classes=10,
    )
