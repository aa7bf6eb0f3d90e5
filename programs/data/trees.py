"""Binary trees with labels, as the Stanford Sentiment Treebank has them, from parsed Python code.

A statement of the standard library becomes a tree whose leaves are words: what kind of node the
parser found, and the names in it. A node's label says how many calls there are below it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch

from programs.data.text import sources

CLASSES = 5


@dataclass
class Node:
    """A leaf has a word; any other node has two children."""

    label: int
    word: int = 0
    left: Node | None = None
    right: Node | None = None

    @property
    def is_leaf(self) -> bool:
        return self.left is None


def _phrase(node: ast.AST) -> list[object]:
    """A node as a nest of words: its kind, then what it is made of."""
    parts: list[object] = [type(node).__name__]
    for _, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr_context):
                continue
            if isinstance(item, ast.AST):
                parts.append(_phrase(item))
            elif isinstance(item, str):
                parts.append(item)
    return parts


def _words(phrase: object) -> Iterator[str]:
    if isinstance(phrase, str):
        yield phrase
    elif isinstance(phrase, list):
        for part in phrase:
            yield from _words(part)


@cache
def _phrases(modules: int) -> list[object]:
    """The statements of as many modules, those of 5 to 40 words."""
    found: list[object] = []
    for path in sources()[:modules]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.Assign | ast.Expr | ast.Return | ast.AugAssign):
                phrase = _phrase(node)
                if 5 <= sum(1 for _ in _words(phrase)) <= 40:
                    found.append(phrase)
    return found


def _binary(phrase: object, number: dict[str, int]) -> tuple[Node, int]:
    """The tree of a phrase, and its calls. Of several parts the first two come together first."""
    if isinstance(phrase, str):
        calls = int(phrase == "Call")
        return Node(calls, word=number.get(phrase, 0)), calls
    assert isinstance(phrase, list)
    tree, calls = _binary(phrase[0], number)
    for part in phrase[1:]:
        right, more = _binary(part, number)
        calls += more
        tree = Node(min(calls, CLASSES - 1), left=tree, right=right)
    return tree, calls


def trees(vocabulary: int, modules: int, batch: int, seed: int) -> Iterator[list[Node]]:
    """Lists of `batch` trees, drawn at random."""
    phrases = _phrases(modules)
    common = Counter(word for phrase in phrases for word in _words(phrase))
    number = {word: i for i, (word, _) in enumerate(common.most_common(vocabulary - 1), start=1)}
    random = torch.Generator().manual_seed(seed)
    while True:
        drawn = torch.randint(0, len(phrases), (batch,), generator=random)
        yield [_binary(phrases[i], number)[0] for i in drawn.tolist()]
