"""Text that every Python installation carries."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pydoc_data.topics import topics

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def chapters() -> list[str]:
    """What `help("topic")` prints, a chapter of Python's reference each."""
    return [topics[name] for name in sorted(topics)]


def sentences(text: str, fewest_words: int = 4) -> list[str]:
    flat = re.sub(r"\s+", " ", text).strip()
    return [s for s in SENTENCE.split(flat) if len(s.split()) >= fewest_words]


def docstrings(module: str) -> Iterator[str]:
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text is not None:
                yield text
