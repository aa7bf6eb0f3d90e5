"""Trains a generator of digits against a discriminator, each with an optimizer, in turn."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from programs.data.digits import digits, shuffled
from programs.janus.an.model import Discriminator, Generator
from programs.program import Program, main


class Training(Program):
    def __init__(self, seed: int, noise: int, hidden: int, image: int, batch: int) -> None:
        torch.manual_seed(seed)
        self.generator = Generator(noise, hidden, image)
        self.discriminator = Discriminator(hidden, image)
        self.loss = nn.BCEWithLogitsLoss()
        self.optimizer_g = torch.optim.Adam(
            self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999)
        )
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999)
        )
        self.seed, self.noise, self.image, self.batch = seed, noise, image, batch

    def step(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the discriminator's loss and the generator's."""
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))

        self.optimizer_d.zero_grad()
        forged = self.generator(torch.randn(len(real), self.noise))
        loss_real = self.loss(self.discriminator(real), ones)
        loss_forged = self.loss(self.discriminator(forged.detach()), zeros)
        loss_d = loss_real + loss_forged
        loss_d.backward()
        self.optimizer_d.step()

        self.optimizer_g.zero_grad()
        loss_g = self.loss(self.discriminator(forged), ones)
        loss_g.backward()
        self.optimizer_g.step()
        return loss_d.detach(), loss_g.detach()

    def batches(self) -> Iterator[tuple[Tensor]]:
        images, _ = digits(self.image)
        for rows in shuffled(len(images), self.batch, self.seed):
            yield (images[rows],)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, noise=100, hidden=512, image=28, batch=256)
    return Training(seed, noise=16, hidden=32, image=8, batch=32)


if __name__ == "__main__":
    main(build)
