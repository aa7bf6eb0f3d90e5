"""An episode of REINFORCE with an environment of Python: one graph, in which its step is called."""

from __future__ import annotations

import io
import random
from typing import Any

import bifront
import numpy
import torch
from torch import nn

from tests.same_function import assert_same_value

EPISODES = 8


class Corridor:
    """Walk to the right end; each step may slip. What it writes nobody but CPython can write."""

    def __init__(self, length: int = 4) -> None:
        self.length = length
        self.random = random.Random(11)
        self.steps = self.at = 0
        self.written = io.StringIO()

    def state(self) -> Any:
        return numpy.array([self.at, self.length - self.at, self.steps / 10], dtype=numpy.float32)

    def reset(self) -> Any:
        self.at = 0
        self.steps = 0
        return self.state()

    def step(self, action: int) -> tuple[Any, float, bool, bool, None]:
        slips = self.random.random() < 0.2
        self.at = max(self.at + (1 if action == 1 and not slips else -1), 0)
        self.steps += 1
        self.written.writelines([f"{self.steps}: {self.at}\n"])
        done = self.at >= self.length or self.steps >= 12
        return self.state(), 1.0 if self.at >= self.length else -0.1, done, False, None


class Side:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.environment = Corridor()
        self.policy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        self.optimizer = torch.optim.SGD(self.policy.parameters(), lr=0.05)

    def episode(self, first: torch.Tensor) -> torch.Tensor:
        state = first
        total = torch.zeros(())
        surprise = torch.zeros(())
        done = False
        while not done:
            logits = self.policy(state).log_softmax(0)
            action = (logits[1] > logits[0]).long()
            seen, reward, done, _, _ = self.environment.step(action.item())
            state = torch.from_numpy(seen)
            surprise = surprise - logits.max()
            total = total + reward
        self.optimizer.zero_grad()
        loss = surprise * total
        loss.backward()
        self.optimizer.step()
        return total


def test_an_episode_is_one_graph() -> None:
    eager, converted = Side(), Side()
    step = bifront.function(converted.episode)
    for number in range(EPISODES):
        totals = []
        for side, run in ((eager, eager.episode), (converted, step)):
            torch.manual_seed(number)
            totals.append(run(torch.from_numpy(side.environment.reset())))
        assert_same_value(totals[1], totals[0], f"episode {number}")
        written = [side.environment.written.getvalue() for side in (eager, converted)]
        assert written[0] == written[1]
        assert converted.environment.steps == eager.environment.steps
        assert converted.environment.random.getstate() == eager.environment.random.getstate()
        for mine, theirs in zip(
            converted.policy.parameters(), eager.policy.parameters(), strict=True
        ):
            assert_same_value(mine, theirs, f"episode {number}")
    stats = step.stats
    assert stats["graphs"] == 1, bifront.explain(step)
    assert stats["graph_calls"] == EPISODES - 2, bifront.explain(step)
