"""Trains a Pong player from pixels by proximal policy optimization (Schulman et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from programs.janus.ppo.model import PixelActorCritic
from programs.janus.ppo.player import Player
from programs.program import Program, main

DISCOUNT, SMOOTHING, CLIP = 0.99, 0.95, 0.1


class Training(Program):
    def __init__(
        self,
        seed: int,
        image: int,
        width: int,
        hidden: int,
        players: int,
        moves: int,
        epochs: int,
        minibatch: int,
    ) -> None:
        torch.manual_seed(seed)
        self.players = [Player(seed * players + i, image, frames=4) for i in range(players)]
        self.model = PixelActorCritic(4, image, width, hidden, actions=3)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, eps=1e-5)
        self.moves, self.epochs, self.minibatch = moves, epochs, minibatch
        self.points = 0.0

    def look(self) -> Tensor:
        return torch.from_numpy(numpy.stack([player.seen for player in self.players]))

    @torch.no_grad()
    def roll_out(self) -> tuple[Tensor, ...]:
        """All players make their moves. Each tensor returned is of shape (moves, players, ...)."""
        seen, actions, log_probabilities, values, rewards, going_on = [], [], [], [], [], []
        for _ in range(self.moves):
            pixels = self.look()
            logits, value = self.model(pixels)
            policy = Categorical(logits=logits)
            action = policy.sample()
            results = [p.play(a) for p, a in zip(self.players, action.tolist())]
            self.points += sum(reward for reward, _ in results)
            seen.append(pixels)
            actions.append(action)
            log_probabilities.append(policy.log_prob(action))
            values.append(value)
            rewards.append(torch.tensor([reward for reward, _ in results]))
            going_on.append(torch.tensor([0.0 if done else 1.0 for _, done in results]))
        _, last = self.model(self.look())
        advantages = []
        advantage = torch.zeros(len(self.players))
        following = last
        for reward, value, more in zip(reversed(rewards), reversed(values), reversed(going_on)):
            surprise = reward + DISCOUNT * following * more - value
            advantage = surprise + DISCOUNT * SMOOTHING * more * advantage
            advantages.append(advantage)
            following = value
        lists = (seen, actions, log_probabilities, values, advantages[::-1])
        return tuple(torch.stack(made) for made in lists)

    def step(self) -> tuple[Tensor, Tensor]:
        """One roll-out and the updates from it. Returns the critic's loss, and the whole."""
        return self.learn(*(tensor.flatten(0, 1) for tensor in self.roll_out()))

    def learn(
        self,
        seen: Tensor,
        actions: Tensor,
        old_log_probabilities: Tensor,
        values: Tensor,
        advantages: Tensor,
    ) -> tuple[Tensor, Tensor]:
        returns = advantages + values
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        losses, critic_losses = [], []
        for _ in range(self.epochs):
            for rows in torch.randperm(len(seen)).split(self.minibatch):
                logits, value = self.model(seen[rows])
                policy = Categorical(logits=logits)
                ratio = torch.exp(policy.log_prob(actions[rows]) - old_log_probabilities[rows])
                clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
                actor_loss = -torch.min(ratio * advantages[rows], clipped * advantages[rows]).mean()
                critic_loss = (returns[rows] - value).pow(2).mean()
                loss = actor_loss + 0.5 * critic_loss - 0.01 * policy.entropy().mean()
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
                self.optimizer.step()
                losses.append(loss.detach())
                critic_losses.append(critic_loss.detach())
        return torch.stack(critic_losses).mean(), torch.stack(losses).mean()

    def batches(self) -> Iterator[tuple[()]]:
        while True:
            yield ()


def build(seed: int, size: str) -> Training:
    if size == "paper":
        return Training(
            seed, 84, width=16, hidden=256, players=8, moves=128, epochs=3, minibatch=256
        )
    return Training(seed, 28, width=4, hidden=32, players=4, moves=32, epochs=2, minibatch=32)


if __name__ == "__main__":
    main(build)
