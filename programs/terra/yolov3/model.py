"""YOLOv3 (Redmon and Farhadi, 2018): Darknet, and boxes predicted at three scales of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Configuration:
    """`anchors` are widths and heights in pixels, three for each scale, small ones first."""

    classes: int
    width: int
    depths: tuple[int, ...]
    anchors: tuple[tuple[float, float], ...]


class Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1),
        )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = Convolution(width, width // 2, 1)
        self.wide = Convolution(width // 2, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.wide(self.narrow(x))
        return y


class Darknet(nn.Module):
    """Five stages, each half as large as the one before; returns what the last three make."""

    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = Convolution(3, width, 3)
        self.stages = nn.ModuleList()
        for depth in depths:
            down = Convolution(width, width * 2, 3, stride=2)
            width *= 2
            self.stages.append(nn.Sequential(down, *(Residual(width) for _ in range(depth))))

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-3:]


class Neck(nn.Sequential):
    """Five convolutions, narrow and wide in turn."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            Convolution(inputs, width, 1),
            Convolution(width, width * 2, 3),
            Convolution(width * 2, width, 1),
            Convolution(width, width * 2, 3),
            Convolution(width * 2, width, 1),
        )


class Head(nn.Sequential):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__(Convolution(width, width * 2, 3), nn.Conv2d(width * 2, outputs, 1))


class YOLOv3(nn.Module):
    """For each scale, coarse to fine, [image, anchor, row, column, 5 + classes] of raw numbers."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.fields = 5 + configuration.classes
        self.darknet = Darknet(configuration.width, configuration.depths)
        widest = configuration.width * 32
        self.necks = nn.ModuleList()
        self.heads = nn.ModuleList()
        self.laterals = nn.ModuleList()
        for scale in range(3):
            width = widest // 2 ** (scale + 1)
            inputs = widest if scale == 0 else width * 3
            self.necks.append(Neck(inputs, width))
            self.heads.append(Head(width, 3 * self.fields))
            if scale < 2:
                self.laterals.append(Convolution(width, width // 2, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        outputs = []
        coarser: Tensor | None = None
        for scale, features in enumerate(reversed(self.darknet(images))):
            if coarser is not None:
                lateral = self.laterals[scale - 1](coarser)
                larger = functional.interpolate(lateral, scale_factor=2, mode="nearest")
                features = torch.cat([larger, features], dim=1)
            coarser = self.necks[scale](features)
            raw = self.heads[scale](coarser)
            batch, _, rows, columns = raw.shape
            raw = raw.view(batch, 3, self.fields, rows, columns)
            outputs.append(raw.permute(0, 1, 3, 4, 2))
        return outputs
