"""One graph serves several batch sizes."""

from typing import Any

import pytest
import torch

from programs.foundation import PROGRAMS
from tests.same_function import assert_same
from tests.same_training import assert_same_training, in_double

BATCH = [(0, 0), (1, 0)]


@pytest.mark.parametrize("program", ["mlp", "lenet", "transformer"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training(program: str, optimizer: str) -> None:
    build: Any = lambda: PROGRAMS[program](0, optimizer)  # noqa: E731
    if program == "transformer":
        build = in_double(build)
    step = assert_same_training(build, sizes=(3, 8, 17), dynamic=BATCH)
    assert step.stats["graph_calls"] >= 18


def test_residual_network() -> None:
    assert_same_training(
        in_double(lambda: PROGRAMS["resnet18"](0, "sgd", image=64, classes=10)),
        sizes=(3, 8, 17),
        steps=6,
        dynamic=BATCH,
    )


def test_a_dimension_that_varies_becomes_dynamic_by_itself() -> None:
    import bifront

    converted = bifront.trace(lambda x: (x * 2).sum(dim=0))
    for size in [3, 3, 8, 8, 17, 5, 1, 2]:
        x = torch.randn(size, 4)
        torch.testing.assert_close(converted(x), (x * 2).sum(dim=0))
    assert converted.stats["graphs"] <= 3


FUNCTIONS = {
    "flatten": lambda x: x.flatten(1) * x.shape[0],
    "reshape": lambda x: x.reshape(-1, 2).sum(0),
    "mean": lambda x: x.mean(0),
    "cat": lambda x: torch.cat([x, x[:1]], 0),
    "softmax": lambda x: x.flatten(1).softmax(0),
    "expand": lambda x: torch.ones(1, 4, 6).expand(x.shape[0], 4, 6) + x,
    "matmul": lambda x: x.flatten(1) @ x.flatten(1).t(),
    "arange": lambda x: torch.arange(x.shape[0]) + 1,
    "zeros": lambda x: torch.zeros(x.size(0), 3),
    "transpose": lambda x: x.transpose(0, 1).contiguous(),
    "variance": lambda x: x.var(0),
    "bmm": lambda x: torch.bmm(x, x.transpose(1, 2)),
    "stack": lambda x: torch.stack([x, x * 2]),
    "split": lambda x: x.split(2, dim=1),
    "index": lambda x: x[:, 0] + x[:, -1],
    "shape": lambda x: x.shape[0] * 2 + 1,
    "division": lambda x: x.sum() / x.shape[0],
    "normal": lambda x: torch.randn(x.shape[0]) + x.sum(),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, (6,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    sizes = iter([3, 3, 8, 8, 17, 17, 3, 3])
    assert_same(FUNCTIONS[name], lambda: (torch.randn(next(sizes), 4, 6),), dynamic=[(0, 0)])


def test_gradient_of_a_dynamic_function() -> None:
    def fn(x, w):
        return torch.autograd.grad((x.view(-1, 4) @ w).relu().mean(), [x, w])

    sizes = iter([3, 3, 8, 8, 17, 17, 3, 3])
    assert_same(
        fn,
        lambda: (
            torch.randn(next(sizes), 2, 4, requires_grad=True),
            torch.randn(4, 5, requires_grad=True),
        ),
        dynamic=[(0, 0)],
    )
