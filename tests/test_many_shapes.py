"""Trees of a hundred shapes, sequences of thirty lengths: whole training steps, each one graph."""

from __future__ import annotations

import random
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_state import same

TREES, LENGTHS = 100, 30
FEWEST_LEAVES, MOST_LEAVES = 2, 60
WORDS, WIDTH, KINDS = 50, 6, 3


class Node:
    def __init__(self, label: int, word: int = 0, left: Any = None, right: Any = None) -> None:
        self.label, self.word, self.left, self.right = label, word, left, right


def random_tree(source: random.Random, leaves: int) -> Node:
    label = source.randrange(KINDS)
    if leaves == 1:
        return Node(label, word=source.randrange(WORDS))
    of_left = source.randint(1, leaves - 1)
    return Node(
        label,
        left=random_tree(source, of_left),
        right=random_tree(source, leaves - of_left),
    )


class TreeRNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.join = nn.Linear(2 * WIDTH, WIDTH)
        self.classify = nn.Linear(WIDTH, KINDS)

    def forward(self, node: Node) -> tuple[Tensor, Tensor]:
        if node.left is None:
            state = self.words.weight[node.word]
            return state, self.loss(state, node)
        left, left_loss = self(node.left)
        right, right_loss = self(node.right)
        state = torch.tanh(self.join(torch.cat([left, right])))
        return state, left_loss + right_loss + self.loss(state, node)

    def loss(self, state: Tensor, node: Node) -> Tensor:
        return -torch.log_softmax(self.classify(state), 0)[node.label]


class TreeLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.leaf = nn.Linear(WIDTH, 2 * WIDTH)
        self.gates = nn.Linear(2 * WIDTH, 5 * WIDTH)
        self.classify = nn.Linear(WIDTH, KINDS)

    def forward(self, node: Node) -> tuple[tuple[Tensor, Tensor], Tensor]:
        if node.left is None:
            cell, out = self.leaf(self.words.weight[node.word]).chunk(2)
            loss = torch.zeros(())
        else:
            (left_cell, left), left_loss = self(node.left)
            (right_cell, right), right_loss = self(node.right)
            i, f, g, o, u = self.gates(torch.cat([left, right])).chunk(5)
            cell = i.sigmoid() * u.tanh() + f.sigmoid() * left_cell + g.sigmoid() * right_cell
            out, loss = o, left_loss + right_loss
        hidden = out.sigmoid() * cell.tanh()
        loss = loss - torch.log_softmax(self.classify(hidden), 0)[node.label]
        return (cell, hidden), loss


class LSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.classify = nn.Linear(WIDTH, WORDS)

    def forward(self, words: Tensor) -> tuple[None, Tensor]:
        hidden = torch.zeros(words.shape[1], WIDTH)
        cell = torch.zeros(words.shape[1], WIDTH)
        loss = torch.zeros(())
        for t in range(len(words) - 1):
            hidden, cell = self.cell(self.words(words[t]), (hidden, cell))
            loss = loss + nn.functional.cross_entropy(self.classify(hidden), words[t + 1])
        return None, loss / len(words)


class Training:
    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimizer = torch.optim.Adagrad(model.parameters(), lr=0.02)

    def step(self, example: Any) -> float:
        self.optimizer.zero_grad()
        _, loss = self.model(example)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()


def compare(kind: type[nn.Module], examples: list[Any], learnt: int) -> None:
    """Of the calls after the first `learnt`, each must run in the graph."""
    sides = []
    for _ in range(2):
        torch.manual_seed(0)
        sides.append(Training(kind().double()))
    eager, converted = sides
    step = bifront.function(converted.step)
    in_graph = 0
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for number, example in enumerate(examples):
            torch.testing.assert_close(step(example), eager.step(example))
            if number == learnt - 1:
                in_graph = step.stats["graph_calls"]
    finally:
        torch.set_default_dtype(before)
    same(list(converted.model.parameters()), list(eager.model.parameters()))
    stats = step.stats
    assert stats["graphs"] == 1 and stats["opaque_calls"] == 0, bifront.explain(step)
    assert stats["graph_calls"] == in_graph + len(examples) - learnt, bifront.explain(step)


@pytest.mark.parametrize("kind", [TreeRNN, TreeLSTM])
def test_trees_of_a_hundred_shapes(kind: type[nn.Module]) -> None:
    source = random.Random(0)
    trees = [random_tree(source, source.randint(FEWEST_LEAVES, MOST_LEAVES)) for _ in range(TREES)]
    compare(kind, trees, learnt=2)


def test_sequences_of_thirty_lengths() -> None:
    lengths = list(range(3, 3 + LENGTHS))
    random.Random(0).shuffle(lengths)
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(WORDS, (length, 4), generator=generator) for length in lengths]
    compare(LSTM, texts, learnt=3)
