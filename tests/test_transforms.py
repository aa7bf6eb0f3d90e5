"""torch.func's gradients and vmap in graphs: values, gradients through them, and who is tracked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vjp, vmap

from tests.same_function import tensors_in

CALLS = 5


class World:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        self.weight = nn.Parameter(torch.randn(4))
        self.double()

    def double(self) -> None:
        self.model.double()
        self.weight = nn.Parameter(self.weight.detach().double())

    def plain(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters()}

    def gradients(self) -> list[Tensor | None]:
        return [p.grad for p in (self.weight, *self.model.parameters())]


Step = Callable[[World, Tensor], Any]


def of_closure(world: World, x: Tensor) -> Any:
    return grad(lambda a: (a * world.weight).sin().sum())(x[0])


def of_closure_untracked(world: World, x: Tensor) -> Any:
    return grad(lambda a: (a * world.weight.detach()).sin().sum())(x[0])


def untouched_by_the_tracked(world: World, x: Tensor) -> Any:
    """The weight is in the value, but in no gradient."""
    found, value = grad_and_value(lambda a: a.square().sum() + world.weight.sum())(x[0])
    return found, found.requires_grad, value.requires_grad, value.detach()


def of_parameters(world: World, x: Tensor) -> Any:
    found = grad(lambda w: (x @ w).square().sum())(world.weight)
    found.square().sum().backward()
    return found.detach(), found.requires_grad


def without_grad(world: World, x: Tensor) -> Any:
    with torch.no_grad():
        found = grad(lambda w: (x @ w).square().sum())(world.weight)
    return found, found.requires_grad


def no_grad_inside(world: World, x: Tensor) -> Any:
    def inner(a: Tensor) -> Tensor:
        with torch.no_grad():
            scale = a.norm()
        return (a * scale).sum()

    return grad(inner)(x[0])


def tree_of_parameters(world: World, x: Tensor) -> Any:
    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(world.model, parameters, (x,)).square().mean()

    gradients, value = grad_and_value(loss)(world.plain())
    with torch.no_grad():
        for name, p in world.model.named_parameters():
            p.sub_(gradients[name], alpha=0.1)
    return value, gradients


def several_arguments(world: World, x: Tensor) -> Any:
    def f(a: Tensor, b: list[Tensor], *, scale: float) -> Tensor:
        return (a * b[0] * scale + b[1]).sum()

    return grad(f, argnums=(1, 0))(x[0], [x[1], x[2]], scale=2.0), grad(f, argnums=-1)(
        x[0], [x[1], x[2]], scale=3.0
    )


def beside_the_value(world: World, x: Tensor) -> Any:
    def f(a: Tensor) -> tuple[Tensor, dict[str, Any]]:
        y = a * world.weight
        return y.sum(), {"y": y, "more": [y * 2]}

    found, (value, aux) = grad_and_value(f, has_aux=True)(x[0])
    only, same = grad(f, has_aux=True)(x[1])
    return found, value, aux["y"], aux["more"], only, same["y"]


def unused_argument(world: World, x: Tensor) -> Any:
    return grad(lambda a, b: b.square().sum())(x[0], x[1])


def constant(world: World, x: Tensor) -> Any:
    return grad(lambda a: torch.zeros(()))(x[0])


def second_derivative(world: World, x: Tensor) -> Any:
    return grad(lambda a: grad(lambda b: (b**3).sum())(a).square().sum())(x[0])


def per_sample(world: World, x: Tensor) -> Any:
    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(world.model, parameters, (row[None],)).square().mean()

    return vmap(grad(loss), in_dims=(None, 0))(world.plain(), x)


def physics(world: World, x: Tensor) -> Any:
    """The gradient by the input is trained by the parameters."""

    def u(row: Tensor) -> Tensor:
        value: Tensor = world.model(row)[0]
        return value

    slopes = vmap(grad(u))(x)
    loss = (slopes[:, 0] - x[:, 1]).square().mean() + vmap(u)(x).square().mean()
    loss.backward()
    return loss.detach(), slopes.requires_grad


def other_dimensions(world: World, x: Tensor) -> Any:
    inner = vmap(lambda a, b: a * b, in_dims=(1, None), out_dims=1)(x, x[:, 0])
    return inner, vmap(vmap(lambda a, b: a + b), in_dims=(0, None))(x, x[0])


def nested_batches_of_gradients(world: World, x: Tensor) -> Any:
    f = grad(lambda a, b: (a * b).sin())
    return vmap(vmap(f, in_dims=(0, None)), in_dims=(None, 0))(x[0], x[1])


def randomness(world: World, x: Tensor) -> Any:
    same = vmap(lambda a: a + torch.rand(()), randomness="same")(x)
    return same, vmap(lambda a: a * torch.rand(4), randomness="different")(x)


def products(world: World, x: Tensor) -> Any:
    value, back = vjp(lambda a, b: (a * b, (a + b).sin()), x[0], x[1])
    first = back((x[2], x[3]))
    return value, first, first[0].requires_grad


def products_of_parameters(world: World, x: Tensor) -> Any:
    value, back = vjp(lambda w: (x * w).tanh(), world.weight)
    (found,) = back(torch.ones_like(value))
    found.sum().backward()
    return value.detach(), found.detach(), found.requires_grad, value.requires_grad


def jacobians(world: World, x: Tensor) -> Any:
    of_one = torch.func.jacrev(lambda a: torch.tanh(a * x[1]))(x[0])
    of_two = torch.func.jacrev(lambda a, b: {"y": a.outer(b)[:2]}, argnums=(0, 1))(x[0], x[1])
    of_parameters = torch.func.jacrev(lambda p: functional_call(world.model, p, (x[0],)))(
        world.plain()
    )
    return of_one, of_two["y"], of_parameters


def of_integers(world: World, x: Tensor) -> Any:
    return vmap(lambda a: a + 1)(x.long()), vmap(torch.dot)(x, x)


def branch_of_values_outside(world: World, x: Tensor) -> Any:
    if x.sum() > 0:
        return grad(lambda a: a.square().sum())(x[0])
    return grad(lambda a: (a**3).sum())(x[1])


def in_a_loop(world: World, x: Tensor) -> Any:
    parameters = world.plain()

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(world.model, parameters, (x,)).square().mean()

    for _ in range(3):
        gradients = grad(loss)(parameters)
        parameters = {name: p - 0.1 * gradients[name] for name, p in parameters.items()}
    return parameters


STEPS: list[Step] = [
    of_closure,
    of_closure_untracked,
    untouched_by_the_tracked,
    of_parameters,
    without_grad,
    no_grad_inside,
    tree_of_parameters,
    several_arguments,
    beside_the_value,
    unused_argument,
    constant,
    second_derivative,
    per_sample,
    physics,
    other_dimensions,
    nested_batches_of_gradients,
    randomness,
    products,
    products_of_parameters,
    jacobians,
    of_integers,
    branch_of_values_outside,
    in_a_loop,
]

# Of leaves that the step has made: CPython runs these.
TRAINED_RESULTS = {of_closure, beside_the_value}


def observed(step: Callable[[Tensor], Any], world: World, seed: int) -> tuple[Any, ...]:
    torch.manual_seed(seed)
    x = torch.randn(6, 4, dtype=torch.float64)
    for p in (world.weight, *world.model.parameters()):
        p.grad = None
    result = step(x)
    tensors = list(tensors_in(result))
    plain = [value for value in result if not isinstance(value, (Tensor, dict, list, tuple))]
    return tensors, plain if isinstance(result, tuple) else [], torch.get_rng_state()


@pytest.mark.parametrize("step", STEPS)
def test_as_in_eager(step: Step) -> None:
    worlds = [World(), World()]
    runs: list[Any] = [lambda x: step(worlds[0], x)]
    runs.append(bifront.function(lambda x: step(worlds[1], x)))
    for call in range(CALLS):
        (expected, plain, state), (found, own_plain, own_state) = (
            observed(run, world, call) for run, world in zip(runs, worlds, strict=True)
        )
        assert [t.requires_grad for t in found] == [t.requires_grad for t in expected]
        torch.testing.assert_close(found, expected)
        assert own_plain == plain
        assert torch.equal(own_state, state)
        for a, b in zip(worlds[0].gradients(), worlds[1].gradients(), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(b, a)
    if step not in TRAINED_RESULTS:
        assert runs[1].stats["graph_calls"] >= CALLS - 2, bifront.explain(runs[1])


REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "no scalar": lambda x: grad(lambda a: a * 2)(x[0]),
    "no tensor": lambda x: grad(lambda a: 3.0)(x[0]),
    "integers": lambda x: grad(lambda a: a.sum())(x[0].long()),
    "no such argument": lambda x: grad(lambda a: a.sum(), argnums=2)(x[0]),
    "nothing beside": lambda x: grad(lambda a: a.sum(), has_aux=True)(x[0]),
    "numbers beside": lambda x: grad(lambda a: (a.sum(), {"n": 3}), has_aux=True)(x[0]),
    "other batches": lambda x: vmap(lambda a, b: a + b)(x, x[:2]),
    "values of a batch": lambda x: vmap(lambda a: a * 2 if a.sum() > 0 else a)(x),
    "random": lambda x: vmap(lambda a: a + torch.rand(4))(x),
    "cotangents of another form": lambda x: vjp(lambda a: (a, a), x)[1]([x, x]),
    "other cotangents": lambda x: vjp(lambda a: a * 2, x[0])[1](x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_in_eager(name: str) -> None:
    function = REFUSED[name]
    converted = bifront.function(function)
    for call in range(3):
        x = torch.full((6, 4), call + 1.0)
        with pytest.raises(Exception) as expected:
            function(x)
        with pytest.raises(type(expected.value)) as found:
            converted(x)
        assert str(found.value) == str(expected.value)
    assert torch._C._functorch.maybe_current_level() is None


def test_what_stays_with_cpython() -> None:
    @bifront.function
    def step(x: Tensor) -> Any:
        return torch.func.jacfwd(lambda a: a.sin())(x), torch.func.jvp(torch.sin, (x,), (x,))[1]

    for _ in range(4):
        x = torch.randn(3)
        jacobian, product = step(x)
        torch.testing.assert_close(jacobian, torch.diag(x.cos()))
        torch.testing.assert_close(product, x.cos() * x)


def test_many_vectors_are_left_to_cpython() -> None:
    @bifront.function
    def step(x: Tensor) -> Tensor:
        jacobian: Tensor = torch.func.jacrev(lambda a: a.sin())(x)
        return jacobian

    for _ in range(3):
        x = torch.randn(100)
        torch.testing.assert_close(step(x), torch.diag(x.cos()))
    assert step.stats["graph_calls"] == 0
    assert torch._C._functorch.maybe_current_level() is None
