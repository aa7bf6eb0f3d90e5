"""Models whose control flow depends on the data, as people write them: the whole step is one graph.

Each trains for 20 steps beside eager: losses, parameters, gradients, the optimizer's state and the
random stream.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS = 20
# From here on no call may leave the graph.
LEARNT = 12


@dataclasses.dataclass
class Training:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: Callable[..., Any]


def optimized(model: nn.Module, loss_of: Callable[..., Tensor], clip: float = 1.0) -> Training:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(*batch: Any) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.detach()

    return Training(model, optimizer, step)


# --- LSTM and GRU, cell by cell ------------------------------------------------------------------


class WordLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.first, self.second = nn.LSTMCell(8, 12), nn.LSTMCell(12, 12)
        self.dropout = nn.Dropout(0.2)
        self.decoder = nn.Linear(12, 20)

    def forward(self, words: Tensor) -> Tensor:
        batch = words.size(1)
        h1 = c1 = h2 = c2 = torch.zeros(batch, 12)
        outputs = []
        for word in self.embedding(words):
            h1, c1 = self.first(word, (h1, c1))
            h2, c2 = self.second(self.dropout(h1), (h2, c2))
            outputs.append(self.decoder(h2))
        return torch.stack(outputs)


def lstm_loop() -> Training:
    model = WordLstm()

    def loss_of(words: Tensor) -> Tensor:
        logits = model(words[:-1])
        return functional.cross_entropy(logits.flatten(0, 1), words[1:].flatten())

    return optimized(model, loss_of)


def words(call: int) -> tuple[Tensor, ...]:
    return (torch.randint(20, (4 + call % 5, 3)),)


class GatedUnit(nn.Module):
    """A GRU of the program's own."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs + hidden, 2 * hidden)
        self.candidate = nn.Linear(inputs + hidden, hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        update, reset = self.gates(torch.cat([x, h], dim=1)).sigmoid().chunk(2, dim=1)
        new = torch.tanh(self.candidate(torch.cat([x, reset * h], dim=1)))
        return (1 - update) * h + update * new


def gru_loop() -> Training:
    unit, readout = GatedUnit(5, 7), nn.Linear(7, 1)
    model = nn.ModuleList([unit, readout])

    def loss_of(series: Tensor, target: Tensor) -> Tensor:
        h = series.new_zeros(series.size(0), 7)
        loss = series.new_zeros(())
        for t in range(series.size(1)):
            h = unit(series[:, t], h)
            loss = loss + functional.mse_loss(readout(h), target)
        return loss / series.size(1)

    return optimized(model, loss_of)


def series(call: int) -> tuple[Tensor, ...]:
    return torch.randn(3, 3 + call % 4, 5), torch.randn(3, 1)


# --- TreeLSTM ------------------------------------------------------------------------------------


class Tree:
    def __init__(self, word: int, left: Tree | None = None, right: Tree | None = None) -> None:
        self.word, self.left, self.right = word, left, right

    @property
    def is_leaf(self) -> bool:
        return self.left is None


class TreeLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.leaf = nn.Linear(6, 2 * 8)
        self.inner = nn.Linear(2 * 8, 5 * 8)
        self.classify = nn.Linear(8, 3)

    def forward(self, node: Any) -> tuple[Tensor, Tensor]:
        if node.is_leaf:
            c, h = self.leaf(self.embedding(torch.tensor([node.word]))).chunk(2, dim=1)
            return torch.tanh(h), c
        left_h, left_c = self.forward(node.left)
        right_h, right_c = self.forward(node.right)
        gates = self.inner(torch.cat([left_h, right_h], dim=1)).chunk(5, dim=1)
        i, left_f, right_f, o = (gate.sigmoid() for gate in gates[:4])
        c = i * torch.tanh(gates[4]) + left_f * left_c + right_f * right_c
        return o * torch.tanh(c), c


def tree_lstm() -> Training:
    model = TreeLstm()

    def loss_of(tree: Tree, label: Tensor) -> Tensor:
        h, _ = model(tree)
        return functional.cross_entropy(model.classify(h), label)

    return optimized(model, loss_of)


def tree(size: int) -> Tree:
    if size == 1:
        return Tree(int(torch.randint(20, ())))
    left = int(torch.randint(1, size, ()))
    return Tree(0, tree(left), tree(size - left))


def trees(call: int) -> tuple[Any, ...]:
    return tree(2 + call % 6), torch.randint(3, (1,))


# --- Attention, and a stop that depends on what is written ---------------------------------------


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(15, 8), nn.Embedding(15, 8)
        self.encoder, self.decoder = nn.GRUCell(8, 8), nn.GRUCell(16, 8)
        self.query, self.output = nn.Linear(8, 8), nn.Linear(16, 15)

    def encode(self, words: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(1, 8)
        states = []
        for word in words:
            h = self.encoder(self.source(word).unsqueeze(0), h)
            states.append(h)
        return torch.cat(states), h

    def attend(self, h: Tensor, memory: Tensor) -> Tensor:
        weights = functional.softmax(self.query(h) @ memory.t(), dim=1)
        return weights @ memory

    def forward(self, words: Tensor, target: Tensor) -> Tensor:
        memory, h = self.encode(words)
        word = torch.zeros(1, dtype=torch.long)
        loss = torch.zeros(())
        position = 0
        while position < target.size(0):
            context = self.attend(h, memory)
            h = self.decoder(torch.cat([self.target(word), context], dim=1), h)
            logits = self.output(torch.cat([h, context], dim=1))
            loss = loss + functional.cross_entropy(logits, target[position].unsqueeze(0))
            word = logits.argmax(dim=1)
            position += 1
            if word.item() == 1:  # it has written the end
                break
        return loss / position


def attention() -> Training:
    model = Translator()
    return optimized(model, lambda words, target: model(words, target))


def sentences(call: int) -> tuple[Tensor, ...]:
    return torch.randint(2, 15, (3 + call % 4,)), torch.randint(1, 4, (2 + call % 3,))


# --- MAML ----------------------------------------------------------------------------------------


def maml() -> Training:
    model = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def predict(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(model, weights, (x,))

    def step(tasks: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for x, y, query_x, query_y in tasks:
            weights = dict(model.named_parameters())
            for _ in range(3):
                loss = functional.mse_loss(predict(weights, x), y)
                gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                weights = {
                    name: weight - 0.1 * gradient
                    for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
                }
            total = total + functional.mse_loss(predict(weights, query_x), query_y)
        total.backward()
        optimizer.step()
        return total.detach()

    return Training(model, optimizer, step)


def tasks(call: int) -> tuple[Any, ...]:
    def sine() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        phase = torch.rand(())
        x, query = torch.randn(5, 1), torch.randn(5, 1)
        return x, (x + phase).sin(), query, (query + phase).sin()

    return ([sine() for _ in range(3)],)


# --- A neural ODE with adaptive steps ------------------------------------------------------------


class Flow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))

    def slope(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([y, t.expand(y.size(0), 1)], dim=1))

    def forward(self, y: Tensor, end: float = 1.0, tolerance: float = 2e-3) -> Tensor:
        """Heun's method, whose step follows from its distance to Euler's."""
        t, width = torch.zeros(()), torch.tensor(0.25)
        while t < end:
            width = torch.minimum(width, end - t)
            first = self.slope(t, y)
            euler = y + width * first
            second = self.slope(t + width, euler)
            heun = y + width * (first + second) / 2
            error = (heun - euler).detach().norm()
            if error <= tolerance * 20:
                t, y = t + width, heun
            width = width * (0.9 * (tolerance * 20 / (error + 1e-8)).sqrt()).clamp(0.3, 2.0)
        return y


def neural_ode() -> Training:
    model = Flow()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return optimized(model, lambda y, target: functional.mse_loss(model(y), target), clip=0.5)


def points(call: int) -> tuple[Tensor, ...]:
    y = torch.randn(4, 2) * (1 + call % 3)
    return y, torch.stack([y[:, 1], -y[:, 0]], dim=1)


PROGRAMS: dict[str, tuple[Callable[[], Training], Callable[[int], tuple[Any, ...]]]] = {
    "lstm_loop": (lstm_loop, words),
    "gru_loop": (gru_loop, series),
    "tree_lstm": (tree_lstm, trees),
    "attention": (attention, sentences),
    "maml": (maml, tasks),
    "neural_ode": (neural_ode, points),
}


def assert_same_state(actual: Training, expected: Training) -> None:
    names = [name for name, _ in expected.model.named_parameters()]
    for name, a, b in zip(
        names, actual.model.parameters(), expected.model.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-2, atol=1e-4)
    states = (actual.optimizer.state_dict(), expected.optimizer.state_dict())
    assert states[0]["param_groups"] == states[1]["param_groups"]
    torch.testing.assert_close(states[0]["state"], states[1]["state"], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_graph_does_what_eager_does(name: str) -> None:
    build, inputs = PROGRAMS[name]
    torch.manual_seed(0)
    expected = build()
    torch.manual_seed(0)
    actual = build()
    converted = bifront.function(actual.step)
    in_graph = 0
    for call in range(STEPS):
        torch.manual_seed(call)
        batch = inputs(call)
        before = torch.get_rng_state()
        loss = expected.step(*batch)
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        torch.testing.assert_close(converted(*batch), loss, rtol=1e-4, atol=1e-5)
        assert torch.equal(torch.get_rng_state(), after), "another random stream"
        if call == LEARNT - 1:
            in_graph = converted.stats["graph_calls"]
    assert_same_state(actual, expected)
    stats = converted.stats
    assert stats["graphs"] == 1, bifront.explain(converted)
    assert stats["graph_calls"] == in_graph + STEPS - LEARNT, bifront.explain(converted)
