"""A ResNet-50 with SDPoint (Kuen et al., 2018): at one point of it the image gets smaller."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from programs.terra.resnet50.model import ResNet50


@dataclass(frozen=True)
class DownsamplingPoint:
    """After which block, and to which share of its width and height."""

    block: int
    ratio: float


class SDPointResNet(ResNet50):
    """`point` is None for the whole cost; the one who trains chooses another for each step."""

    point: DownsamplingPoint | None = None

    def points(self, ratios: tuple[float, ...] = (0.5, 0.75)) -> list[DownsamplingPoint]:
        return [DownsamplingPoint(b, ratio) for b in range(len(self.blocks)) for ratio in ratios]

    def downsample(self, x: Tensor) -> Tensor:
        assert self.point is not None
        height, width = (max(1, round(size * self.point.ratio)) for size in x.shape[-2:])
        return functional.adaptive_avg_pool2d(x, (height, width))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if self.point is not None and self.point.block == index:
                x = self.downsample(x)
        logits: Tensor = self.head(torch.flatten(self.pool(x), 1))
        return logits
