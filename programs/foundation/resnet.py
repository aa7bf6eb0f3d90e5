"""ResNet-18 and ResNet-50 on 224x224 images (He et al., 2015), written out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from programs.foundation.training import TrainingProgram


def projection(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if inputs == outputs and stride == 1:
        return None
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = projection(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += shortcut
        result: Tensor = self.relu(y)
        return result


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += shortcut
        result: Tensor = self.relu(y)
        return result


class ResNet(nn.Module):
    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: list[int],
        classes: int,
        narrowest: int = 64,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, narrowest, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(narrowest),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        inputs = narrowest
        for stage, depth in enumerate(depths):
            width = narrowest * 2**stage
            for index in range(depth):
                blocks.append(block(inputs, width, stride=2 if stage > 0 and index == 0 else 1))
                inputs = width * block.expansion
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(torch.flatten(self.pool(x), 1))
        return logits


def _build(
    seed: int,
    optimizer: str,
    block: type[BasicBlock] | type[Bottleneck],
    depths: list[int],
    image: int,
    classes: int,
) -> TrainingProgram:
    torch.manual_seed(seed)
    return TrainingProgram(
        ResNet(block, depths, classes),
        optimizer,
        lambda size, random: torch.randn(size, 3, image, image, generator=random),
        classes=classes,
    )


def build18(
    seed: int, optimizer: str = "sgd", image: int = 224, classes: int = 1000
) -> TrainingProgram:
    return _build(seed, optimizer, BasicBlock, [2, 2, 2, 2], image, classes)


def build50(
    seed: int, optimizer: str = "sgd", image: int = 224, classes: int = 1000
) -> TrainingProgram:
    return _build(seed, optimizer, Bottleneck, [3, 4, 6, 3], image, classes)
