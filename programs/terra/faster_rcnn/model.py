"""Faster R-CNN (Ren et al., 2015): a network proposes regions, another says what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.terra.boxes import clip, decode, suppress


@dataclass
class Configuration:
    classes: int
    backbone: tuple[int | str, ...]
    anchor_sizes: tuple[int, ...]
    hidden: int
    before_suppression: int
    after_suppression: int
    smallest: float
    anchor_shapes: tuple[float, ...] = (0.5, 1.0, 2.0)


class Backbone(nn.Sequential):
    """VGG's convolutions: widths, and "halve" where the image gets half as large."""

    def __init__(self, plan: tuple[int | str, ...]) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for item in plan:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, item, 3, padding=1), nn.ReLU(inplace=True)]
                channels = item
        super().__init__(*layers)
        self.channels = channels
        self.stride: int = 2 ** plan.count("halve")


class Anchors:
    """Boxes of all sizes and shapes around every place of a map, made once for each map's size."""

    def __init__(self, sizes: tuple[int, ...], shapes: tuple[float, ...], stride: int) -> None:
        self.stride = stride
        self.sides = [
            (size * shape**-0.5 / 2, size * shape**0.5 / 2) for size in sizes for shape in shapes
        ]
        self.known: dict[tuple[int, int], Tensor] = {}

    def __call__(self, height: int, width: int) -> Tensor:
        try:
            return self.known[height, width]
        except KeyError:
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            middle = (torch.stack([x, y, x, y], dim=-1) + 0.5) * self.stride
            around = torch.tensor([(-w, -h, w, h) for w, h in self.sides])
            anchors = (middle[:, :, None, :] + around).reshape(-1, 4)
            self.known[height, width] = anchors
            return anchors


class ProposalNetwork(nn.Module):
    def __init__(self, configuration: Configuration, channels: int, anchors: int) -> None:
        super().__init__()
        self.configuration = configuration
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, anchors * 4, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """For each image and anchor, how much it looks like an object, and where that is."""
        hidden = functional.relu(self.hidden(features))
        batch = features.shape[0]
        objectness = self.objectness(hidden).permute(0, 2, 3, 1).reshape(batch, -1)
        deltas = self.deltas(hidden).permute(0, 2, 3, 1).reshape(batch, -1, 4)
        return objectness, deltas

    @torch.no_grad()
    def proposals(
        self, objectness: Tensor, deltas: Tensor, anchors: Tensor, height: int, width: int
    ) -> Iterator[Tensor]:
        """The boxes of one image after the other; how many there are is up to the image."""
        for scores, moves in zip(objectness, deltas):
            boxes = clip(decode(moves, anchors), height, width)
            large = ((boxes[:, 2:] - boxes[:, :2]) >= self.configuration.smallest).all(dim=1)
            boxes, scores = boxes[large], scores[large]
            count = min(self.configuration.before_suppression, len(scores))
            best = scores.topk(count).indices
            if count > 0:
                best = best[suppress(boxes[best], scores[best], 0.7)]
            yield boxes[best[: self.configuration.after_suppression]]


def pool_regions(features: Tensor, boxes: Tensor, stride: int, size: int = 7) -> Tensor:
    """The largest values in a grid of `size` by `size` cells over each box of one feature map."""
    height, width = features.shape[-2:]
    regions = []
    for left, top, right, bottom in (boxes / stride).tolist():
        x, y = min(int(left), width - 1), min(int(top), height - 1)
        region = features[:, y : max(y + 1, round(bottom)), x : max(x + 1, round(right))]
        regions.append(functional.adaptive_max_pool2d(region, size))
    return torch.stack(regions)


class RegionHead(nn.Module):
    """What is in a region, class 0 being nothing, and for each class where exactly."""

    def __init__(self, configuration: Configuration, channels: int) -> None:
        super().__init__()
        hidden = configuration.hidden
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.classes = nn.Linear(hidden, configuration.classes + 1)
        self.deltas = nn.Linear(hidden, (configuration.classes + 1) * 4)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.layers(regions)
        return self.classes(hidden), self.deltas(hidden).view(len(regions), -1, 4)


class FasterRCNN(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.backbone = Backbone(configuration.backbone)
        channels = self.backbone.channels
        self.anchors = Anchors(
            configuration.anchor_sizes, configuration.anchor_shapes, self.backbone.stride
        )
        self.proposer = ProposalNetwork(configuration, channels, len(self.anchors.sides))
        self.head = RegionHead(configuration, channels)

    def classify(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(pool_regions(features, boxes, self.backbone.stride))
