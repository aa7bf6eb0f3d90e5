"""Finds shapes in drawn scenes: the four losses of Faster R-CNN in one step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.scenes import SHAPES, collate, scene
from programs.program import Program, main
from programs.terra.boxes import encode, overlaps
from programs.terra.faster_rcnn.model import Configuration, FasterRCNN

VGG16 = (64, 64, "halve", 128, 128, "halve", *[256] * 3, "halve", *[512] * 3, "halve", *[512] * 3)
CONFIGURATIONS = {
    "small": Configuration(
        classes=len(SHAPES),
        backbone=(8, "halve", 16, "halve", 16, "halve", 32),
        anchor_sizes=(16, 32),
        hidden=32,
        before_suppression=24,
        after_suppression=8,
        smallest=4.0,
    ),
    "paper": Configuration(
        classes=20,
        backbone=VGG16,
        anchor_sizes=(128, 256, 512),
        hidden=4096,
        before_suppression=2000,
        after_suppression=300,
        smallest=16.0,
    ),
}


@dataclass
class Dimensions:
    image: int
    batch: int
    anchors_sampled: int
    regions_sampled: int
    learning_rate: float


DIMENSIONS = {
    "small": Dimensions(64, 2, 32, 8, learning_rate=0.01),
    "paper": Dimensions(600, 1, 256, 128, learning_rate=0.001),
}


def sample(labels: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Some that have an object, at most that share, and some that have none; -1 is neither."""
    positive = torch.nonzero(labels > 0).flatten()
    negative = torch.nonzero(labels == 0).flatten()
    positives = min(len(positive), int(count * share))
    negatives = min(len(negative), count - positives)
    positive = positive[torch.randperm(len(positive))[:positives]]
    negative = negative[torch.randperm(len(negative))[:negatives]]
    return positive, negative


def label_anchors(anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """1, 0 or -1 for each anchor, and the box that it overlaps most."""
    overlap = overlaps(anchors, boxes)
    best, match = overlap.max(dim=1)
    labels = torch.full((len(anchors),), -1)
    labels[best < 0.3] = 0
    labels[best >= 0.7] = 1
    # A box that no anchor fits well takes the best that there is.
    for box in range(len(boxes)):
        if not (labels[match == box] == 1).any():
            anchor = overlap[:, box].argmax()
            labels[anchor] = 1
            match[anchor] = box
    return labels, match


def label_regions(regions: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    best, match = overlaps(regions, boxes).max(dim=1)
    return torch.where(best >= 0.5, labels[match] + 1, 0), match


class Training(Program):
    chaotic = True  # of two boxes with like scores the better one suppresses the other

    def __init__(self, configuration: Configuration, dimensions: Dimensions, seed: int) -> None:
        self.dimensions = dimensions
        self.seed = seed
        self.model = FasterRCNN(configuration)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=dimensions.learning_rate, momentum=0.9, weight_decay=5e-4
        )
        self.losses: dict[str, float] = {}
        self.images_without_background = 0

    def proposal_losses(
        self, objectness: Tensor, deltas: Tensor, anchors: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        labels, match = label_anchors(anchors, boxes)
        positive, negative = sample(labels, self.dimensions.anchors_sampled, 0.5)
        sampled = torch.cat([positive, negative])
        object_loss = functional.binary_cross_entropy_with_logits(
            objectness[sampled], labels[sampled].to(objectness.dtype)
        )
        moves = encode(boxes[match[positive]], anchors[positive])
        box_loss = functional.smooth_l1_loss(deltas[positive], moves, beta=1 / 9, reduction="sum")
        return object_loss, box_loss / len(sampled)

    def region_losses(
        self, features: Tensor, regions: Tensor, boxes: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        # The true boxes are among the regions, so that there is something to learn from at first.
        regions = torch.cat([regions, boxes])
        found, match = label_regions(regions, boxes, labels)
        positive, negative = sample(found, self.dimensions.regions_sampled, 0.25)
        sampled = torch.cat([positive, negative])
        if len(negative) == 0:
            self.images_without_background += 1
        scores, deltas = self.model.classify(features, regions[sampled])
        class_loss = functional.cross_entropy(scores, found[sampled])
        moves = encode(boxes[match[positive]], regions[positive])
        predicted = deltas[torch.arange(len(positive)), found[positive]]
        box_loss = functional.smooth_l1_loss(predicted, moves, reduction="sum")
        return class_loss, box_loss / len(sampled)

    def step(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        self.optimizer.zero_grad()
        features = self.model.backbone(images)
        objectness, deltas = self.model.proposer(features)
        anchors = self.model.anchors(*features.shape[-2:])
        proposals = self.model.proposer.proposals(objectness, deltas, anchors, height, width)
        sums: dict[str, Tensor] = {}
        for index, regions in enumerate(proposals):
            here = boxes[index]
            losses = (
                *self.proposal_losses(objectness[index], deltas[index], anchors, here),
                *self.region_losses(features[index], regions, here, labels[index]),
            )
            for name, loss in zip(("object", "proposal", "class", "box"), losses):
                sums[name] = sums.get(name, 0) + loss / len(images)
        total = torch.stack(list(sums.values())).sum()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.losses = {name: loss.item() for name, loss in sums.items()}
        return total.detach()

    def batches(self) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
        rng = random.Random(self.seed)
        while True:
            size = self.dimensions
            yield collate([scene(rng, size.image) for _ in range(size.batch)])


def build(seed: int, size: str) -> Training:
    torch.manual_seed(seed)
    return Training(CONFIGURATIONS[size], DIMENSIONS[size], seed)


if __name__ == "__main__":
    main(build)
