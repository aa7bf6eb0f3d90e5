"""Graphs that later processes find again.

`bifront.cache.use(directory)`, or the environment variable BIFRONT_CACHE, keeps in files what the
passes and the code generator have made of a function. A process that converts the same function
reads it there: it walks the function, and leaves out the rest of the conversion.

The directory is the user's alone, and so is each file in it. A file that is damaged, was edited, or
comes from another cache is rejected before anything is done with it: a line on stderr says so, and
it is made anew.
"""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

import torch  # (the core's symbols come from torch, so torch goes first)

from bifront import _core


class State(NamedTuple):
    """What became of the cache in this process."""

    directory: str
    """Empty where none is used."""
    found: int
    """Results that were read from files."""
    made: int
    """Results that were made, and kept for later."""
    rejected: list[str]
    """Files that were not used, and why."""


def use(directory: str | os.PathLike[str] | None) -> None:
    """Keep graphs in this directory from now on, which is made where there is none; or nowhere.

    Raises PermissionError where others than the user may read the directory or write in it.
    """
    path = "" if directory is None else os.path.abspath(os.fspath(directory))
    try:
        _core.use_cache(path, f"torch {torch.__version__} {torch.version.git_version}")
    except RuntimeError as why:
        raise PermissionError(str(why)) from None


def state() -> State:
    """Say what has been found, made and rejected since the last `use`."""
    return State(*_core.cache_state())


if _directory := os.environ.get("BIFRONT_CACHE"):
    try:
        use(_directory)
    except PermissionError as why:
        warnings.warn(f"BIFRONT_CACHE is not used: {why}", stacklevel=2)
