"""Graphs that another thread compiles: CPython runs the calls until they are there.

In processes of their own, since the option is read once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(program: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(textwrap.dedent(PRELUDE) + textwrap.dedent(program))
        file.flush()
        done = subprocess.run(
            [sys.executable, file.name],
            env={
                **os.environ,
                "BIFRONT_BACKGROUND": "1",
                "BIFRONT_CACHE": "",
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PRELUDE = """
    import os, sys, threading
    import torch, bifront
    from bifront import _core
    from tests.same_state import Box, same

    class Training:
        def __init__(self):
            torch.manual_seed(0)
            self.net = torch.nn.Linear(3, 2)
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.1)
            self.calls = 0

        def step(self, x):
            self.calls += 1
            self.optimizer.zero_grad()
            y = self.net(x)
            loss = (y * 2).relu().sum() if y.sum() > 0 else y.square().sum() * self.calls
            loss.backward()
            self.optimizer.step()
            return loss.detach()

    def parameters(training):
        return [p.detach().clone() for p in training.net.parameters()]
"""


def test_a_graph_runs_once_it_is_there() -> None:
    run("""
        eager, training = Training(), Training()
        step = bifront.function(training.step)
        for call in range(12):
            x = torch.full((2 + call // 6, 3), float(call % 3 - 1))
            before = step.stats["graph_calls"]
            same(step(x), eager.step(x))
            same([parameters(training), training.calls], [parameters(eager), eager.calls])
            _core.wait_for_compiler()
        stats = step.stats
        assert stats["exits"]["CompilesLater"] == stats["conversions"], stats
        assert stats["graph_calls"] >= 6, stats
        assert stats["graph_calls"] + stats["fallback_calls"] + 1 == stats["calls"] == 12
        assert "BF013" in bifront.explain(step)
    """)


def test_calls_go_on_meanwhile() -> None:
    run("""
        eager, training = Training(), Training()
        step = bifront.function(training.step)
        for call in range(10_000):
            x = torch.full((2, 3), float(call % 3 - 1))
            same(step(x), eager.step(x))
            if step.stats["graph_calls"] > 50:
                break
        same([parameters(training), training.calls], [parameters(eager), eager.calls])
        assert step.stats["graph_calls"] > 50, bifront.explain(step)
        assert step.stats["conversions"] <= 8
    """)


def test_results_that_train() -> None:
    run("""
        weight = torch.ones(3, requires_grad=True)
        step = bifront.function(lambda x: (x * weight).exp())
        for call in range(5):
            x = torch.full((3,), float(call) / 4)
            weight.grad = None
            step(x).sum().backward()
            same(weight.grad, x * (x * weight.detach()).exp())
            _core.wait_for_compiler()
        assert step.stats["graph_calls"] == 3, bifront.explain(step)
    """)


def test_what_cannot_be_compiled_or_differs_at_each_call_is_converted_at_once() -> None:
    run("""
        step = bifront.function(lambda x, number: {number: x * 2})
        x = torch.ones(3)
        for number in range(12):
            same(step(x, number), {number: x * 2})
            _core.wait_for_compiler()
        stats = step.stats
        assert 1 <= stats["exits"]["CompilesLater"] <= 3, stats
        assert stats["graph_calls"] >= 2, stats
    """)


def test_a_process_that_ends_or_forks_meanwhile() -> None:
    out = run("""
        step = bifront.function(lambda x: (x * 2).relu())
        x = torch.ones(3)
        step(x), step(x)  # begun
        child = os.fork()
        other = bifront.function(lambda x: (x * 3).relu())
        for call in range(4):
            same(other(x), x * 3)
            same(step(x), x * 2)
            _core.wait_for_compiler()
        assert other.stats["graph_calls"] == 2 and step.stats["graph_calls"] == 4
        if child == 0:
            print("child", flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        last = bifront.function(lambda x: (x * 4).relu())
        last(x), last(x)  # the process ends with it
        print("parent")
    """)
    assert out.split() == ["child", "parent"]


def test_threads() -> None:
    run("""
        def function(x, n):
            return (x * n if x.sum() > 0 else x - n).relu() + x.shape[0]

        step, wrong = bifront.function(function), []

        def work(thread):
            for call in range(300):
                x = torch.ones(2 + (call * thread) % 5) * (1 if (call + thread) % 3 else -1)
                if not torch.equal(step(x, call % 4), function(x, call % 4)):
                    wrong.append((thread, call))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = step.stats
        assert not wrong and stats["calls"] == 1800
        assert stats["profiled_calls"] + stats["graph_calls"] + stats["fallback_calls"] == 1800
        assert stats["conversions"] <= 8
    """)
