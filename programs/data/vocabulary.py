"""A vocabulary of words and pieces of words."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


class Vocabulary:
    """The most frequent words; another word is spelled by them, the longest first."""

    PAD, UNKNOWN, START, SEPARATOR, MASK = range(5)
    SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts = collections.Counter(word.lower() for text in texts for word in WORD.findall(text))
        letters = sorted({letter for word in counts for letter in word})
        frequent = [word for word, _ in counts.most_common() if len(word) > 1]
        kept = [*self.SPECIAL, *letters, *frequent][:size]
        self.words = kept
        self.ids = {word: index for index, word in enumerate(kept)}

    def __len__(self) -> int:
        return len(self.words)

    def pieces(self, word: str) -> Iterator[int]:
        while word:
            for end in range(len(word), 0, -1):
                if word[:end] in self.ids:
                    yield self.ids[word[:end]]
                    word = word[end:]
                    break
            else:
                yield self.UNKNOWN
                return

    def encode(self, text: str) -> list[int]:
        return [piece for word in WORD.findall(text.lower()) for piece in self.pieces(word)]

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(self.words[index] for index in ids)

    @classmethod
    def pad(cls, rows: list[list[int]]) -> Tensor:
        """A batch as long as its longest row."""
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [cls.PAD] * (longest - len(row)) for row in rows])
