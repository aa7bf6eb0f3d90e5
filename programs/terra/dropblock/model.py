"""A ResNet-50 with DropBlock (Ghiasi et al., 2018): whole squares of a feature map are dropped."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.terra.resnet50.model import ResNet50


class DropBlock(nn.Module):
    """`keep_probability` is a plain number, which whoever trains the network changes."""

    def __init__(self, block_size: int) -> None:
        super().__init__()
        self.block_size = block_size
        self.keep_probability = 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.keep_probability == 1.0:
            return x
        height, width = x.shape[-2:]
        size = min(self.block_size, height, width)
        # How many of the places where a block fits must be seeds, that so many values fall away.
        places = (height - size + 1) * (width - size + 1)
        rate = (1 - self.keep_probability) / size**2 * height * width / places
        seeds = torch.rand(x.shape[0], 1, height - size + 1, width - size + 1) < rate
        before = size - 1
        dropped = functional.max_pool2d(
            functional.pad(seeds.to(x.dtype), [before, before, before, before]), size, stride=1
        )
        kept = 1 - dropped
        if kept.sum() == 0:
            return x
        return x * kept * (kept.numel() / kept.sum())


class DropBlockResNet(ResNet50):
    """Blocks fall away in the last stages only, after each residual block."""

    def __init__(
        self,
        classes: int,
        depths: tuple[int, ...],
        width: int,
        block_size: int,
        dropped_stages: int = 2,
    ) -> None:
        super().__init__(classes, depths, width)
        self.dropblock = DropBlock(block_size)
        self.first_dropped = sum(depths[:-dropped_stages])

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index >= self.first_dropped:
                x = self.dropblock(x)
        logits: Tensor = self.head(torch.flatten(self.pool(x), 1))
        return logits
