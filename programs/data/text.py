"""English prose that every Python brings along: the docstrings of its standard library."""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
WORD = re.compile(r"[A-Za-z]+|[0-9]+|[.,;:!?()]")


def sources() -> list[Path]:
    """The modules of the standard library, those inside packages too, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    without = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
    found = [*root.glob("*.py"), *root.glob("*/*.py")]
    return sorted(path for path in found if not without & set(path.relative_to(root).parts))


@cache
def words() -> list[str]:
    found: list[str] = []
    for path in sources():
        for docstring in DOCSTRING.findall(path.read_text(encoding="utf-8", errors="replace")):
            found += WORD.findall(docstring.lower())
    return found


@cache
def text(vocabulary: int) -> Tensor:
    """The whole text as word numbers, most frequent first; rarer words are all 0."""
    common = Counter(words()).most_common(vocabulary - 1)
    number = {word: i for i, (word, _) in enumerate(common, start=1)}
    return torch.tensor([number.get(word, 0) for word in words()])


def passages(vocabulary: int, batch: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The text cut into `batch` columns that are read side by side, `length` words at a time: the
    words, and for each the one that follows, both of shape (length, batch). Begins again at the
    end."""
    tokens = text(vocabulary)
    rows = len(tokens) // batch
    columns = tokens[: rows * batch].view(batch, rows).t().contiguous()
    while True:
        for start in range(0, rows - length, length):
            yield columns[start : start + length], columns[start + 1 : start + length + 1]
