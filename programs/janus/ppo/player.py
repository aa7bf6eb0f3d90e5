"""A game of Pong, as the networks see it."""

from __future__ import annotations

import ale_py
import gymnasium
import numpy

gymnasium.register_envs(ale_py)


class Player:
    """Plays without end. What it sees are its last frames: grey, small, without the score."""

    def __init__(self, seed: int, image: int, frames: int) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.game = gymnasium.make("ALE/Pong-v5", obs_type="grayscale", frameskip=4)
        self.game.reset(seed=seed)
        self.rows = numpy.linspace(34, 193, image).astype(int)
        self.columns = numpy.linspace(0, 159, image).astype(int)
        self.seen = numpy.zeros((frames, image, image), dtype=numpy.uint8)
        self.begin()

    def begin(self) -> None:
        screen, _ = self.game.reset()
        self.seen[:] = self.shrink(screen)

    def shrink(self, screen: numpy.ndarray) -> numpy.ndarray:
        return screen[self.rows[:, None], self.columns]

    def play(self, action: int) -> tuple[float, bool]:
        """Stays, goes up or goes down. Returns the points, and whether the game is over."""
        screen, reward, terminated, truncated, _ = self.game.step((0, 2, 3)[action])
        self.seen = numpy.concatenate([self.seen[1:], self.shrink(screen)[None]])
        done = terminated or truncated
        if done:
            self.begin()
        return float(reward), done
