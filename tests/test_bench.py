"""The bench: what it says of ways that are right, wrong, dead or too slow."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contestant import Contestant, Failed, Trainer, answer
from bench.machine import describe, peaks
from bench.page import page
from bench.race import Fit, Race, Result, fit
from bench.report import plot, table


def contestant(way: str = "eager") -> Contestant:
    return Contestant("janus/an", way, size="small", batch=None, threads=1, timeout=60)


def race(ways: list[str], *, together: bool = True) -> Result:
    runs = Race(
        "janus/an",
        ways,
        size="small",
        batch=None,
        threads=1,
        timeout=60,
        progress=lambda way, doing: None,
        together=together,
    )
    return runs.run(16)


def test_what_a_race_finds(tmp_path: Path) -> None:
    result = race(["eager", "bifront", "no such way"])
    eager, bifront, unknown = result.ways.values()
    for way in (eager, bifront):
        assert way.same and not way.problem
        assert way.step and way.first_step and way.tenth_step and way.peak_bytes
        assert way.first_step < way.tenth_step
    assert bifront.counts["graphs"] == 1 and bifront.counts["fallbacks"] == 0
    assert result.operations > 0
    assert unknown.problem.startswith("KeyError") and unknown.step is None
    best = peaks()
    printed = table([result], best["flops"])
    assert "failed: KeyError" in printed and "bifront" in printed
    report = {
        "machine": describe(),
        "command": "python -m bench an",
        "threads": 1,
        "size": "small",
        "peaks": best,
        "programs": [asdict(result)],
    }
    written = page([report])
    assert "| janus/an | bifront |" in written and "- bifront: as eager on 1 of 1" in written
    other = report | {"machine": describe() | {"processor": "Another"}}
    written = page([report, other])
    assert written.count("| janus/an | bifront |") == 2
    assert "## Size: small, on Another" in written
    plot([result], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


class Counted(Race):
    """Counts who runs at once."""

    most = 0

    def start(self, name: str, double: bool = False) -> None:
        super().start(name, double)
        Counted.most = max(Counted.most, len(self.running))


@pytest.mark.parametrize("chaotic", [False, True])
def test_where_memory_is_short_each_way_runs_beside_eager_alone(
    monkeypatch: pytest.MonkeyPatch, chaotic: bool
) -> None:
    monkeypatch.setitem(globals(), "Race", Counted)
    monkeypatch.setattr(Counted, "most", 0)
    pretended = property(lambda _: chaotic, lambda *_: None)
    monkeypatch.setattr(Contestant, "chaotic", pretended, raising=False)
    result = race(["eager", "bifront", "no such way", "script"], together=False)
    assert Counted.most == 2
    eager, bifront, unknown, script = result.ways.values()
    for way in (eager, bifront, script):
        assert way.same and not way.problem
        assert way.ratio and way.flops and way.peak_bytes and way.first_step and way.tenth_step
    assert eager.ratio == 1.0
    assert unknown.problem.startswith("KeyError") and unknown.step is None


def test_what_fits_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # Half a second and 200 MiB; a quarter and 50 MiB for each image.
    costs = {1: (0.75, 250 << 20), 2: (1.0, 300 << 20), 4: (1.5, 400 << 20)}

    class Measured:
        chaotic = False

        def __init__(self, *_: Any, batch: int, **__: Any) -> None:
            if batch not in costs:
                raise Failed("one image is too few")
            self.seconds, self.bytes = costs[batch]

        def ask(self, request: str, **_: Any) -> Any:
            return {"times": [self.seconds]} if request == "steps" else self.bytes

        def close(self) -> None:
            pass

    monkeypatch.setattr("bench.race.Contestant", Measured)

    def fitted(gib: float, batch: int | None = None, longest: float = 100.0) -> Fit:
        monkeypatch.setattr("bench.race.available_bytes", lambda: int(gib * (1 << 30)))
        return fit(
            "terra/gpt2", 4, size="paper", batch=batch, threads=1, timeout=60, longest=longest
        )

    assert fitted(100.0) == Fit(64, together=True)
    assert fitted(100.0, longest=5.0) == Fit(16, together=True)
    assert fitted(5.0) == Fit(8, together=True)
    assert fitted(1.0) == Fit(1, together=False)
    assert fitted(5.0, batch=64) == Fit(64, together=False)
    costs.pop(1)
    assert fitted(1.0) == Fit(2, together=False)


def test_the_page_of_results_is_that_of_the_reports() -> None:
    docs = Path(__file__).parent.parent / "docs"
    reports = [json.loads(path.read_text()) for path in sorted((docs / "reports").glob("*.json"))]
    assert page(reports) == (docs / "results.md").read_text()


def test_a_contestant_that_dies_says_how() -> None:
    running = contestant()
    try:
        assert len(running.ask("steps", count=2)["losses"]) == 2
        os.kill(running.process.pid, signal.SIGKILL)
        with pytest.raises(Failed, match="ended with status -9"):
            running.ask("steps", count=1)
    finally:
        running.close()


def test_a_contestant_that_takes_too_long_fails() -> None:
    running = contestant()
    try:
        with pytest.raises(Failed, match="took more than"):
            running.ask("steps", timeout=0.0, count=1)
    finally:
        running.close()


class OtherLosses(Race):
    """As if one of eager's losses, or one of its parameters, had come out otherwise."""

    def compare_all(self) -> None:
        self.losses["bifront"][3][0] *= 1.001
        self.running["bifront"].ask("steps", count=1)
        super().compare_all()


def test_other_losses_and_another_state_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Race", OtherLosses)
    way = race(["eager", "bifront"]).ways["bifront"]
    assert way.same is False
    assert way.problem.startswith("loss 4 differs by 1.0e-03, and ")
    assert int(way.problem.split("and ")[1].split()[0]) > 10


def test_an_error_is_an_answer() -> None:
    trainer: Any = Trainer()
    assert "AttributeError" in answer(trainer, '["steps", {"count": 1}]')["error"]
    trainer.build("janus/an", "eager", size="small", batch=None, threads=torch.get_num_threads())
    assert len(answer(trainer, '["steps", {"count": 1}]')["result"]["times"]) == 1
