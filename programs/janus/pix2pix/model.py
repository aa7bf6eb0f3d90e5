"""A U-Net that paints, and a discriminator that judges patches (Isola et al., 2017)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Down(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(functional.leaky_relu(x, 0.2))
        return x if self.norm is None else self.norm(x)


class Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, dropout: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(functional.relu(x)))
        if self.dropout:
            x = functional.dropout(x, 0.5, self.training)
        return x


class UNet(nn.Module):
    """Halves the image `depth` times and doubles it again; each size has a way straight across."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [min(width * 2**i, width * 8) for i in range(depth)]
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.downs = nn.ModuleList(
            # The innermost image is one pixel, which has no variance.
            Down(a, b, norm=i < depth - 2)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.ups = nn.ModuleList()
        inputs = widths[-1]
        for i, outputs in enumerate(reversed(widths[:-1])):
            self.ups.append(Up(inputs, outputs, dropout=i < 3))
            inputs = 2 * outputs
        self.last = nn.ConvTranspose2d(inputs, 3, 4, stride=2, padding=1)

    def forward(self, plan: Tensor) -> Tensor:
        x = self.first(plan)
        across = [x]
        for down in self.downs:
            x = down(x)
            across.append(x)
        across.pop()
        for up in self.ups:
            x = torch.cat([up(x), across.pop()], dim=1)
        return torch.tanh(self.last(functional.relu(x)))


class PatchDiscriminator(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        made: list[nn.Module] = [nn.Conv2d(6, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        inputs = width
        for i in range(1, layers + 1):
            outputs = min(width * 2**i, width * 8)
            stride = 2 if i < layers else 1
            made.append(nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=False))
            made += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
            inputs = outputs
        made.append(nn.Conv2d(inputs, 1, 4, padding=1))
        self.layers = nn.Sequential(*made)

    def forward(self, plan: Tensor, picture: Tensor) -> Tensor:
        """A logit for each patch of the picture."""
        return self.layers(torch.cat([plan, picture], dim=1))
