"""Trains ResNet-50 on images of ImageNet's shape, the learning rate warming up."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from programs.data.images import labelled_images
from programs.janus.resnet50.model import resnet
from programs.program import Program, main


class Training(Program):
    chaotic = True

    def __init__(
        self,
        seed: int,
        depths: list[int],
        narrowest: int,
        image: int,
        classes: int,
        batch: int,
    ) -> None:
        torch.manual_seed(seed)
        self.model = resnet(depths, classes, narrowest)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
        )
        self.schedule = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, start_factor=0.1, total_iters=10
        )
        self.seed, self.image, self.classes, self.batch = seed, image, classes, batch

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.model.train()
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return labelled_images(self.image, self.classes, self.batch, self.seed)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    if size == "paper":
        return Training(
            seed, [3, 4, 6, 3], narrowest=64, image=224, classes=1000, batch=batch or 64
        )
    return Training(seed, [1, 1, 1, 1], narrowest=8, image=48, classes=4, batch=batch or 16)


if __name__ == "__main__":
    main(build)
