"""What DropBlock, SDPoint and ResNet-50 have in common: a classifier of images in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from programs.data.images import labelled_images
from programs.program import Program


@dataclass
class Dimensions:
    depths: tuple[int, ...]
    width: int
    image: int
    classes: int
    batch: int
    learning_rate: float


DIMENSIONS = {
    "small": Dimensions((1, 1, 1, 1), 8, 48, 4, batch=16, learning_rate=0.01),
    "paper": Dimensions((3, 4, 6, 3), 64, 224, 1000, batch=8, learning_rate=0.003),
}


def dimensions_of(size: str, batch: int | None) -> Dimensions:
    return replace(DIMENSIONS[size], batch=batch or DIMENSIONS[size].batch)


class ImageClassification(Program):
    def __init__(self, model: nn.Module, dimensions: Dimensions, seed: int) -> None:
        self.model = model.train()
        self.dimensions = dimensions
        self.seed = seed
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            model.parameters(), lr=dimensions.learning_rate, momentum=0.9, weight_decay=1e-4
        )

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.dimensions
        return labelled_images(size.image, size.classes, size.batch, self.seed)
