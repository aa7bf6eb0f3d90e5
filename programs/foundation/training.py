"""What the programs of the foundation have in common: a classifier, an optimizer and one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from programs.program import Program

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3),
}


class TrainingProgram(Program):
    """A classifier in training. `batch` makes the inputs and labels of one step from a seed."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: str,
        make_inputs: Callable[[int, torch.Generator], Tensor],
        classes: int,
    ) -> None:
        self.model = model.train()
        self.optimizer = OPTIMIZERS[optimizer](list(model.parameters()))
        self.loss = nn.CrossEntropyLoss()
        self.make_inputs = make_inputs
        self.classes = classes

    def batch(self, size: int, seed: int) -> tuple[Tensor, Tensor]:
        # A generator of its own: making data must not move the random stream of the training.
        generator = torch.Generator().manual_seed(seed)
        inputs = self.make_inputs(size, generator)
        return inputs, torch.randint(0, self.classes, (size,), generator=generator)

    def batches(self, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
        seed = 0
        while True:
            yield self.batch(size, seed)
            seed += 1

    def step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return loss
