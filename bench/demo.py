"""The demo: TreeLSTM trains in eager PyTorch, by torch.compile and by Bifront, at the same time;
then a few programs one beside the other, in numbers."""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field

import torch

from bench.contestant import Contestant, Failed
from bench.machine import peaks
from bench.race import Race
from bench.report import duration, notes, table

LIVE = "janus/treelstm"
SELECTION = ["janus/lenet", "janus/an", "janus/resnet50", "janus/treelstm"]


@dataclass
class Lane:
    """What one way has done so far. Its thread writes it, the screen reads it."""

    way: str
    times: list[float] = field(default_factory=list)
    loss: float = float("nan")
    since: float = 0.0
    problem: str = ""

    def line(self, steps: int) -> str:
        done = len(self.times)
        bar = "#" * (30 * done // steps)
        now = f"{self.way:8} [{bar:.<30}] step {done:4}/{steps}"
        if self.problem:
            return f"{now}  {self.problem[:60]}"
        if done == 0:
            return f"{now}  first step: {time.perf_counter() - self.since:.0f} s"
        waits = time.perf_counter() - self.since
        recent = duration(statistics.median(self.times[-20:]))
        stuck = f", waits for the next for {waits:.0f} s" if waits > 2 and done < steps else ""
        return f"{now}  loss {self.loss:8.4f}  {recent} a step{stuck}"


def drive(lane: Lane, contestant: Contestant, steps: int, stop: threading.Event) -> None:
    try:
        while len(lane.times) < steps and not stop.is_set():
            lane.since = time.perf_counter()
            made = contestant.ask("steps", count=1)
            lane.loss = made["losses"][0][0]
            lane.times += made["times"]
    except Failed as failed:
        lane.problem = str(failed)


def live(steps: int, seconds: float) -> None:
    """Until all have made their steps, or the time is over."""
    lanes = [Lane(way) for way in ("eager", "compile", "bifront")]
    contestants = [
        Contestant(LIVE, lane.way, size="small", batch=None, threads=1, timeout=seconds)
        for lane in lanes
    ]
    stop = threading.Event()
    threads = [
        threading.Thread(target=drive, args=(lane, contestant, steps, stop), daemon=True)
        for lane, contestant in zip(lanes, contestants, strict=True)
    ]
    begun = time.perf_counter()
    for lane, thread in zip(lanes, threads, strict=True):
        lane.since = begun
        thread.start()
    terminal = sys.stdout.isatty()
    shown = False
    while any(t.is_alive() for t in threads) and time.perf_counter() - begun < seconds:
        time.sleep(0.1 if terminal else 1)
        if terminal:
            print(f"\x1b[{len(lanes)}A" if shown else "", end="")
            print("\n".join(f"\x1b[K{lane.line(steps)}" for lane in lanes), flush=True)
            shown = True
    stop.set()
    if not terminal:
        print("\n".join(lane.line(steps) for lane in lanes), flush=True)
    for contestant in contestants:
        contestant.close()
    for thread in threads:
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.demo", description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=45.0, help="of the live part, at most")
    parser.add_argument("--timeout", type=float, default=40.0, help="of torch.compile, a program")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{LIVE}, three ways at the same time:")
    live(options.steps, options.seconds)
    print("\nOne after the other, on the same data:")
    best = peaks()["flops"]
    results = []
    for program in SELECTION:
        race = Race(
            program,
            ["eager", "bifront", "compile"],
            size="small",
            batch=None,
            threads=1,
            timeout=options.timeout,
            progress=lambda way, doing: None,
        )
        results.append(race.run(40))
        print(f"  {program} done", flush=True)
    print(table(results, best))
    for note in notes(results):
        print(f"  {note}")
    return 0 if all(result.ways["bifront"].same for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
