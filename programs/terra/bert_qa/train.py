"""Where in a passage of Python's reference is the quotation that the question leaves out?"""

from __future__ import annotations

import collections
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from programs.data.documentation import chapters, sentences
from programs.data.vocabulary import Vocabulary
from programs.program import Program, main
from programs.terra.attention import Configuration
from programs.terra.bert_qa.model import SpanPredictor

CONFIGURATIONS = {
    "small": Configuration(vocabulary=512, longest=96, width=64, layers=2, heads=4),
    "paper": Configuration(vocabulary=30522, longest=384, width=768, layers=12, heads=12),
}
BATCH = {"small": 4, "paper": 4}
LEARNING_RATE = {"small": 2e-3, "paper": 3e-5}


@dataclass
class Example:
    tokens: list[int]
    segments: list[int]
    start: int
    end: int


@dataclass
class Chapter:
    """Encoded sentences, and where in which sentence something is quoted."""

    sentences: list[list[int]]
    quoted: list[tuple[int, int, int]]


def quotations(sentence: list[int], quote: int, longest: int = 6) -> Iterator[tuple[int, int]]:
    """First and last piece of each short text between quotation marks."""
    marks = [position for position, piece in enumerate(sentence) if piece == quote]
    for left, right in zip(marks[::2], marks[1::2]):
        if 1 < right - left <= longest + 1:
            yield left + 1, right - 1


@cache
def passages(words: int, longest_sentence: int) -> tuple[Vocabulary, list[Chapter]]:
    texts = chapters()
    vocabulary = Vocabulary(texts, words)
    quote = vocabulary.ids['"']
    found = []
    for text in texts:
        encoded = [vocabulary.encode(sentence) for sentence in sentences(text)]
        encoded = [sentence for sentence in encoded if len(sentence) <= longest_sentence]
        quoted = [
            (number, *span)
            for number, sentence in enumerate(encoded)
            for span in quotations(sentence, quote)
        ]
        if quoted:
            found.append(Chapter(encoded, quoted))
    return vocabulary, found


def ask(rng: random.Random, chapter: Chapter, longest: int) -> Example:
    """The question is a sentence without what it quotes; the passage has it, and its neighbours."""
    number, start, end = rng.choice(chapter.quoted)
    sentence = chapter.sentences[number]
    question = [*sentence[:start], Vocabulary.MASK, *sentence[end + 1 :]]
    first = [Vocabulary.START, *question, Vocabulary.SEPARATOR]
    room = longest - len(first) - len(sentence) - 1
    before = [piece for other in chapter.sentences[:number] for piece in other]
    before = before[len(before) - min(len(before), rng.randint(0, room)) :]
    after = [piece for other in chapter.sentences[number + 1 :] for piece in other]
    after = after[: rng.randint(0, room - len(before))]
    second = [*before, *sentence, *after, Vocabulary.SEPARATOR]
    shift = len(first) + len(before)
    segments = [0] * len(first) + [1] * len(second)
    return Example(first + second, segments, shift + start, shift + end)


class Answers:
    """Exact matches and F1 of the answers' words, as SQuAD's evaluation has them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.asked = 0
        self.exact = 0
        self.f1 = 0.0
        self.best: tuple[float, str] | None = None

    def add(self, tokens: list[int], start: int, end: int, example: tuple[int, int]) -> None:
        answer = self.vocabulary.decode(tokens[start : end + 1]).split()
        truth = self.vocabulary.decode(tokens[example[0] : example[1] + 1]).split()
        common = sum((collections.Counter(answer) & collections.Counter(truth)).values())
        f1 = 2 * common / (len(answer) + len(truth))
        self.asked += 1
        self.exact += answer == truth
        self.f1 += (f1 - self.f1) / self.asked
        if self.best is None or f1 > self.best[0]:
            self.best = (f1, " ".join(answer))


def best_span(start: Tensor, end: Tensor, longest: int) -> tuple[int, int]:
    """The pair with the highest sum that is an answer: its end is not before its start."""
    candidates = (start[:, None] + end[None, :]).triu().tril(longest - 1)
    best = int(candidates.argmax())
    return best // len(start), best % len(start)


class Training(Program):
    chaotic = True  # as GPT-2: the gradients of some biases are rounding alone

    def __init__(
        self, configuration: Configuration, batch: int, learning_rate: float, seed: int
    ) -> None:
        self.configuration = configuration
        vocabulary, _ = self.passages()
        self.batch = batch
        self.seed = seed
        self.model = SpanPredictor(configuration)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate)
        self.answers = Answers(vocabulary)

    def passages(self) -> tuple[Vocabulary, list[Chapter]]:
        return passages(self.configuration.vocabulary, self.configuration.longest // 3)

    def step(self, tokens: Tensor, segments: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        start_scores, end_scores = self.model(tokens, segments)
        loss = (self.loss(start_scores, starts) + self.loss(end_scores, ends)) / 2
        loss.backward()
        self.optimizer.step()
        lengths = (tokens != Vocabulary.PAD).sum(dim=1)
        for row, length in enumerate(lengths.tolist()):
            start, end = best_span(
                start_scores[row, :length].detach(), end_scores[row, :length].detach(), 8
            )
            truth = (int(starts[row]), int(ends[row]))
            self.answers.add(tokens[row].tolist(), start, end, truth)
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        _, known = self.passages()
        rng = random.Random(self.seed)
        while True:
            asked = [
                ask(rng, rng.choice(known), self.configuration.longest) for _ in range(self.batch)
            ]
            yield (
                Vocabulary.pad([example.tokens for example in asked]),
                Vocabulary.pad([example.segments for example in asked]),
                torch.tensor([example.start for example in asked]),
                torch.tensor([example.end for example in asked]),
            )


def build(seed: int, size: str, batch: int | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(CONFIGURATIONS[size], batch or BATCH[size], LEARNING_RATE[size], seed)


if __name__ == "__main__":
    main(build)
