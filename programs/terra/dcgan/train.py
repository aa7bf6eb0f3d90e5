"""Images of one shape each; a generator and a discriminator that train against each other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from programs.data.scenes import scene
from programs.program import Program, main
from programs.terra.dcgan.model import Discriminator, Generator


@dataclass
class Dimensions:
    image: int
    noise: int
    width: int
    batch: int
    generator_rate: float
    discriminator_rate: float


DIMENSIONS = {
    "small": Dimensions(16, 16, 8, batch=8, generator_rate=2e-4, discriminator_rate=2e-3),
    "paper": Dimensions(64, 100, 64, batch=128, generator_rate=2e-4, discriminator_rate=2e-4),
}


def adam(network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))


class Sample:
    """Images of a fixed noise, the last few of them, to look at how the generator gets on."""

    def __init__(self, noise: Tensor, every: int = 10, kept: int = 4) -> None:
        self.noise = noise
        self.every = every
        self.kept = kept
        self.images: list[Tensor] = []

    def take(self, generator: Generator, step: int) -> None:
        if step % self.every == 0:
            with torch.no_grad():
                self.images.append(generator(self.noise).cpu())
            del self.images[: -self.kept]


class Training(Program):
    chaotic = True  # the smallest change of a logit changes what both learn from each other

    def __init__(self, dimensions: Dimensions, seed: int) -> None:
        self.dimensions = dimensions
        self.seed = seed
        image, width = dimensions.image, dimensions.width
        self.generator = Generator(dimensions.noise, width, 3, image)
        self.discriminator = Discriminator(width, 3, image)
        self.loss = nn.BCEWithLogitsLoss()
        self.generator_optimizer = adam(self.generator, dimensions.generator_rate)
        self.discriminator_optimizer = adam(self.discriminator, dimensions.discriminator_rate)
        self.sample = Sample(self.noise(4))
        self.steps = 0
        self.history: dict[str, list[float]] = {"real": [], "fake": [], "fooled": []}

    def noise(self, count: int) -> Tensor:
        return torch.randn(count, self.dimensions.noise, 1, 1)

    def train_discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        self.discriminator_optimizer.zero_grad()
        on_real = self.discriminator(real)
        real_loss = self.loss(on_real, torch.ones_like(on_real))
        real_loss.backward()
        on_fake = self.discriminator(fake.detach())
        fake_loss = self.loss(on_fake, torch.zeros_like(on_fake))
        fake_loss.backward()
        self.discriminator_optimizer.step()
        self.history["real"].append(on_real.sigmoid().mean().item())
        self.history["fake"].append(on_fake.sigmoid().mean().item())
        return (real_loss + fake_loss).detach()

    def train_generator(self, fake: Tensor) -> Tensor:
        self.generator_optimizer.zero_grad()
        judged = self.discriminator(fake)
        loss = self.loss(judged, torch.ones_like(judged))
        loss.backward()
        self.generator_optimizer.step()
        self.history["fooled"].append(judged.sigmoid().mean().item())
        return loss.detach()

    def step(self, real: Tensor) -> tuple[Tensor, Tensor]:
        fake = self.generator(self.noise(real.size(0)))
        discriminator_loss = self.train_discriminator(real, fake)
        generator_loss = self.train_generator(fake)
        self.sample.take(self.generator, self.steps)
        self.steps += 1
        return discriminator_loss, generator_loss

    def batches(self) -> Iterator[tuple[Tensor]]:
        rng = random.Random(self.seed)
        size = self.dimensions
        while True:
            images = [scene(rng, size.image, most=1).image for _ in range(size.batch)]
            yield (torch.stack(images) * 2 - 1,)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    dimensions = replace(DIMENSIONS[size], batch=batch or DIMENSIONS[size].batch)
    return Training(dimensions, seed)


if __name__ == "__main__":
    main(build)
