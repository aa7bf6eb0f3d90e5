"""Which programs of the language suite give the right results but not yet from the declared graphs.

The record is strict both ways: a program that gets better or worse has to change its line, so that
the file says at any time what the front end cannot do, and shrinks.
"""

from __future__ import annotations

import os
from pathlib import Path

RECORD = Path(__file__).parent / "falls_short.txt"
# Set, a run of the suite writes the record anew for the programs that it runs.
UPDATES = bool(os.environ.get("BIFRONT_UPDATE_FALLS_SHORT"))


def read() -> dict[str, str]:
    """What is recorded of each program, by theme/name."""
    lines = RECORD.read_text().splitlines() if RECORD.exists() else []
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def write(outcomes: dict[str, str]) -> None:
    """Replace what is recorded of these programs; an empty text: it does as declared."""
    record = {name: text for name, text in (read() | outcomes).items() if text}
    header = [
        "# Programs that give CPython's results but not yet from as few graphs as they declare.",
        "# BIFRONT_UPDATE_FALLS_SHORT=1 pytest tests/language writes it; each other run checks it.",
    ]
    lines = [f"{name}: {record[name]}" for name in sorted(record)]
    RECORD.write_text("\n".join(header + lines) + "\n")
