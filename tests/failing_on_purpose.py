"""Checks, operators, allocations and opaque calls that fail although all is well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bifront import _core


def run_program(folder: Path, program: str) -> str:
    """What a program prints that lets them fail: in a process of its own, since the option is read
    once, and from a file, so that its functions have a source."""
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, str(path)],
        env={
            **os.environ,
            "BIFRONT_FAIL_ON_PURPOSE": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail_each(eager: Callable[[], Any], converted: Callable[[], Any], most: int = 60) -> int:
    """Let each of every kind fail once, up to `most`: both give the same, and do again behind it.
    How many have failed."""
    failures = 0
    for kind in ("check", "call", "allocation", "opaque"):
        for nth in range(1, most + 2):
            expected = eager()
            _core.fail_nth(kind, nth)
            actual = converted()
            seen = _core.events_seen()
            _core.fail_nth(kind, 0)
            assert actual == expected, (kind, nth, actual, expected)
            if seen < nth or nth > most:
                break
            failures += 1
            expected = eager()
            assert converted() == expected, (kind, nth)
    return failures
