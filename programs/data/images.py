"""Coloured images that are generated: each class has a pattern of its own, under noise."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def labelled_images(
    image: int, classes: int, batch: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images of shape (batch, 3, image, image), and their labels."""
    random = torch.Generator().manual_seed(seed)
    patterns = torch.randn(classes, 3, 8, 8, generator=random)
    while True:
        labels = torch.randint(0, classes, (batch,), generator=random)
        clean = functional.interpolate(patterns[labels], size=(image, image), mode="bilinear")
        yield clean + 0.5 * torch.randn(clean.shape, generator=random), labels
