"""Trains an actor and a critic to balance CartPole's pole: workers play, each with a copy of the
model, and bring their gradients to the shared one. The workers take turns, so that a run can be
repeated."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import torch
from torch import Tensor
from torch.distributions import Categorical

from programs.janus.a3c.model import ActorCritic
from programs.program import Program, main

DISCOUNT = 0.99


class Worker:
    def __init__(self, seed: int, hidden: int) -> None:
        self.environment = gymnasium.make("CartPole-v1")
        self.environment.reset(seed=seed)
        self.model = ActorCritic(4, hidden, 2)
        self.episodes = 0
        self.best = 0.0


class Training(Program):
    def __init__(self, seed: int, hidden: int, workers: int, longest: int) -> None:
        torch.manual_seed(seed)
        self.model = ActorCritic(4, hidden, 2)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.workers = [Worker(seed * workers + i, hidden) for i in range(workers)]
        self.longest = longest

    def step(self, worker: Worker) -> tuple[Tensor, Tensor]:
        """One episode. Returns the critic's loss per move, and the whole."""
        worker.model.load_state_dict(self.model.state_dict())
        observation, _ = worker.environment.reset()
        log_probabilities, values, entropies, rewards = [], [], [], []
        done = False
        while not done:
            logits, value = worker.model(torch.from_numpy(observation))
            policy = Categorical(logits=logits)
            action = policy.sample()
            observation, reward, terminated, truncated, _ = worker.environment.step(action.item())
            log_probabilities.append(policy.log_prob(action))
            entropies.append(policy.entropy())
            values.append(value)
            rewards.append(float(reward))
            done = terminated or truncated or len(rewards) == self.longest
        worker.episodes += 1
        worker.best = max(worker.best, sum(rewards))

        returns, following = [], 0.0
        for reward in reversed(rewards):
            following = reward + DISCOUNT * following
            returns.insert(0, following)
        expected = torch.tensor(returns) / 10
        value = torch.stack(values)
        advantage = expected - value.detach()
        critic_loss = (expected - value).pow(2).mean()
        actor_loss = -(torch.stack(log_probabilities) * advantage).mean()
        loss = actor_loss + 0.5 * critic_loss - 0.01 * torch.stack(entropies).mean()

        worker.model.zero_grad()
        loss.backward()
        for shared, own in zip(self.model.parameters(), worker.model.parameters()):
            shared.grad = own.grad
        self.optimizer.step()
        return critic_loss.detach(), loss.detach()

    def batches(self) -> Iterator[tuple[Worker]]:
        while True:
            for worker in self.workers:
                yield (worker,)


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(seed, hidden=128, workers=20, longest=500)
    return Training(seed, hidden=16, workers=2, longest=30)


if __name__ == "__main__":
    main(build)
