"""Whole training steps: one graph each, nothing opaque, 20 steps as eager makes them."""

from typing import Any

import pytest
import torch

from programs.foundation import OPTIMIZERS, PROGRAMS
from tests.same_training import assert_same_training, in_double


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("program", ["mlp", "lenet", "transformer"])
def test_small_programs(program: str, optimizer: str) -> None:
    build: Any = lambda: PROGRAMS[program](0, optimizer)  # noqa: E731
    # Its first steps are as large for a gradient that is all rounding.
    magnifies = program == "transformer" or optimizer == "rmsprop"
    assert_same_training(in_double(build) if magnifies else build, sizes=(8,))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("program", ["resnet18", "resnet50"])
def test_residual_networks_on_small_images(program: str, optimizer: str) -> None:
    build = in_double(lambda: PROGRAMS[program](0, optimizer, image=64, classes=10))
    assert_same_training(build, sizes=(4,), steps=8)


@pytest.mark.parametrize("program", ["resnet18", "resnet50"])
def test_residual_networks_at_full_size(program: str) -> None:
    assert_same_training(in_double(lambda: PROGRAMS[program](0, "sgd")), sizes=(4,), steps=5)


def test_evaluation() -> None:
    program = PROGRAMS["lenet"](0)
    program.model.eval()
    from tests.same_function import assert_same

    def evaluate(images):
        with torch.no_grad():
            return program.model(images).argmax(dim=1)

    assert_same(evaluate, lambda: (torch.randn(5, 1, 28, 28),))
