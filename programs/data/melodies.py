"""Melodies as events of a performance: notes begin and end, time passes, loudness changes."""

from __future__ import annotations

import random
from collections.abc import Iterator

NOTE_ON, NOTE_OFF, TIME, LOUDNESS = 0, 128, 256, 356
EVENTS = 388
SCALE = (0, 2, 4, 5, 7, 9, 11)


def melody(rng: random.Random) -> Iterator[int]:
    """A motif that comes back, each time somewhere else in the scale. Never ends."""
    motif = [(rng.randint(0, 6), rng.choice((12, 24, 48))) for _ in range(4)]
    root = rng.randint(48, 60)
    while True:
        yield LOUDNESS + rng.randint(12, 20)
        shift = rng.randint(-2, 4)
        for degree, duration in motif:
            octave, step = divmod(degree + shift, len(SCALE))
            pitch = root + 12 * octave + SCALE[step]
            yield NOTE_ON + pitch
            yield TIME + duration
            yield NOTE_OFF + pitch
