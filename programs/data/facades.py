"""Pairs of a plan and a picture, generated: a facade with windows, as labels and as painted."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def facades(image: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Plan and picture, each of shape (1, 3, image, image) with values from -1 to 1."""
    random = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=random))

    wall, glass = torch.tensor([0.6, 0.2, -0.1]), torch.tensor([-0.7, -0.4, 0.3])
    while True:
        plan = torch.full((3, image, image), -1.0)
        picture = wall[:, None, None] + 0.1 * torch.randn(3, image, image, generator=random)
        rows, columns = number(2, 5), number(2, 5)
        height, width = image // rows, image // columns
        for row in range(rows):
            for column in range(columns):
                top, left = row * height + height // 4, column * width + width // 4
                bottom, right = top + height // 2, left + width // 2
                plan[:, top:bottom, left:right] = 1.0
                picture[:, top:bottom, left:right] = glass[:, None, None] * (1 - row / 10)
        yield plan[None], picture.clamp(-1, 1)[None]
