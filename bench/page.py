"""The page of results: `python -m bench.page docs/reports/*.json > docs/results.md`.

Of what `python -m bench --json REPORT.json` wrote, a section for each size and kind of processor. A
way of a program that several reports have is shown as the last one has it.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.race import Result, Way
from bench.report import HEADER, rows, said

INTRODUCTION = """\
# Results

Written by the benchmark itself (`python -m bench`). All ways of a program run in turn, on the
same data. A ratio above 1 is faster than eager; its spread is over the turns. `first` and `to
10th` are the times to the ends of the first and of the tenth step, conversion included. `breaks`
are torch.compile's graph breaks and Bifront's opaque calls, `fallbacks` calls that ran in
CPython. FLOP/s count matrix products and convolutions. State is compared with eager's after ten
steps, losses over twenty (before 2026-11-23 06:30: ten), relative 1e-4; where the last bit of fp32
decides what comes of a few steps, in double precision.
"""


def results_of(report: dict[str, Any]) -> list[Result]:
    return [
        Result(**one | {"ways": {name: Way(**way) for name, way in one["ways"].items()}})
        for one in report["programs"]
    ]


def last_of_each(reports: list[dict[str, Any]]) -> list[Result]:
    """A way that a later report lacks was measured beside eager as well, if with the same batch."""
    last: dict[str, Result] = {}
    for report in reports:
        for result in results_of(report):
            before = last.get(result.program)
            if before and before.batch == result.batch:
                result.ways = before.ways | result.ways
            last[result.program] = result
    return [last[program] for program in sorted(last)]


def summary(results: list[Result]) -> list[str]:
    """Of each way: how often it is right and faster than eager, and by how much on average."""
    lines = []
    for name in dict.fromkeys(name for result in results for name in result.ways):
        ways = [result.ways[name] for result in results if name in result.ways]
        ratios = [way.ratio for way in ways if way.same and way.ratio is not None]
        if name == "eager" or not ratios:
            continue
        lines.append(
            f"- {name}: as eager on {len(ratios)} of {len(ways)} programs, faster on "
            f"{sum(ratio > 1 for ratio in ratios)}; {statistics.geometric_mean(ratios):.2f} times "
            f"as fast (geometric mean), from {min(ratios):.2f} to {max(ratios):.2f}"
        )
    return lines


def items(title: str, lines: list[str]) -> list[str]:
    return ["", f"### {title}", "", *(f"- {line}" for line in lines)] if lines else []


def origin(report: dict[str, Any]) -> list[str]:
    machine, peaks = report["machine"], report["peaks"]
    return [
        f"    {report['command']}",
        "",
        f"On {machine['date']}, at commit {machine['commit']}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, load {machine['load']} before "
        f"it began; {report['threads']} thread(s); "
        f"Python {machine['python']}, torch {machine['torch']}. A large matrix product reaches "
        f"{peaks['flops'] / 1e9:.0f} GFLOP/s, a large copy {peaks['bytes'] / 1e9:.1f} GB/s.",
        "",
    ]


def section(size: str, processor: str, reports: list[dict[str, Any]]) -> str:
    results = last_of_each(reports)
    lines = [f"## Size: {size}, on {processor}", ""]
    for report in reports:
        lines += origin(report)
    lines += [*summary(results), ""]
    lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    for line in rows(results, max(report["peaks"]["flops"] for report in reports)):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
    lines += items("What the graphs call in Python", said(results, "called"))
    lines += items("Why calls ran in CPython", said(results, "note"))
    return "\n".join(lines) + "\n"


def kind(report: dict[str, Any]) -> tuple[str, str]:
    return report["size"], report["machine"]["processor"]


def page(reports: list[dict[str, Any]]) -> str:
    sizes = list(dict.fromkeys(report["size"] for report in reports))
    kinds = sorted(dict.fromkeys(map(kind, reports)), key=lambda one: sizes.index(one[0]))
    sections = [section(*one, [r for r in reports if kind(r) == one]) for one in kinds]
    return "\n".join([INTRODUCTION, *sections])


if __name__ == "__main__":
    print(page([json.loads(Path(file).read_text()) for file in sys.argv[1:]]), end="")
