"""Runs a program in several ways, in turn, on the same data, and compares what comes of it."""

from __future__ import annotations

import inspect
import pickle
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch

from bench.contestant import Contestant, Failed
from bench.memory import available_bytes, give_back
from programs.program import find
from programs.same_state import differences

COMPARED_STEPS = 10
"""Steps that are run one at a time; after them, states are compared. Behind 20, the last bit of a
double may decide what has come of gradients: a change of 1e-15 changes YOLOv3's by percents."""
COMPARED_LOSSES = 20
"""Of so many steps losses are compared: the later ones are those of the first turns, or run in
double precision like the others."""
TURN_SECONDS = 0.05
"""What a turn takes, if it can: a process that has just woken runs slower."""
TURNS = 8
TOLERANCE = 1e-4

Progress = Callable[[str, str], None]
"""Told the way that is at work, and what it does."""


@dataclass
class Way:
    """What became of one way of running a program. Times are in seconds."""

    step: float | None = None
    ratio: float | None = None
    """Eager's time over this one's: median, 10th and 90th percentile over the turns."""
    ratio_low: float | None = None
    ratio_high: float | None = None
    first_step: float | None = None
    tenth_step: float | None = None
    """From the start of the first step to the end of the tenth."""
    peak_bytes: int | None = None
    flops: float | None = None
    """FLOP/s of matrix products and convolutions."""
    counts: dict[str, int | str] = field(default_factory=dict)
    same: bool | None = None
    """Losses and state are eager's."""
    problem: str = ""


@dataclass
class Result:
    program: str
    size: str
    batch: int | None
    operations: float
    ways: dict[str, Way]


def read_state(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = pickle.loads(path.read_bytes())
    arrays = {k: v for k, v in loaded.items() if isinstance(v, numpy.ndarray)}
    return loaded | {k: torch.from_numpy(v) for k, v in arrays.items()}


class Race:
    """One program, all ways. Eager is among them: the others are measured beside it. Where they
    do not fit into the memory together, each of the others has a heat with eager of its own."""

    def __init__(
        self,
        program: str,
        ways: list[str],
        *,
        size: str,
        batch: int | None,
        threads: int,
        timeout: float,
        progress: Progress,
        together: bool = True,
    ) -> None:
        self.program, self.size, self.batch, self.threads = program, size, batch, threads
        self.timeout, self.progress = timeout, progress
        self.ways = {name: Way() for name in ways}
        others = [name for name in ways if name != "eager"]
        self.heats = [ways] if together or not others else [["eager", name] for name in others]
        self.heat = self.heats[0]
        self.running: dict[str, Contestant] = {}
        self.failed: set[str] = set()
        self.compared = False
        self.losses: dict[str, list[list[float]]] = {}
        self.turns: dict[str, list[list[float]]] = {}
        self.operations = 0.0

    def run(self, steps: int) -> Result:
        try:
            self.run_heat(steps)
            eager = self.ways["eager"]
            for heat in self.heats[1:]:
                self.heat = heat
                self.ways["eager"] = Way(same=eager.same, problem=eager.problem)
                if len(self.contenders()) == 2:
                    self.run_heat(steps)
            self.ways["eager"] = eager
        finally:
            self.close()
        return Result(self.program, self.size, self.batch, self.operations, self.ways)

    def contenders(self) -> list[str]:
        return [name for name in self.heat if name not in self.failed]

    def run_heat(self, steps: int) -> None:
        self.losses = {name: [] for name in self.heat}
        self.turns = {name: [] for name in self.heat}
        self.each("starts", self.start)
        if not self.compared and any(one.chaotic for one in self.running.values()):
            self.compare_in_double()
            self.run_heat(steps)
            return
        for count in range(1, COMPARED_STEPS + 1):
            if self.heat is not self.heats[0] and self.contenders() == ["eager"]:
                break  # its figures are those of the first heat
            self.each(f"step {count}", self.early_step)
        else:
            self.finish_heat(steps)
        self.close()

    def finish_heat(self, steps: int) -> None:
        if not self.compared:
            self.compare_all()
        self.each("memory", lambda name: self.running[name].ask("forget_peak"))
        self.take_turns(steps)
        if not self.compared:
            self.each("compared", self.compare_later_losses)
        self.each("counts", self.look_back)
        if "eager" in self.running and not self.operations:
            self.operations = self.running["eager"].ask("operations", count=3)
        self.figures()

    def compare_in_double(self) -> None:
        """In processes of their own, one after the other: each may take twice the memory of those
        that are timed."""
        self.close()
        self.heat = list(self.ways)
        self.losses = {name: [] for name in self.heat}
        folder = TemporaryDirectory(prefix="bench-")  # eager's state is not to fill the memory
        expected = Path(folder.name) / "eager"

        def train(name: str) -> None:
            if "eager" in self.failed:
                return
            self.start(name, double=True)
            path = expected if name == "eager" else Path(folder.name) / name
            for count in range(1, COMPARED_LOSSES + 1):
                self.progress(name, f"step {count} in double precision")
                self.early_step(name, COMPARED_LOSSES)
                if count == COMPARED_STEPS:
                    self.running[name].ask("save", path=str(path))
            self.running.pop(name).close()
            state = read_state(path)
            self.compare(name, state, state if name == "eager" else read_state(expected))

        with folder:
            self.each("starts", train)
        give_back()  # states of gigabytes leave as much behind
        self.compared = True
        for way in self.ways.values():
            way.first_step = way.tenth_step = None
        self.heat = self.heats[0]

    def close(self) -> None:
        for contestant in self.running.values():
            contestant.close()
        self.running = {}

    def each(self, doing: str, do: Callable[[str], object]) -> None:
        """One that fails leaves the race, and the others go on."""
        for name in self.contenders():
            self.progress(name, doing)
            try:
                do(name)
            except Failed as failed:
                self.leave(name, str(failed))

    def leave(self, name: str, problem: str) -> None:
        self.failed.add(name)
        self.ways[name].problem = problem
        self.ways[name].same = None
        if name in self.running:
            self.running.pop(name).close()

    def start(self, name: str, double: bool = False) -> None:
        self.running[name] = Contestant(
            self.program,
            name,
            size=self.size,
            batch=self.batch,
            threads=self.threads,
            timeout=self.timeout,
            double=double,
        )

    def early_step(self, name: str, steps: int = COMPARED_STEPS) -> None:
        """One of so many; the way's patience is that of COMPARED_STEPS."""
        way = self.ways[name]
        patience = self.timeout * steps / COMPARED_STEPS
        left = max(0.0, patience - (way.tenth_step or 0.0))
        made = self.running[name].ask("steps", timeout=left, count=1)
        self.losses[name] += made["losses"]
        so_far = (way.tenth_step or 0.0) + made["times"][0]
        if way.first_step is None:
            way.first_step = so_far
        way.tenth_step = so_far

    def state_of(self, name: str) -> dict[str, Any]:
        with TemporaryDirectory(prefix="bench-") as folder:
            path = Path(folder) / name
            self.running[name].ask("save", path=str(path))
            return read_state(path)

    def compare(self, name: str, state: dict[str, Any], expected: dict[str, Any]) -> None:
        way = self.ways[name]
        found = [*self.different_losses(name), *differences(state, expected)]
        way.same = not found
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            way.problem = f"{found[0]}{more}"

    def compare_all(self) -> None:
        if "eager" not in self.running:
            return
        expected = self.state_of("eager")
        self.each("compared", lambda name: self.compare(name, self.state_of(name), expected))

    def compare_later_losses(self, name: str) -> None:
        way = self.ways[name]
        if way.same and "eager" in self.running and (found := self.different_losses(name)):
            way.same, way.problem = False, found[0]

    def different_losses(self, name: str) -> list[str]:
        found = []
        both = zip(self.losses[name], self.losses["eager"], strict=True)
        for step, (losses, expected) in enumerate(islice(both, COMPARED_LOSSES), start=1):
            pairs = list(zip(losses, expected, strict=True))
            if any(not abs(a - b) <= TOLERANCE * max(abs(b), 1e-3) for a, b in pairs):
                apart = max(abs(a - b) / max(abs(b), 1e-3) for a, b in pairs)
                found.append(f"loss {step} differs by {apart:.1e}")
        return found

    def take_turns(self, steps: int) -> None:
        if "eager" not in self.running:
            return
        early = self.ways["eager"]
        assert early.first_step is not None and early.tenth_step is not None
        later = (early.tenth_step - early.first_step) / (COMPARED_STEPS - 1)
        # Turns enough for a spread, and each long enough for a process that has just woken.
        count = max(1, min(steps // TURNS, round(TURN_SECONDS / max(later, 1e-6))))
        rounds = max(1, steps // count)
        for turn in range(rounds):

            def take_turn(name: str) -> None:
                if self.threads > 1:
                    time.sleep(0.02)  # the last one's threads spin a little before they sleep
                made = self.running[name].ask("steps", count=count)
                self.turns[name].append(made["times"])
                self.losses[name] += made["losses"]

            self.each(f"turn {turn + 1} of {rounds}", take_turn)
            if "eager" not in self.running:
                return

    def look_back(self, name: str) -> None:
        way = self.ways[name]
        way.counts = self.running[name].ask("counts")
        way.peak_bytes = self.running[name].ask("peak")

    def figures(self) -> None:
        for name in self.heat:
            way, times, beside = self.ways[name], self.turns[name], self.turns["eager"]
            if not times or len(times) != len(beside):
                continue
            way.step = statistics.median(chain.from_iterable(times))
            # The steps of a turn may differ, but are the same ones for all.
            ratios = sorted(sum(e) / sum(t) for e, t in zip(beside, times, strict=True))
            way.ratio = statistics.median(ratios)
            way.ratio_low = ratios[len(ratios) // 10]
            way.ratio_high = ratios[-1 - len(ratios) // 10]
            way.flops = self.operations / way.step


@dataclass
class Fit:
    batch: int | None
    """None where a program's batch is not to choose."""
    together: bool
    """All contestants fit into the memory at once."""


def fit(
    program: str,
    contestants: int,
    *,
    size: str,
    batch: int | None,
    threads: int,
    timeout: float,
    longest: float,
) -> Fit:
    """With the batch that is asked for. In the papers' size else the largest one, halved from
    theirs, with which all contestants fit into the memory together and an eager step takes at
    most `longest` seconds."""
    build = find(program)
    if "batch" not in inspect.signature(build).parameters:
        return Fit(None, together=True)
    if size != "paper":
        return Fit(batch, together=True)

    def cost_of(batch: int) -> tuple[float, int]:
        contestant = Contestant(
            program, "eager", size=size, batch=batch, threads=threads, timeout=timeout
        )
        try:
            contestant.ask("steps", count=1)
            return contestant.ask("steps", count=1)["times"][0], contestant.ask("peak")
        finally:
            contestant.close()

    cost = {few: cost_of(few) for few in (2, 4)}
    more_seconds, more_bytes = ((b - a) / 2 for a, b in zip(cost[2], cost[4], strict=True))

    def fits(batch: int) -> bool:
        needed: float = cost[4][1] + (batch - 4) * more_bytes
        # A converted program may take twice as much.
        return (contestants + 1) * needed <= 0.8 * available_bytes()

    if batch is None:
        batch = 64
        while batch > 1 and (cost[4][0] + (batch - 4) * more_seconds > longest or not fits(batch)):
            batch //= 2
        if batch == 1:
            try:
                cost_of(batch)
            except Failed:
                batch = 2  # what is normalised over a batch cannot be alone in it
    return Fit(batch, fits(batch))
