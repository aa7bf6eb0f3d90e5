"""Trains Inception-v3 on images of ImageNet's shape, with the auxiliary head."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from programs.data.images import labelled_images
from programs.janus.inception_v3.model import Inception
from programs.program import Program, main


class Training(Program):
    chaotic = True

    def __init__(self, seed: int, width: float, image: int, classes: int, batch: int) -> None:
        torch.manual_seed(seed)
        self.model = Inception(classes, width)
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(), lr=0.005, alpha=0.9, momentum=0.9, eps=1.0
        )
        self.seed, self.image, self.classes, self.batch = seed, image, classes, batch

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.model.train()
        self.optimizer.zero_grad()
        logits, auxiliary = self.model(images)
        loss = self.loss(logits, labels)
        if auxiliary is not None:
            loss = loss + 0.4 * self.loss(auxiliary, labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return labelled_images(self.image, self.classes, self.batch, self.seed)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    if size == "paper":
        return Training(seed, 1.0, image=299, classes=1000, batch=batch or 64)
    return Training(seed, 0.125, image=75, classes=4, batch=batch or 8)


if __name__ == "__main__":
    main(build)
