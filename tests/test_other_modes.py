"""Calls, and backwards of results, within modes of PyTorch of which a graph knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CALLS = 6


def make() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 2))


def forward_mode(function: Callable[..., Tensor], model: nn.Module) -> Any:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.randn(5, 3), torch.ones(5, 3))
        return list(forward_ad.unpack_dual(function(dual)))


def tangent_of_a_parameter(function: Callable[..., Tensor], model: nn.Module) -> Any:
    """No argument is dual."""
    holder: Any = model[0]  # type: ignore[index]
    parameter = holder.weight
    with forward_ad.dual_level():
        del holder._parameters["weight"]
        holder.weight = forward_ad.make_dual(parameter, torch.ones_like(parameter))
        result = list(forward_ad.unpack_dual(function(torch.randn(5, 3))))
        del holder.weight
    holder.weight = parameter
    return result


def jvp(function: Callable[..., Tensor], model: nn.Module) -> Any:
    return list(torch.func.jvp(function, (torch.randn(5, 3),), (torch.ones(5, 3),)))


def vmap(function: Callable[..., Tensor], model: nn.Module) -> Any:
    return torch.func.vmap(function, randomness="different")(torch.randn(4, 5, 3))


def draws_within_vmap(function: Callable[..., Tensor], model: nn.Module) -> Any:
    """Of nothing that is mapped, which vmap forbids all the same."""
    x = torch.randn(5, 3)
    try:
        return torch.func.vmap(lambda scale: scale * function(x).sum())(torch.ones(3))
    except RuntimeError as error:
        assert "randomness" in str(error)
        return torch.zeros(3)


def functional_gradient(function: Callable[..., Tensor], model: nn.Module) -> Any:
    return torch.func.grad(lambda x: function(x).sum())(torch.randn(5, 3))


def recomputed(function: Callable[..., Tensor], model: nn.Module) -> Any:
    x = torch.randn(5, 3, requires_grad=True)
    checkpoint(function, x, use_reentrant=False).square().sum().backward()  # type: ignore[no-untyped-call]
    return x.grad


def hooks_of_what_is_saved(function: Callable[..., Tensor], model: nn.Module) -> Any:
    saved = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor * 1):
        result = function(torch.randn(5, 3))
    result.sum().backward()
    return saved


def jacobian_at_once(function: Callable[..., Tensor], model: nn.Module) -> Any:
    return torch.autograd.functional.jacobian(function, torch.randn(2, 3), vectorize=True)  # type: ignore[no-untyped-call]


def gradients_at_once(function: Callable[..., Tensor], model: nn.Module) -> Any:
    seeds = torch.stack([torch.ones(5, 2), torch.zeros(5, 2), torch.randn(5, 2)])
    return list(
        torch.autograd.grad(
            function(torch.randn(5, 3)), list(model.parameters()), seeds, is_grads_batched=True
        )
    )


def backward_with_autocast(function: Callable[..., Tensor], model: nn.Module) -> Any:
    result = function(torch.randn(5, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (result @ result.t()).float().sum().backward()
    return result.detach()


def all_with_autocast(function: Callable[..., Tensor], model: nn.Module) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = function(torch.randn(5, 3))
        result.float().square().sum().backward()
    return result.detach()


def backward_without_autocast(function: Callable[..., Tensor], model: nn.Module) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = function(torch.randn(5, 3))
    result.float().square().sum().backward()
    return result.detach()


@pytest.mark.parametrize(
    "use",
    [
        forward_mode,
        tangent_of_a_parameter,
        jvp,
        vmap,
        draws_within_vmap,
        functional_gradient,
        recomputed,
        hooks_of_what_is_saved,
        jacobian_at_once,
        gradients_at_once,
        backward_with_autocast,
        all_with_autocast,
        backward_without_autocast,
    ],
    ids=lambda use: use.__name__,
)
@pytest.mark.parametrize("warm", [False, True], ids=["new", "warm"])
def test_as_eager(use: Callable[..., Any], warm: bool) -> None:
    model, eager = make(), make()
    converted = bifront.function(model)
    for _ in range(4 if warm else 0):
        converted(torch.randn(5, 3)).sum().backward()
        model.zero_grad()
    for call in range(CALLS):
        results = []
        for function, trained in ((converted, model), (eager, eager)):
            torch.manual_seed(call)
            value = use(function, trained)
            results.append((value, torch.rand(2), [p.grad for p in trained.parameters()]))
        # The same casts, and multiplications in another order.
        torch.testing.assert_close(
            *results, rtol=1e-2 if "autocast" in use.__name__ else 1e-4, atol=1e-5
        )


def test_a_backward_with_autocast_casts() -> None:
    """That it does makes a difference."""
    model = nn.Linear(64, 64)
    converted = bifront.function(lambda x: functional.relu(model(x)))
    for _ in range(3):
        result = converted(torch.randn(8, 64))
    assert converted.stats["graph_calls"] > 0
    seed = torch.randn(8, 64)
    (usual,) = torch.autograd.grad(result, model.weight, seed, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (cast,) = torch.autograd.grad(result, model.weight, seed)
    assert not torch.equal(usual, cast)
    torch.testing.assert_close(usual, cast, rtol=5e-2, atol=5e-2)
