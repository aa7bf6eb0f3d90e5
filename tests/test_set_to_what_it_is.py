"""What a program sets to what is there already at its conversion may be another at a later call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

SEEN = 1


class Slotted:
    __slots__ = ("value",)
    shared = 1


class World:
    """All that the steps set: as they leave it, or otherwise."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.ones(3))
        self.module = nn.Linear(3, 3)
        self.optimizer = torch.optim.SGD([self.weight], lr=0.1)
        self.slotted = Slotted()
        self.gradient = torch.full((3,), 2.0)
        self.set(as_left=True)

    def set(self, as_left: bool) -> None:
        global SEEN
        for parameter in (self.weight, *self.module.parameters()):
            parameter.requires_grad_(not as_left)
            parameter.grad = None if as_left else torch.ones_like(parameter)
        self.weight.tag = None if as_left else 3
        self.module.train(not as_left)
        self.module.extra = None if as_left else 4
        self.optimizer.param_groups[0]["lr"] = 0.1 if as_left else 0.5
        self.slotted.value = None if as_left else 5
        Slotted.shared = 1 if as_left else 6
        SEEN = 1 if as_left else 7

    def state(self) -> dict[str, Any]:
        parameters = [self.weight, *self.module.parameters()]
        return {
            "requires_grad": [p.requires_grad for p in parameters],
            "grad": [None if p.grad is None else p.grad.tolist() for p in parameters],
            "tag": self.weight.tag,
            "training": self.module.training,
            "extra": self.module.extra,
            "lr": self.optimizer.param_groups[0]["lr"],
            "slot": self.slotted.value,
            "class": Slotted.shared,
            "global": SEEN,
        }


def gradient(world: World, x: Tensor) -> None:
    world.weight.grad = None


def deleted_gradient(world: World, x: Tensor) -> None:
    del world.weight.grad


def gradient_by_name(world: World, x: Tensor) -> None:
    setattr(world.weight, "grad", None)


def gradients(world: World, x: Tensor) -> None:
    for parameter in world.module.parameters():
        parameter.grad = None


def zeroed(world: World, x: Tensor) -> None:
    world.optimizer.zero_grad()
    world.module.zero_grad()


def requires_grad(world: World, x: Tensor) -> None:
    world.weight.requires_grad = False


def requires_grad_method(world: World, x: Tensor) -> None:
    world.weight.requires_grad_(False)


def frozen(world: World, x: Tensor) -> None:
    for parameter in world.module.parameters():
        parameter.requires_grad = False


def others(world: World, x: Tensor) -> None:
    global SEEN
    world.weight.tag = None
    world.module.eval()
    world.module.extra = None
    world.optimizer.param_groups[0]["lr"] = 0.1
    world.slotted.value = None
    Slotted.shared = 1
    SEEN = 1


@pytest.mark.parametrize(
    "sets",
    [
        gradient,
        deleted_gradient,
        gradient_by_name,
        gradients,
        zeroed,
        requires_grad,
        requires_grad_method,
        frozen,
        others,
    ],
)
def test_set(sets: Callable[[World, Tensor], None]) -> None:
    def step(x: Tensor) -> Tensor:
        sets(world, x)
        return x * 2

    states, converted = [], bifront.function(step)
    for run in (step, converted):
        world = World()
        for _ in range(3):
            run(torch.ones(3))
            world.set(as_left=True)
        world.set(as_left=False)
        run(torch.ones(3))
        states.append(world.state())
    assert states[0] == states[1]
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)


def test_gradient_from_outside() -> None:
    weight, gradient = nn.Parameter(torch.ones(3)), torch.full((3,), 2.0)

    @bifront.function
    def step(x: Tensor) -> Tensor:
        weight.grad = gradient
        return x * 2

    for before in (gradient, gradient, gradient, torch.zeros(3), None, gradient):
        weight.grad = before
        step(torch.ones(3))
        assert weight.grad is gradient


def test_gradient_of_an_argument() -> None:
    @bifront.function
    def step(x: Tensor) -> Tensor:
        x.grad = None
        return x * 2

    for before in (None, None, None, torch.ones(3), None, torch.ones(3)):
        x = torch.ones(3)
        x.grad = before
        step(x)
        assert x.grad is None


def test_gradients_that_some_calls_lack() -> None:
    """A branch that is seldom taken brings backward to the weight."""

    def training() -> tuple[nn.Parameter, Callable[[Tensor], Tensor]]:
        weight = nn.Parameter(torch.ones(3))

        def step(x: Tensor) -> Tensor:
            weight.grad = None
            height, carried, total = x.sum(), weight * 1, x.square().sum() * weight[0]
            total = total.detach().requires_grad_()
            kept = total
            while height < 3:
                if (height * 10) % 2 > 1.5:
                    kept = kept + carried.sum() * height
                carried = carried * 1.5
                height = height + 1
            kept.backward()
            return kept.detach()

        return weight, step

    (expected, eager), (found, plain) = training(), training()
    converted = bifront.function(plain)
    for number in range(40):
        generator = torch.Generator().manual_seed(number)
        x = torch.rand(3, generator=generator) * (3 if number % 3 else 1) - 0.3
        torch.testing.assert_close(converted(x), eager(x))
        assert (found.grad is None) == (expected.grad is None), f"call {number}"
        if expected.grad is not None:
            torch.testing.assert_close(found.grad, expected.grad)
