"""Each check, operator, allocation and opaque call fails on purpose: CPython's results follow."""

import os
import re
import subprocess
import sys

# Set, all events of all programs take their turn.
ALL = bool(os.environ.get("BIFRONT_FAIL_ALL"))


def test_every_failure_ends_as_cpython_does() -> None:
    """In a process of its own, since the option is read once."""
    arguments = ["--all"] if ALL else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.fail_the_nth", *arguments],
        env={**os.environ, "BIFRONT_FAIL_ON_PURPOSE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) programs, (\d+) failures .* 0 differences", done.stdout)
    assert counted, done.stdout
    assert int(counted[1]) >= 75 and int(counted[2]) >= 1000, done.stdout
