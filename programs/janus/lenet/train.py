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
    def __init__(self, seed: int, image: int, batch: int) -> None:
        torch.manual_seed(seed)
        self.model = LeNet(image)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.image, self.batch, self.seed = image, batch, seed

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = digits(self.image)
        for rows in shuffled(len(images), self.batch, self.seed):
            yield images[rows], labels[rows]


def build(seed: int, size: str) -> Training:
    return Training(seed, image=28 if size == "paper" else 8, batch=50)


if __name__ == "__main__":
    main(build)
