"""DCGAN (Radford et al., 2015): a generator and a discriminator of convolutions."""

from __future__ import annotations

from torch import Tensor, nn


def initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """From noise to an image of `size` (a power of two), doubling it from 4x4 on."""

    def __init__(self, noise: int, width: int, channels: int, size: int) -> None:
        super().__init__()
        features = width * size // 8
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(noise, features, 4, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(True),
        ]
        while features > width:
            layers += [
                nn.ConvTranspose2d(features, features // 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(features // 2),
                nn.ReLU(True),
            ]
            features //= 2
        layers += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise)

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.layers(noise)
        return images


class Discriminator(nn.Module):
    """How real an image looks, one logit each."""

    def __init__(self, width: int, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        features = width
        while features < width * size // 8:
            layers += [
                nn.Conv2d(features, features * 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(features * 2),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            features *= 2
        layers += [nn.Conv2d(features, 1, 4)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.view(-1)
