"""What a process holds in memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The largest resident set since the process began, or since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def peak_bytes_of(call: Callable[[], object]) -> int:
    """The largest resident set while `call` runs."""
    forget_peak()
    call()
    return peak_bytes()


def give_back() -> None:
    """What the heap holds free goes back to the system."""
    ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """What the machine could still give to processes."""
    return int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024
