"""Trains the U-Net to paint facades from plans, one at a time, against the discriminator."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.facades import facades
from programs.janus.pix2pix.model import PatchDiscriminator, UNet
from programs.program import Program, main


def freeze(model: nn.Module, frozen: bool) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(not frozen)


class Training(Program):
    chaotic = True

    def __init__(self, seed: int, image: int, width: int, depth: int, layers: int) -> None:
        torch.manual_seed(seed)
        self.generator = UNet(width, depth)
        self.discriminator = PatchDiscriminator(width, layers)
        self.optimizer_g = torch.optim.Adam(
            self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999)
        )
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999)
        )
        self.seed, self.image = seed, image

    def judge(self, logits: Tensor, real: bool) -> Tensor:
        wanted = torch.ones_like(logits) if real else torch.zeros_like(logits)
        return functional.binary_cross_entropy_with_logits(logits, wanted)

    def step(self, plan: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the generator's loss and the discriminator's."""
        painted = self.generator(plan)

        freeze(self.discriminator, False)
        self.optimizer_d.zero_grad()
        loss_forged = self.judge(self.discriminator(plan, painted.detach()), real=False)
        loss_real = self.judge(self.discriminator(plan, picture), real=True)
        loss_d = 0.5 * (loss_forged + loss_real)
        loss_d.backward()
        self.optimizer_d.step()

        freeze(self.discriminator, True)
        self.optimizer_g.zero_grad()
        loss_g = self.judge(self.discriminator(plan, painted), real=True)
        loss_g = loss_g + 100 * functional.l1_loss(painted, picture)
        loss_g.backward()
        self.optimizer_g.step()
        return loss_g.detach(), loss_d.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return facades(self.image, self.seed)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, image=256, width=64, depth=8, layers=3)
    return Training(seed, image=64, width=8, depth=4, layers=2)


if __name__ == "__main__":
    main(build)
