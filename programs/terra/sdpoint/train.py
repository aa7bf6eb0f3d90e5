"""Image classification; each step trains the network at another cost."""

from __future__ import annotations

import collections
import random

import torch
from torch import Tensor

from programs.program import main
from programs.terra.images import Dimensions, ImageClassification, dimensions_of
from programs.terra.sdpoint.model import DownsamplingPoint, SDPointResNet


class Training(ImageClassification):
    chaotic = True
    model: SDPointResNet

    def __init__(self, dimensions: Dimensions, seed: int) -> None:
        model = SDPointResNet(dimensions.classes, dimensions.depths, dimensions.width)
        super().__init__(model, dimensions, seed)
        self.choices: list[DownsamplingPoint | None] = [None, *model.points()]
        self.chosen: collections.Counter[DownsamplingPoint | None] = collections.Counter()

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.model.point = random.choice(self.choices)
        self.chosen[self.model.point] += 1
        return super().step(images, labels)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    random.seed(seed)
    return Training(dimensions_of(size, batch), seed)


if __name__ == "__main__":
    main(build)
