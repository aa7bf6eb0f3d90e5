"""Image classification with metrics, which lower the learning rate when the loss stays."""

from __future__ import annotations

import torch
from torch import Tensor

from programs.program import main
from programs.terra.images import Dimensions, ImageClassification, dimensions_of
from programs.terra.resnet50.model import ResNet50


class RunningAverage:
    def __init__(self, fade: float = 0.9) -> None:
        self.fade = fade
        self.value: float | None = None

    def add(self, value: float) -> None:
        if self.value is None:
            self.value = value
        else:
            self.value = self.fade * self.value + (1 - self.fade) * value


class Metrics:
    """Running averages by name, when the loss was lowest, and how long ago that is."""

    def __init__(self) -> None:
        self.averages: dict[str, RunningAverage] = {}
        self.steps = 0
        self.best_loss = float("inf")
        self.best_step = 0

    def update(self, **values: Tensor) -> None:
        self.steps += 1
        for name, value in values.items():
            if name not in self.averages:
                self.averages[name] = RunningAverage()
            self.averages[name].add(value.item())
        loss = self.averages["loss"].value
        assert loss is not None
        if loss < self.best_loss:
            self.best_loss = loss
            self.best_step = self.steps

    @property
    def steps_without_progress(self) -> int:
        return self.steps - self.best_step


class Training(ImageClassification):
    chaotic = True

    def __init__(self, dimensions: Dimensions, seed: int, patience: int = 5) -> None:
        model = ResNet50(dimensions.classes, dimensions.depths, dimensions.width)
        super().__init__(model, dimensions, seed)
        self.metrics = Metrics()
        self.patience = patience

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        logits = self.model(images)
        loss = self.loss(logits, labels)
        loss.backward()
        self.optimizer.step()

        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self.metrics.update(loss=loss, accuracy=accuracy)
        if self.metrics.steps_without_progress >= self.patience:
            for group in self.optimizer.param_groups:
                group["lr"] *= 0.5
            self.metrics.best_step = self.metrics.steps
        return loss.detach()


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(dimensions_of(size, batch), seed)


if __name__ == "__main__":
    main(build)
