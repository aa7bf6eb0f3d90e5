"""Inception-v3 (Szegedy et al., 2015). `width` makes every layer narrower."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv(nn.Module):
    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)), inplace=True)


class Branches(nn.Module):
    """Runs each of its branches and puts their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Inception(nn.Module):
    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        w = self.channels
        self.stem = nn.Sequential(
            Conv(3, w(32), 3, stride=2),
            Conv(w(32), w(32), 3),
            Conv(w(32), w(64), 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            Conv(w(64), w(80), 1),
            Conv(w(80), w(192), 3),
            nn.MaxPool2d(3, stride=2),
        )
        fine = [self.fine(w(192), w(32))]
        fine += [self.fine(w(64) + w(64) + w(96) + w(pool), w(64)) for pool in (32, 64)]
        self.fine_blocks = nn.ModuleList(fine)
        inputs = 2 * w(64) + w(96) + w(64)
        self.reduce1 = self.first_reduction(inputs)
        inputs += w(384) + w(96)
        middle = []
        for seven in (128, 160, 160, 192):
            middle.append(self.factorized(inputs, w(seven)))
            inputs = 4 * w(192)
        self.middle_blocks = nn.ModuleList(middle)
        self.auxiliary = Auxiliary(inputs, w(128), w(768), classes)
        self.reduce2 = self.second_reduction(inputs)
        inputs += w(320) + w(192)
        coarse = []
        for _ in range(2):
            coarse.append(self.expanded(inputs))
            inputs = w(320) + 4 * w(384) + w(192)
        self.coarse_blocks = nn.ModuleList(coarse)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(inputs, classes)

    def channels(self, full: int) -> int:
        return max(1, round(full * self.width))

    def fine(self, inputs: int, pool: int) -> nn.Module:
        w = self.channels
        return Branches(
            Conv(inputs, w(64), 1),
            nn.Sequential(Conv(inputs, w(48), 1), Conv(w(48), w(64), 5, padding=2)),
            nn.Sequential(
                Conv(inputs, w(64), 1),
                Conv(w(64), w(96), 3, padding=1),
                Conv(w(96), w(96), 3, padding=1),
            ),
            nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), Conv(inputs, pool, 1)),
        )

    def first_reduction(self, inputs: int) -> nn.Module:
        w = self.channels
        return Branches(
            Conv(inputs, w(384), 3, stride=2),
            nn.Sequential(
                Conv(inputs, w(64), 1),
                Conv(w(64), w(96), 3, padding=1),
                Conv(w(96), w(96), 3, stride=2),
            ),
            nn.MaxPool2d(3, stride=2),
        )

    def factorized(self, inputs: int, seven: int) -> nn.Module:
        """Convolutions over 7x7 as one over a row and one over a column."""
        out = self.channels(192)
        row, column = ((1, 7), (0, 3)), ((7, 1), (3, 0))

        def conv(inputs: int, outputs: int, way: tuple[tuple[int, int], tuple[int, int]]) -> Conv:
            return Conv(inputs, outputs, way[0], padding=way[1])

        return Branches(
            Conv(inputs, out, 1),
            nn.Sequential(
                Conv(inputs, seven, 1), conv(seven, seven, row), conv(seven, out, column)
            ),
            nn.Sequential(
                Conv(inputs, seven, 1),
                conv(seven, seven, column),
                conv(seven, seven, row),
                conv(seven, seven, column),
                conv(seven, out, row),
            ),
            nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), Conv(inputs, out, 1)),
        )

    def second_reduction(self, inputs: int) -> nn.Module:
        w = self.channels
        return Branches(
            nn.Sequential(Conv(inputs, w(192), 1), Conv(w(192), w(320), 3, stride=2)),
            nn.Sequential(
                Conv(inputs, w(192), 1),
                Conv(w(192), w(192), (1, 7), padding=(0, 3)),
                Conv(w(192), w(192), (7, 1), padding=(3, 0)),
                Conv(w(192), w(192), 3, stride=2),
            ),
            nn.MaxPool2d(3, stride=2),
        )

    def expanded(self, inputs: int) -> nn.Module:
        w = self.channels

        def both() -> nn.Module:
            return Branches(
                Conv(w(384), w(384), (1, 3), padding=(0, 1)),
                Conv(w(384), w(384), (3, 1), padding=(1, 0)),
            )

        return Branches(
            Conv(inputs, w(320), 1),
            nn.Sequential(Conv(inputs, w(384), 1), both()),
            nn.Sequential(Conv(inputs, w(448), 1), Conv(w(448), w(384), 3, padding=1), both()),
            nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), Conv(inputs, w(192), 1)),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits, and while training those of the auxiliary head."""
        x = self.stem(images)
        for block in self.fine_blocks:
            x = block(x)
        x = self.reduce1(x)
        for block in self.middle_blocks:
            x = block(x)
        auxiliary = self.auxiliary(x) if self.training else None
        x = self.reduce2(x)
        for block in self.coarse_blocks:
            x = block(x)
        x = functional.adaptive_avg_pool2d(x, 1)
        return self.head(torch.flatten(self.dropout(x), 1)), auxiliary


class Auxiliary(nn.Module):
    """A classifier half-way, which helps the gradient along."""

    def __init__(self, inputs: int, narrow: int, wide: int, classes: int) -> None:
        super().__init__()
        self.reduce = Conv(inputs, narrow, 1)
        self.conv = Conv(narrow, wide, 5)
        self.head = nn.Linear(wide, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(functional.adaptive_avg_pool2d(x, 5))
        return self.head(torch.flatten(self.conv(x), 1))
