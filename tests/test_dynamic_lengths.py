"""Sizes that change from call to call and decide what Python does: one graph, a path per answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.test_paths import Two

Step = Callable[..., Any]


def lengths(make: Callable[[], tuple[Step, Any]], of: Sequence[Any], **options: Any) -> Two:
    """Calls it with tensors of these lengths in turn, or with several each time."""
    two = Two(make, **options)
    for call, length in enumerate(of):
        sizes = length if isinstance(length, tuple) else (length,)
        two.call(call, *(torch.randn(size, 3) for size in sizes))
    return two


def stateless(step: Step) -> Callable[[], tuple[Step, Any]]:
    return lambda: (step, None)


def kept_or_cut(x: Tensor) -> Any:
    if x.shape[0] > 6:
        return x[:6].sum(), "cut"
    return x, None


def pieces(x: Tensor) -> Any:
    """As many as fit, from a generator."""

    def starts() -> Iterator[int]:
        yield from range(0, x.shape[0], 4)

    return [x[start : start + 4].sum(0) for start in starts()], x.shape


def test_a_branch_on_a_size_has_two_paths() -> None:
    two = lengths(stateless(kept_or_cut), [5, 9, 4, 12, 3, 20, 6, 7, 8, 5, 4, 30])
    two.assert_one_graph(least=11)


def test_the_other_way_comes_late() -> None:
    two = lengths(stateless(kept_or_cut), [5, 4, 3, 2, 5, 4, 3, 9, 11, 4, 13, 2])
    two.assert_one_graph(least=11)


def test_a_generator_over_a_size() -> None:
    two = lengths(stateless(pieces), [6, 7, 10, 11, 7, 5, 14, 6, 15, 10, 13, 7])
    two.assert_one_graph(least=11)


def test_sizes_at_the_edge_of_an_answer() -> None:
    """Where one row is left, PyTorch broadcasts it."""

    def step(x: Tensor) -> Any:
        if x.shape[0] > 4:
            return (x[4:] * x[:1] + x[4:].mean(0)).softmax(0), x[4:].squeeze(0).shape
        return x.sum(0)

    two = lengths(stateless(step), [3, 7, 8, 5, 4, 9, 5, 3, 2, 4, 6, 5, 8])
    assert two.stats["graph_calls"] >= 11, bifront.explain(two.converted)


def test_two_sizes_are_compared() -> None:
    def step(x: Tensor, y: Tensor) -> Any:
        if x.shape[0] < y.shape[0]:
            return {"left": x.sum(0) * len(y)}
        return {"right": y.cumsum(0), "rows": len(x) - len(y)}

    sizes = [(3, 5), (4, 7), (8, 5), (9, 2), (3, 4), (6, 3), (12, 14), (5, 4), (7, 3), (2, 9)]
    lengths(stateless(step), sizes).assert_one_graph(least=9)


def test_many_questions_of_one_size() -> None:
    def step(x: Tensor) -> Any:
        kind = "short" if len(x) < 4 else "long" if len(x) > 12 else "middling"
        return kind, x * (2 if len(x) % 2 else 3)

    sizes = [2, 5, 3, 14, 6, 13, 7, 2, 8, 15, 3, 16, 9, 5, 14, 2, 10]
    two = lengths(stateless(step), sizes, max_graphs=12)  # six kinds, and what there is to learn
    assert two.stats["graph_calls"] >= 15, bifront.explain(two.converted)


def test_the_same_sizes_in_several_arguments() -> None:
    def step(x: Tensor, y: Tensor) -> Any:
        return (x + y if len(x) > 5 else x * y), [len(x) > 5]

    lengths(stateless(step), [(n, n) for n in (4, 7, 3, 9, 5, 6, 8, 2, 12)]).assert_one_graph(8)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(
            [13, 7, 6, 15, 8, 14, 5, 12, 16, 7, 13, 10, 4, 15, 14, 6], id="one window or two"
        ),
        pytest.param(
            [13, 15, 7, 6, 9, 14, 5, 9, 12, 16, 7, 13, 10, 4, 9, 15, 14, 6], id="just a window"
        ),
        pytest.param(
            [6, 5, 7, 9, 14, 12, 9, 16, 7, 13, 10, 4, 9, 15, 14, 6], id="and others later"
        ),
    ],
)
def test_training_on_windows_of_any_length(texts: list[int]) -> None:
    """Of a text of any length, with a rate that follows a cosine. One of 9 words is no other's."""

    class Training:
        def __init__(self) -> None:
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
            self.steps = 0

        def windows(self, text: Tensor) -> Iterator[Tensor]:
            for start in range(0, text.shape[1] - 1, 8):
                yield text[:, start : start + 9]

        def step(self, text: Tensor) -> Tensor:
            for group in self.optimizer.param_groups:
                group["lr"] = 1e-2 * (0.1 + 0.45 * (1 + math.cos(math.pi * self.steps / 50)))
            self.optimizer.zero_grad()
            total = torch.zeros(())
            for window in self.windows(text):
                logits = self.model(window[:, :-1])
                loss = functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].reshape(-1))
                loss.backward()
                total += loss.detach()
            self.optimizer.step()
            self.steps += 1
            return total

    def make() -> tuple[Step, Any]:
        training = Training()
        return training.step, (training.model.state_dict(), training.optimizer.state_dict())

    two = Two(make)
    for call, length in enumerate(texts):
        two.call(call, torch.randint(11, (2, length)))
    two.assert_one_graph(least=len(texts) - 1)


# ---- math --------------------------------------------------------------------------------------


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numbers_that_vary(name: str) -> None:
    """Bit for bit, whole numbers too, and what raises in CPython raises."""
    function = FUNCTIONS[name]

    def step(x: Tensor, n: float) -> Any:
        y = function(n)
        return x, repr(y)

    for values in (
        [0.5, 1.25, 3.75, 1e-9, 20.0, 0.1],
        [1, 2, 3, 50, 7, 11],
        [0.5, 1.5, -2.0, 0.0, math.inf, -math.inf, math.nan, 1e308, 710.0, 2.5],
    ):
        two = Two(stateless(step))
        for call in range(2 * len(values)):
            two.call(call, torch.randn(3), values[call % len(values)])
        assert two.stats["graphs"] == 1, bifront.explain(two.converted)
        assert two.stats["graph_calls"] > 0, bifront.explain(two.converted)


def test_functions_of_sizes_and_of_tensors() -> None:
    def step(x: Tensor) -> Any:
        return x / math.sqrt(len(x)), math.exp(x.mean().item()), math.log(len(x))

    lengths(stateless(step), [4, 7, 3, 9, 5, 6, 8, 2, 12]).assert_one_graph(least=8)


def test_a_table_is_cut_by_a_length() -> None:
    table = torch.arange(30.0).view(10, 3)

    def step(x: Tensor) -> Any:
        y = x[:-1]
        return table[10 - y.shape[0] :] * y.sum(), table[: y.shape[0]].sum()

    two = lengths(stateless(step), [5, 7, 8, 6, 9, 12, 13, 14, 7, 5, 15, 9])
    assert two.stats["graphs"] == 1, two.stats
