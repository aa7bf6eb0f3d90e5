"""Trains through the programs of the language suite, in float64: a loss of what each returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor

from tests.language.conformance import CALLS, Program, Side, call_both
from tests.same_function import tensors_in

LEAST_CALLS_WITH_GRADIENTS = 4
NUMERICAL_CALL = 6
NUDGE = 1e-6


def leaves(arguments: Any) -> list[Tensor]:
    tensors = list(tensors_in(arguments))
    return [t for t in tensors if t.is_floating_point() and t.is_leaf and not t.is_sparse]


def direction(call: int, place: int, tensor: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(100 * call + place)
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)


def training(step: Callable[..., Any]) -> Callable[..., Any]:
    """The step, a loss of its results, and the loss's backward, as one function."""

    def trained(*args: Any, **kwargs: Any) -> Any:
        loss = None
        for result in tensors_in(step(*args, **kwargs)):
            if result.is_floating_point() and result.requires_grad:
                part = result.sin().sum()
                loss = part if loss is None else loss + part
        if loss is None:
            return None
        loss.backward()
        return loss.detach()

    return trained


class Training(Side):
    """One run of a program whose arguments train; each is moved by `nudge` in its direction."""

    def __init__(self, entry: Program, side: str, wrap: Callable[..., Any]) -> None:
        super().__init__(entry, side)
        self.called = wrap(self.step)
        self.nudge = 0.0
        plain = self.program.make

        def make(call: int) -> Any:
            arguments = plain(call)
            if not isinstance(arguments, (tuple, dict)):
                arguments = (arguments,)
            for place, tensor in enumerate(leaves(arguments)):
                if self.nudge:
                    tensor.detach().add_(direction(call, place, tensor), alpha=self.nudge)
                tensor.requires_grad_()
            return arguments

        self.program = dataclasses.replace(self.program, make=make)

    def gradients(self) -> list[Tensor | None]:
        return [tensor.grad for tensor in leaves(self.arguments)]


# Two sides of a comparison have modules of their own, whose globals are called equally often.
def eager(entry: Program, purpose: str) -> Training:
    return Training(entry, f"{purpose}_eager", training)


def converted_whole(entry: Program, purpose: str) -> tuple[Training, Any]:
    """The backward is part of what is converted."""

    def wrap(step: Callable[..., Any]) -> Callable[..., Any]:
        return bifront.function(training(step))

    side = Training(entry, f"{purpose}_converted", wrap)
    return side, side.called


def converted_forward(entry: Program, purpose: str) -> tuple[Training, Any]:
    """The step is converted, and what it returns trains."""
    converted: list[Any] = []

    def wrap(step: Callable[..., Any]) -> Callable[..., Any]:
        converted.append(bifront.function(step))
        return training(converted[0])

    return Training(entry, f"{purpose}_converted", wrap), converted[0]


def trains(entry: Program) -> bool:
    """Whether eager takes gradients with respect to the arguments, and raises nothing."""
    side = eager(entry, "probe")
    found = 0
    for number in range(CALLS):
        try:
            if side.call(number)["raised"] is not None:
                return False
        except Exception:  # a program that is to be given bad input may break its own harness
            return False
        found += any(gradient is not None for gradient in side.gradients())
    return found >= LEAST_CALLS_WITH_GRADIENTS


def directional(side: Training, call: int) -> float:
    """The derivative of the loss at the last call, by the gradients that are there."""
    total = 0.0
    for place, (tensor, gradient) in enumerate(
        zip(leaves(side.arguments), side.gradients(), strict=True)
    ):
        if gradient is not None:
            total += float((gradient * direction(call, place, tensor)).sum())
    return total


def numerical(entry: Program, call: int) -> float:
    """The same, by the losses on both sides of the arguments."""
    losses = []
    for nudge in (NUDGE, -NUDGE):
        side = eager(entry, "probe")
        for number in range(call):
            side.call(number)
        side.nudge = nudge
        side.call(call)
        loss = side.results[-1]
        losses.append(float(loss) if loss is not None else 0.0)
    return (losses[0] - losses[1]) / (2 * NUDGE)


def assert_same_gradients(expected: Training, side: Training) -> tuple[float, float]:
    """Raise where a call differs; the derivatives of one call, by both."""
    derivatives = (0.0, 0.0)
    for number in range(CALLS):
        call_both(expected, side, number)
        if number == NUMERICAL_CALL:
            derivatives = directional(expected, number), directional(side, number)
    return derivatives
