"""Melodies of any length: which event comes next, and how often that is known, by its kind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from programs.data.melodies import EVENTS, LOUDNESS, NOTE_OFF, TIME, melody
from programs.program import Program, main
from programs.terra.attention import Configuration
from programs.terra.music_transformer.model import MusicTransformer

CONFIGURATIONS = {
    "small": Configuration(vocabulary=EVENTS, longest=48, width=64, layers=2, heads=4),
    "paper": Configuration(vocabulary=EVENTS, longest=2048, width=256, layers=6, heads=8),
}
BATCH = {"small": 4, "paper": 1}
WARMUP = {"small": 100, "paper": 4000}


KINDS = {"notes": (0, NOTE_OFF), "ends": (NOTE_OFF, TIME), "times": (TIME, LOUDNESS)}


class History:
    """How often the model was right, by kind of event."""

    def __init__(self) -> None:
        self.accuracy: dict[str, list[float]] = {}

    def add(self, predicted: Tensor, targets: Tensor) -> None:
        right = predicted == targets
        for kind, (first, end) in KINDS.items():
            these = (targets >= first) & (targets < end)
            if these.any():
                share = right[these].sum().item() / these.sum().item()
                self.accuracy.setdefault(kind, []).append(share)


class Training(Program):
    chaotic = True  # as GPT-2: the gradients of some biases are rounding alone

    def __init__(self, configuration: Configuration, batch: int, warmup: int, seed: int) -> None:
        self.longest = configuration.longest
        self.batch = batch
        self.seed = seed
        self.model = MusicTransformer(configuration)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: (
                configuration.width**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)
            ),
        )
        self.history = History()

    def step(self, events: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        logits = self.model(events[:, :-1])
        targets = events[:, 1:]
        loss = functional.cross_entropy(logits.transpose(1, 2), targets)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.history.add(logits.argmax(dim=-1), targets)
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor]]:
        rng = random.Random(self.seed)
        while True:
            length = rng.randint(self.longest // 2, self.longest)
            melodies = [list(islice(melody(rng), length + 1)) for _ in range(self.batch)]
            yield (torch.tensor(melodies),)


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(CONFIGURATIONS[size], batch or BATCH[size], WARMUP[size], seed)


if __name__ == "__main__":
    main(build)
