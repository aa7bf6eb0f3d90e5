"""What the runtime's own kernels compute does not depend on how many threads share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

THREADS = 3


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def product(x: Tensor, y: Tensor) -> Tensor:
    return x @ y.t()


def sum_with_product(x: Tensor, y: Tensor) -> Tensor:
    return torch.addmm(y[:, 0], x, y.t(), beta=0.5, alpha=2)


def products_of_batch(x: Tensor, y: Tensor) -> Tensor:
    return torch.bmm(x.expand(5, -1, -1), y.t().expand(5, -1, -1))


def many_elements(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] * y[None] + 1).sigmoid() * y


def few_long_rows(x: Tensor, y: Tensor) -> Tensor:
    long = torch.cat([x.flatten(), y.flatten()]).repeat(2, 40)
    return long.tanh() + long[0]


def strided(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None, ::2] - y[None, :, ::2]).transpose(0, 1).exp() / 3


def in_loop(x: Tensor, y: Tensor) -> Tensor:
    for _ in range(4):
        x = torch.tanh(x @ y.t() @ y / 100) + x
    return x


STEPS = [
    product,
    sum_with_product,
    products_of_batch,
    many_elements,
    few_long_rows,
    strided,
    in_loop,
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rows", [20, 75])
def test_same_bits(step: Callable[[Tensor, Tensor], Tensor], rows: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(rows, 256), torch.randn(300, 256)
    converted = bifront.function(step)
    found = []
    for threads in (1, THREADS):
        torch.set_num_threads(threads)
        for _ in range(3):
            result = converted(x, y)
        found.append(result)
    assert converted.stats["graph_calls"] == 5, bifront.explain(converted)
    assert torch.equal(*found)
    torch.testing.assert_close(found[1], step(x, y), rtol=1e-3, atol=1e-3)


def test_training_by_several_threads() -> None:
    def training() -> Callable[[Tensor], tuple[Tensor, ...]]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(256, 300), torch.nn.Tanh(), torch.nn.Linear(300, 10)
        ).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Tensor) -> tuple[Tensor, ...]:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach(), *(p.detach().clone() for p in model.parameters())

        return step

    torch.set_num_threads(THREADS)
    eager, converted = training(), bifront.function(training())
    for number in range(6):
        x = torch.randn(200, 256, dtype=torch.float64)
        assert_same_value(eager(x), converted(x), f"step {number}")
