"""An actor and a critic that look at pixels (Mnih et al., 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PixelActorCritic(nn.Module):
    def __init__(self, frames: int, image: int, width: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(frames, width, 8, stride=4)
        self.conv2 = nn.Conv2d(width, 2 * width, 4, stride=2)
        side = ((image - 8) // 4 + 1 - 4) // 2 + 1
        self.body = nn.Linear(2 * width * side * side, hidden)
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Bytes of shape (n, frames, image, image) to the actions' logits and the values."""
        x = pixels.float() / 255
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = functional.relu(self.body(torch.flatten(x, 1)))
        return self.actor(x), self.critic(x).squeeze(-1)
