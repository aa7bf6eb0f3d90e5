"""Finds shapes in drawn scenes; images of the steps differ in size, as in the paper."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from programs.data.scenes import SHAPES, collate, scene
from programs.program import Program, main
from programs.terra.boxes import corners, overlaps
from programs.terra.yolov3.model import Configuration, YOLOv3

COCO_ANCHORS = (
    *((10, 13), (16, 30), (33, 23)),
    *((30, 61), (62, 45), (59, 119)),
    *((116, 90), (156, 198), (373, 326)),
)
CONFIGURATIONS = {
    "small": Configuration(
        classes=len(SHAPES),
        width=4,
        depths=(1, 1, 1, 1, 1),
        anchors=tuple((w * 64 / 416, h * 64 / 416) for w, h in COCO_ANCHORS),
    ),
    "paper": Configuration(classes=80, width=32, depths=(1, 2, 8, 8, 4), anchors=COCO_ANCHORS),
}


@dataclass
class Dimensions:
    """Sizes of images, one of which is chosen for each batch."""

    images: tuple[int, ...]
    batch: int
    learning_rate: float


DIMENSIONS = {
    "small": Dimensions((64, 96), 2, 3e-3),
    "paper": Dimensions((320, 416, 512), 4, 1e-3),
}


@dataclass
class Targets:
    """What the output of one scale should be, and where there is something to find."""

    box: np.ndarray
    found: np.ndarray
    classes: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...], classes: int) -> Targets:
        return cls(np.zeros((*shape, 4)), np.zeros(shape, dtype=bool), np.zeros((*shape, classes)))


def overlap_of_sizes(width: float, height: float, anchors: np.ndarray) -> np.ndarray:
    """As though a box and the anchors had one middle."""
    common = np.minimum(width, anchors[:, 0]) * np.minimum(height, anchors[:, 1])
    return common / (width * height + anchors.prod(axis=1) - common)


class Training(Program):
    chaotic = True  # the last maps of small images have few places for batch norm

    def __init__(self, configuration: Configuration, dimensions: Dimensions, seed: int) -> None:
        self.dimensions = dimensions
        self.seed = seed
        self.classes = configuration.classes
        self.anchors = np.array(configuration.anchors)
        self.model = YOLOv3(configuration)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=dimensions.learning_rate)
        self.assigned = np.zeros(len(self.anchors), dtype=np.int64)
        self.in_taken_cells = 0

    def scale_anchors(self, scale: int) -> np.ndarray:
        """Scales are counted from the coarse one, anchors from the small one."""
        return self.anchors[3 * (2 - scale) : 3 * (3 - scale)]

    def assign(
        self, outputs: list[Tensor], image: int, boxes: list[Tensor], labels: list[Tensor]
    ) -> list[Targets]:
        """Each box belongs to the anchor of its size, in the cell where its middle is."""
        targets = [Targets.empty(tuple(output.shape[:-1]), self.classes) for output in outputs]
        for index, (here, kinds) in enumerate(zip(boxes, labels)):
            for (left, top, right, bottom), kind in zip(here.tolist(), kinds.tolist()):
                width, height = right - left, bottom - top
                anchor = int(overlap_of_sizes(width, height, self.anchors).argmax())
                scale = 2 - anchor // 3
                target = targets[scale]
                cells = target.found.shape[-1]
                x, y = (left + right) / 2 / image * cells, (top + bottom) / 2 / image * cells
                column, row = min(int(x), cells - 1), min(int(y), cells - 1)
                place = (index, anchor % 3, row, column)
                if target.found[place]:
                    self.in_taken_cells += 1
                    continue
                target.found[place] = True
                target.classes[place][kind] = 1.0
                stretch = (width / self.anchors[anchor, 0], height / self.anchors[anchor, 1])
                target.box[place] = (x - column, y - row, *map(math.log, stretch))
                self.assigned[anchor] += 1
        return targets

    @torch.no_grad()
    def predicted_boxes(self, output: Tensor, scale: int, image: int) -> Tensor:
        rows, columns = output.shape[2:4]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        middle = (output[..., :2].sigmoid() + torch.stack([x, y], dim=-1)) * (image / columns)
        anchors = torch.from_numpy(self.scale_anchors(scale)).to(output)
        size = output[..., 2:4].clamp(max=4).exp() * anchors[:, None, None, :]
        return corners(middle, size)

    def elsewhere(
        self, output: Tensor, scale: int, image: int, found: Tensor, boxes: list[Tensor]
    ) -> Tensor:
        """Where nothing should be found; boxes that overlap a true one by half are let be."""
        predicted = self.predicted_boxes(output, scale, image)
        nothing = ~found
        for index, here in enumerate(boxes):
            best = overlaps(predicted[index].reshape(-1, 4), here).amax(dim=1)
            nothing[index] &= (best < 0.5).view(nothing[index].shape)
        return nothing

    def scale_loss(
        self, output: Tensor, targets: Targets, scale: int, image: int, boxes: list[Tensor]
    ) -> Tensor:
        found = torch.from_numpy(targets.found)
        nothing = self.elsewhere(output, scale, image, found, boxes)
        cross_entropy = functional.binary_cross_entropy_with_logits
        score = output[..., 4]
        loss = cross_entropy(score[nothing], torch.zeros_like(score[nothing]), reduction="sum")
        if not targets.found.any():
            return loss
        here = output[found]
        box = torch.from_numpy(targets.box[targets.found]).to(output)
        classes = torch.from_numpy(targets.classes[targets.found]).to(output)
        loss = loss + cross_entropy(here[:, 4], torch.ones_like(here[:, 4]), reduction="sum")
        loss = loss + cross_entropy(here[:, :2], box[:, :2], reduction="sum")
        loss = loss + functional.mse_loss(here[:, 2:4], box[:, 2:], reduction="sum")
        return loss + cross_entropy(here[:, 5:], classes, reduction="sum")

    def step(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        size = images.shape[-1]
        self.optimizer.zero_grad()
        outputs = self.model(images)
        targets = self.assign(outputs, size, boxes, labels)
        loss = torch.zeros(())
        for scale, (output, target) in enumerate(zip(outputs, targets)):
            loss = loss + self.scale_loss(output, target, scale, size, boxes)
        loss = loss / len(images)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
        rng = random.Random(self.seed)
        while True:
            size = rng.choice(self.dimensions.images)
            yield collate([scene(rng, size) for _ in range(self.dimensions.batch)])


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    dimensions = replace(DIMENSIONS[size], batch=batch or DIMENSIONS[size].batch)
    return Training(CONFIGURATIONS[size], dimensions, seed)


if __name__ == "__main__":
    main(build)
