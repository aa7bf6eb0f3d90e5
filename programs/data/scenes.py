"""Drawn images: gratings told apart by colour and direction, and scenes of shapes in boxes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

SHAPES = ("rectangle", "disc", "frame")


def gratings(labels: Tensor, image: int, classes: int, generator: torch.Generator) -> Tensor:
    """One image for each label, with values around 0: waves in the label's direction and tint."""
    count = len(labels)
    angle = (labels * math.pi / classes).view(-1, 1, 1, 1)
    tint = torch.cat([angle.cos(), angle.sin(), (2 * angle).cos()], dim=1)
    phase = torch.rand(count, 3, 1, 1, generator=generator) * 2 * math.pi
    y = torch.linspace(-1, 1, image).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, image).view(1, 1, 1, -1)
    waves = torch.sin(6 * math.pi * (x * angle.cos() + y * angle.sin()) + phase)
    return waves + tint + 0.3 * torch.randn(count, 3, image, image, generator=generator)


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
