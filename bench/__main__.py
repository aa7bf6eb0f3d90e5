"""The programs of `programs/`, side by side: eager, Bifront and its peers."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.contestant import Failed
from bench.machine import describe, peaks
from bench.page import page
from bench.race import Race, Result, Way, fit
from bench.report import notes, plot, table
from bench.ways import WAYS
from programs.program import SIZES, names


class Bar:
    """Shows on a terminal how far the benchmark is; a log gets a line a program."""

    def __init__(self, programs: int) -> None:
        self.programs, self.done, self.start = programs, 0, time.perf_counter()
        self.program = ""

    def begin(self, program: str) -> None:
        self.program = program
        if not sys.stderr.isatty():
            print(f"[{self.done + 1}/{self.programs}] {program}", file=sys.stderr, flush=True)

    def show(self, way: str, doing: str) -> None:
        if sys.stderr.isatty():
            filled = 20 * self.done // self.programs
            line = f"[{'#' * filled}{'.' * (20 - filled)}] {self.program}: {way}, {doing}"
            seconds = time.perf_counter() - self.start
            print(f"\r\x1b[K{line} ({seconds:.0f} s)", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        self.done += 1
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def chosen(wanted: list[str]) -> list[str]:
    """Programs by "janus", "lenet" or "janus/lenet"; all of them by nothing."""
    every = names()
    found: list[str] = []
    for word in wanted or every:
        matching = [name for name in every if name == word or word in name.split("/")]
        if not matching:
            raise SystemExit(f"no program is called {word}; there are: {' '.join(every)}")
        found += [name for name in matching if name not in found]
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="e.g. lenet; default: all")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument(
        "--peers",
        default="eager,compile",
        help=f"beside Bifront, of {','.join(WAYS)}; eager always runs (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50, help="timed steps, after the first ten")
    parser.add_argument("--batch", type=int, help="of the programs that have one to choose")
    parser.add_argument("--longest", type=float, default=5.0, help="seconds of an eager step")
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="seconds of a way's first ten steps"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    return parser.parse_args()


def ways_of(peers: str) -> list[str]:
    ways = ["eager", "bifront"]
    for peer in filter(None, peers.split(",")):
        if peer not in WAYS:
            raise SystemExit(f"no peer is called {peer}; there are: {' '.join(WAYS)}")
        if peer not in ways:
            ways.append(peer)
    return ways


def race(program: str, ways: list[str], options: argparse.Namespace, bar: Bar) -> Result:
    bar.show("eager", "which batch fits")
    try:
        fitting = fit(
            program,
            len(ways),
            size=options.size,
            batch=options.batch,
            threads=options.threads,
            timeout=options.timeout,
            longest=options.longest,
        )
    except Failed as failed:
        none = {name: Way(problem=f"a small batch: {failed}") for name in ways}
        return Result(program, options.size, None, 0.0, none)
    runs = Race(
        program,
        ways,
        size=options.size,
        batch=fitting.batch,
        threads=options.threads,
        timeout=options.timeout,
        progress=bar.show,
        together=fitting.together,
    )
    return runs.run(options.steps)


def without_outputs(arguments: list[str]) -> list[str]:
    """Where the results go says nothing of them."""
    outputs = {"--json", "--plot", "--markdown"}
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if before not in outputs and word not in outputs]


def write(options: argparse.Namespace, report: dict[str, Any], results: list[Result]) -> None:
    report["programs"] = [asdict(result) for result in results]
    for path in (options.json, options.plot, options.markdown):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text(page([report]))
    if options.plot:
        plot(results, options.plot)


def main() -> int:
    options = parse()
    programs, ways = chosen(options.programs), ways_of(options.peers)
    torch.set_num_threads(options.threads)
    best = peaks()
    report = {
        "machine": describe(),
        "command": f"python -m bench {shlex.join(without_outputs(sys.argv[1:]))}",
        "threads": options.threads,
        "size": options.size,
        "peaks": best,
    }
    bar = Bar(len(programs))
    results: list[Result] = []
    for program in programs:
        bar.begin(program)
        results.append(race(program, ways, options, bar))
        bar.end()
        print(table(results[-1:], best["flops"]), flush=True)
        if len(programs) > 1:
            print()
        write(options, report, results)  # who stops it has what is done
    if len(programs) > 1:
        print(table(results, best["flops"]))
    for note in notes(results):
        print(f"  {note}")
    product, copy = best["flops"] / 1e9, best["bytes"] / 1e9
    print(f"peak: {product:.0f} GFLOP/s (matrix product), {copy:.1f} GB/s (copy)")
    # Eager itself must have run, or nothing was compared.
    right = all(r.ways["eager"].same and r.ways["bifront"].same for r in results)
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
