"""Runs programs of the language suite while one check, operator, allocation or opaque call fails.

Whatever fails, and wherever, the call must end as CPython ends it: `python -m tests.fail_the_nth`
with BIFRONT_FAIL_ON_PURPOSE=1 prints what was tried and each difference. tests/test_fail_the_nth.py
runs a sample; `--all` takes every program and every event.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import traceback
from collections.abc import Sequence

import bifront
from bifront import _core

from programs.program import default_double
from tests.language.conformance import CALLS, Program, Side, all_programs, call_both

KINDS = ("check", "call", "allocation", "opaque")
# Each failed check may lead to another graph, and a conversion costs as much as many calls.
MAX_GRAPHS = 3
# After which a program begins anew.
MOST_CALLS = 150


class Sweep:
    """One program: warmed up, then a call for each event, which fails there."""

    def __init__(self, entry: Program) -> None:
        self.eager = Side(entry, "eager")
        self.converted = Side(entry, "converted")
        self.converted.called = bifront.function(self.converted.step, max_graphs=MAX_GRAPHS)
        self.number = 0

    def call(self) -> None:
        """The arguments come in turns: those of later calls may be larger and larger."""
        call_both(self.eager, self.converted, self.number % CALLS)
        self.number += 1
        for side in (self.eager, self.converted):
            side.results.clear()

    def warm_up(self) -> bool:
        """Whether a graph has run."""
        for _ in range(CALLS):
            self.call()
        return bool(self.converted.called.stats["graph_calls"])

    def events(self, kind: str) -> int:
        """How many a call has at most."""
        most = 0
        for _ in range(CALLS):
            _core.fail_nth(kind, 0)
            self.call()
            most = max(most, _core.events_seen())
        return most

    def fail(self, kind: str, nth: int) -> bool:
        """Whether the call had as many."""
        _core.fail_nth(kind, nth)
        try:
            self.call()
            return bool(_core.events_seen() >= nth)
        finally:
            _core.fail_nth(kind, 0)


def sweep(entry: Program, events_per_kind: int, failures: collections.Counter[str]) -> None:
    """Raise at the first difference."""
    choice = random.Random(entry.name)
    running = Sweep(entry)
    if not running.warm_up():
        return
    failures["programs"] += 1
    for kind in KINDS:
        events = running.events(kind)
        some = min(events, events_per_kind)
        for nth in sorted(choice.sample(range(1, events + 1), some)):
            if running.number > MOST_CALLS:
                running = Sweep(entry)
                running.warm_up()
            failures[kind] += running.fail(kind, nth)
            running.call()  # and the graph is as good as before


# In double precision: training makes more and more of what is rounded in another order.
@default_double()
def run(entries: Sequence[Program], events_per_kind: int) -> tuple[collections.Counter[str], int]:
    failures: collections.Counter[str] = collections.Counter()
    different = 0
    for number, entry in enumerate(entries):
        if number % 50 == 0:
            print(
                f"{number} of {len(entries)} looked at: {dict(failures)}, {different} differ",
                file=sys.stderr,
            )
        try:
            sweep(entry, events_per_kind, failures)
        except Exception:
            different += 1
            print(f"{entry.theme}/{entry.name} differs:")
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    return failures, different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=130)
    parser.add_argument("--events", type=int, default=24, help="of each kind, per program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", help="theme/name")
    arguments = parser.parse_args()
    entries = [entry for entry in all_programs() if not entry.wrong_today and not entry.cpython]
    events = sys.maxsize if arguments.all else arguments.events
    if arguments.only:
        entries = [e for e in entries if f"{e.theme}/{e.name}" == arguments.only]
    elif not arguments.all:
        entries = random.Random(arguments.seed).sample(entries, arguments.programs)
    failures, different = run(entries, events)
    total = sum(failures[kind] for kind in KINDS)
    parts = ", ".join(f"{failures[kind]} of a {kind}" for kind in KINDS)
    print(f"{failures['programs']} programs, {total} failures ({parts}), {different} differences")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
