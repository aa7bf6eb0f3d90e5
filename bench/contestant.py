"""A program that trains in a process of its own, a few steps whenever it is told to.

Each way of running a program is such a process: the time of its first step, its memory, a crash
and a hang are then its own. The bench gives the processes their turns.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """The contestant cannot go on; the message says why."""


class Contestant:
    """The bench's end of the process. It writes a request, and reads the answer: a line of JSON
    each."""

    def __init__(
        self,
        program: str,
        way: str,
        *,
        size: str,
        batch: int | None,
        threads: int,
        timeout: float,
        double: bool = False,
    ) -> None:
        self.timeout = timeout
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            # Nothing that an earlier run compiled is found again.
            "TORCHINDUCTOR_CACHE_DIR": self.folder.name,
        }
        self.log = Path(self.folder.name) / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.contestant"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.chaotic: bool = self.ask(
            "build",
            timeout=max(timeout, 120.0),  # reading the data is no step
            program=program,
            way=way,
            size=size,
            batch=batch,
            threads=threads,
            double=double,
        )

    def ask(self, request: str, *, timeout: float | None = None, **arguments: Any) -> Any:
        patience = self.timeout if timeout is None else timeout
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps([request, arguments]).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self.how_it_ended()) from None
        if not select.select([self.process.stdout], [], [], patience)[0]:
            raise Failed(f"took more than {self.timeout:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(self.how_it_ended())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def how_it_ended(self) -> str:
        status = self.process.wait()
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"ended with status {status}" + "".join(f": {line}" for line in last)

    def close(self) -> None:
        # Compilers that it has started go with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self.folder.cleanup()


class Trainer:
    """The process's end: the program, and its step as the way has made it."""

    def build(
        self,
        program: str,
        way: str,
        size: str,
        batch: int | None,
        threads: int,
        double: bool = False,
    ) -> bool:
        """Whether rounding decides what comes of the program."""
        import torch

        from bench.ways import WAYS
        from programs.program import find, in_double

        torch.set_num_threads(threads)
        if double:
            torch.set_default_dtype(torch.float64)
        changed = {} if batch is None else {"batch": batch}
        self.program = find(program)(0, size, **changed)
        if double:
            in_double(self.program)
        self.batches = self.program.batches()
        self.step, self.counts_now = WAYS[way](self.program)
        return self.program.chaotic

    def steps(self, count: int) -> dict[str, Any]:
        """Seconds and losses of each step. Making the batches is not timed."""
        times, losses = [], []
        for batch in itertools.islice(self.batches, count):
            start = time.perf_counter()
            result = self.step(*batch)
            times.append(time.perf_counter() - start)
            losses.append([float(x) for x in (result if isinstance(result, tuple) else [result])])
        return {"times": times, "losses": losses}

    def save(self, path: str) -> None:
        """With tensors as arrays: torch.save imports what a converted step takes for news."""
        import torch

        state = self.program.state()
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                state[name] = value.detach().numpy()
        with open(path, "wb") as file:
            pickle.dump(state, file, protocol=5)  # older ones keep a copy of each array to the end

    def forget_peak(self) -> None:
        from bench.memory import forget_peak

        forget_peak()

    def peak(self) -> int:
        from bench.memory import peak_bytes

        return peak_bytes()

    def counts(self) -> dict[str, Any]:
        return dict(self.counts_now())

    def operations(self, count: int) -> float:
        """Multiplications and additions of matrix products and convolutions, a step."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.steps(count)
        return float(counter.get_total_flops()) / count


def answer(trainer: Trainer, line: str) -> dict[str, Any]:
    request, arguments = json.loads(line)
    method: Callable[..., Any] = getattr(trainer, request)
    try:
        return {"result": method(**arguments)}
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {"error": f"{type(error).__name__}: {first}"[:300]}


def main() -> None:
    # What the program prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    trainer = Trainer()
    for line in sys.stdin:
        print(json.dumps(answer(trainer, line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
