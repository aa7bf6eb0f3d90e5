"""The two sides of an adversarial network (Goodfellow et al., 2014)."""

from __future__ import annotations

from torch import Tensor, nn


class Generator(nn.Module):
    def __init__(self, noise: int, hidden: int, image: int) -> None:
        super().__init__()
        self.image = image
        self.layers = nn.Sequential(
            nn.Linear(noise, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, image * image),
            nn.Sigmoid(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.layers(noise).view(len(noise), 1, self.image, self.image)


class Discriminator(nn.Module):
    def __init__(self, hidden: int, image: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(image * image, hidden),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(hidden, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """How much each image looks like a real one, as a logit."""
        return self.layers(images).squeeze(1)
