"""Scikit-learn's 1,797 handwritten digits, 8 by 8 pixels, enlarged to what the networks want."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional


@cache
def digits(image: int) -> tuple[Tensor, Tensor]:
    """Images of shape (n, 1, image, image) with values from 0 to 1, and their labels."""
    loaded = load_digits()
    pixels = torch.from_numpy(loaded.images).float().unsqueeze(1) / 16
    if image != pixels.shape[-1]:
        pixels = functional.interpolate(pixels, size=(image, image), mode="bilinear")
    return pixels, torch.from_numpy(loaded.target).long()


def shuffled(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Row numbers of one batch after the other, epoch after epoch, full batches only."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]
