"""Image classification; more and more is dropped as training goes on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from programs.program import main
from programs.terra.dropblock.model import DropBlock, DropBlockResNet
from programs.terra.images import Dimensions, ImageClassification, dimensions_of

BLOCK_SIZE = {"small": 2, "paper": 7}
STEPS_TO_FULL_DROP = {"small": 10, "paper": 10000}


class KeepSchedule:
    """From keeping all to keeping `last`, in even steps."""

    def __init__(self, dropblock: DropBlock, last: float, steps: int) -> None:
        self.dropblock = dropblock
        self.values = np.linspace(1.0, last, steps)
        self.done = 0

    def step(self) -> None:
        if self.done < len(self.values):
            self.dropblock.keep_probability = self.values[self.done]
        self.done += 1


class Training(ImageClassification):
    chaotic = True
    model: DropBlockResNet

    def __init__(self, dimensions: Dimensions, block_size: int, steps: int, seed: int) -> None:
        model = DropBlockResNet(dimensions.classes, dimensions.depths, dimensions.width, block_size)
        super().__init__(model, dimensions, seed)
        self.schedule = KeepSchedule(model.dropblock, 0.9, steps)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.schedule.step()
        return super().step(images, labels)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(dimensions_of(size, batch), BLOCK_SIZE[size], STEPS_TO_FULL_DROP[size], seed)


if __name__ == "__main__":
    main(build)
