"""An actor and a critic that share a layer (Mnih et al., 2016)."""

from __future__ import annotations

from torch import Tensor, nn


class ActorCritic(nn.Module):
    def __init__(self, observed: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observed, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the actions, and what the situation is worth."""
        hidden = self.body(observation)
        return self.actor(hidden), self.critic(hidden).squeeze(-1)
