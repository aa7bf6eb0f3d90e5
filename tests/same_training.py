"""Trains a program in eager PyTorch and converted from one seed, and compares all its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import bifront
import torch
from torch import Tensor

from programs.foundation import TrainingProgram
from tests.same_function import assert_in_graph


def largest_difference(actual: Tensor, expected: Tensor) -> float:
    """Relative to the size of the expected tensor's values."""
    if not expected.dtype.is_floating_point:
        return 0.0 if torch.equal(actual, expected) else float("inf")
    scale = expected.abs().max().clamp(min=1e-6)
    return float(((actual - expected).abs().max() / scale).item())


def assert_close(
    actual: Tensor | None, expected: Tensor | None, what: str, tolerance: float
) -> None:
    assert (actual is None) == (expected is None), what
    if actual is None or expected is None:
        return
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    assert actual.stride() == expected.stride(), what
    difference = largest_difference(actual.detach(), expected.detach())
    assert difference <= tolerance, f"{what} differs by {difference:.2e}"


def assert_same_state(
    actual: TrainingProgram, expected: TrainingProgram, tolerance: float = 1e-4
) -> None:
    expected_state = expected.model.state_dict()
    actual_state = actual.model.state_dict()
    assert list(actual_state) == list(expected_state)
    for name, value in expected_state.items():
        assert_close(actual_state[name], value, name, tolerance)
    gradients = dict(actual.model.named_parameters())
    for name, parameter in expected.model.named_parameters():
        assert gradients[name].requires_grad == parameter.requires_grad
        # Gradients are differences of large numbers: they are compared more loosely.
        assert_close(gradients[name].grad, parameter.grad, f"{name}.grad", 10 * tolerance)
    expected_optimizer = expected.optimizer.state_dict()
    actual_optimizer = actual.optimizer.state_dict()
    assert actual_optimizer["param_groups"] == expected_optimizer["param_groups"]
    assert list(actual_optimizer["state"]) == list(expected_optimizer["state"])
    for index, slots in expected_optimizer["state"].items():
        assert list(actual_optimizer["state"][index]) == list(slots)
        for name, value in slots.items():
            found = actual_optimizer["state"][index][name]
            if isinstance(value, Tensor):
                assert_close(found, value, f"optimizer state {index}.{name}", 10 * tolerance)
            else:
                assert found == value


def in_double(build: Callable[[], TrainingProgram]) -> Callable[[], TrainingProgram]:
    """For what amplifies the last bit of fp32: batch norm over few elements, and Adam where a
    gradient is rounding alone, as that of a bias of all keys."""

    def built() -> TrainingProgram:
        made = build()
        made.model.double()
        make_inputs = made.make_inputs

        def make_doubles(size: int, random: torch.Generator) -> Tensor:
            inputs = make_inputs(size, random)
            return inputs.double() if inputs.is_floating_point() else inputs

        made.make_inputs = make_doubles
        return made

    return built


def assert_same_training(
    build: Callable[[], TrainingProgram],
    *,
    steps: int = 20,
    sizes: Sequence[int] = (4,),
    dynamic: Sequence[tuple[int | str, int]] = (),
    tolerance: float = 1e-4,
) -> Any:
    """`sizes` are the batch sizes, taken in turn. Returns the converted step."""
    expected, actual = build(), build()
    converted = bifront.trace(actual.step, dynamic=dynamic)
    random_state = torch.get_rng_state()
    expected_losses = []
    for step in range(steps):
        expected_losses.append(expected.step(*expected.batch(sizes[step % len(sizes)], step)))
    expected_random = torch.get_rng_state()
    torch.set_rng_state(random_state)
    for step in range(steps):
        loss = converted(*actual.batch(sizes[step % len(sizes)], step))
        eager = expected_losses[step]
        assert loss.dtype == eager.dtype and loss.shape == eager.shape
        assert loss.requires_grad == eager.requires_grad
        error = abs(loss.item() - eager.item()) / max(abs(eager.item()), 1e-3)
        assert error <= tolerance / 10, f"loss {step}: {loss.item()}, not {eager.item()}"
    assert torch.equal(torch.get_rng_state(), expected_random), "the random stream"
    assert_same_state(actual, expected, tolerance)
    assert_in_graph(converted)
    return converted
