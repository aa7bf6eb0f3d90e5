"""Drawn scenes of shapes, and the boxes that they are in."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

SHAPES = ("rectangle", "disc", "frame")


@dataclass
class Scene:
    """`boxes` are corners in pixels, (left, top, right, bottom); `labels` count SHAPES."""

    image: Tensor
    boxes: Tensor
    labels: Tensor


def paint(image: Tensor, shape: str, box: tuple[int, int, int, int], colour: Tensor) -> None:
    left, top, right, bottom = box
    inside = image[:, top:bottom, left:right]
    y = torch.linspace(-1, 1, bottom - top).view(-1, 1)
    x = torch.linspace(-1, 1, right - left).view(1, -1)
    if shape == "disc":
        painted = x * x + y * y <= 1
    elif shape == "frame":
        painted = torch.maximum(x.abs(), y.abs()) > 0.6
    else:
        painted = torch.ones(inside.shape[1:], dtype=torch.bool)
    inside[:, painted] = colour.view(3, 1)


def scene(rng: random.Random, size: int, most: int = 4) -> Scene:
    """Up to `most` shapes, later ones over earlier ones, on a grey ground with noise."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    image = 0.5 + 0.05 * torch.randn(3, size, size, generator=generator)
    boxes, labels = [], []
    for _ in range(rng.randint(1, most)):
        width, height = (rng.randint(size // 6, size // 2) for _ in range(2))
        left, top = rng.randint(0, size - width), rng.randint(0, size - height)
        label = rng.randrange(len(SHAPES))
        box = (left, top, left + width, top + height)
        paint(image, SHAPES[label], box, torch.rand(3, generator=generator))
        boxes.append(box)
        labels.append(label)
    return Scene(image, torch.tensor(boxes, dtype=image.dtype), torch.tensor(labels))


def collate(scenes: list[Scene]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Images as one tensor; boxes and labels of each, of which there are more or fewer."""
    images = torch.stack([scene.image for scene in scenes])
    return images, [scene.boxes for scene in scenes], [scene.labels for scene in scenes]
