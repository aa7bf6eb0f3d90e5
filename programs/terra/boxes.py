"""Boxes as (left, top, right, bottom): overlaps, deltas between boxes, suppression of doubles."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_STRETCH = 4.0


def areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair."""
    corner = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (opposite - corner).clamp(min=0).prod(dim=-1)
    return common / (areas(boxes)[:, None] + areas(others)[None, :] - common)


def centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Middle points and sizes."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def corners(middle: Tensor, size: Tensor) -> Tensor:
    return torch.cat([middle - size / 2, middle + size / 2], dim=-1)


def encode(boxes: Tensor, references: Tensor) -> Tensor:
    """What moves the references onto the boxes: shifts in their own size, and logs of stretches."""
    middle, size = centres(boxes)
    reference_middle, reference_size = centres(references)
    shift = (middle - reference_middle) / reference_size
    return torch.cat([shift, torch.log(size / reference_size)], dim=-1)


def decode(deltas: Tensor, references: Tensor) -> Tensor:
    middle, size = centres(references)
    stretch = deltas[..., 2:].clamp(max=LARGEST_STRETCH).exp()
    return corners(middle + deltas[..., :2] * size, size * stretch)


def clip(boxes: Tensor, height: int, width: int) -> Tensor:
    left, top, right, bottom = boxes.unbind(dim=-1)
    return torch.stack(
        [
            left.clamp(0, width),
            top.clamp(0, height),
            right.clamp(0, width),
            bottom.clamp(0, height),
        ],
        dim=-1,
    )


def suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression: which boxes stay, the best first."""
    order = scores.argsort(descending=True)
    kept = []
    while order.numel() > 0:
        best = order[0]
        kept.append(best)
        rest = order[1:]
        overlap = overlaps(boxes[best].unsqueeze(0), boxes[rest]).squeeze(0)
        order = rest[overlap <= threshold]
    return torch.stack(kept)
