"""Trains LeNet to read scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from programs.data.digits import digits, shuffled
from programs.janus.lenet.model import LeNet
from programs.program import Program, main


class Training(Program):
    def __init__(
        self, seed: int, image: int, width: int, hidden: int, lr: float, batch: int
    ) -> None:
        torch.manual_seed(seed)
        self.model = LeNet(image, width, hidden, classes=10)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        self.image, self.batch, self.seed = image, batch, seed

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = digits(self.image)
        images = (images - images.mean()) / images.std()
        for rows in shuffled(len(images), self.batch, self.seed):
            yield images[rows], labels[rows]


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, image=28, width=32, hidden=512, lr=0.01, batch=50)
    return Training(seed, image=8, width=8, hidden=64, lr=0.05, batch=50)


if __name__ == "__main__":
    main(build)
