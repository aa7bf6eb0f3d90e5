"""Functions without a backward() of their own: what they return trains."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.same_function import assert_same_value


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Linear(4 * 16, 8)
        self.second = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.conv(x)))
        x = torch.tanh(self.first(x.flatten(1)))
        result: Tensor = self.second(functional.dropout(x, 0.2, self.training))
        return result


def twins(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    model = make()
    return model, copy.deepcopy(model)


def assert_same_state(actual: nn.Module, expected: nn.Module, where: str) -> None:
    theirs = dict(expected.named_parameters()) | dict(expected.named_buffers())
    for name, ours in [*actual.named_parameters(), *actual.named_buffers()]:
        assert_same_value(ours, theirs[name], f"{where}: {name}", loosen=50)


def converts(converted: Any, graphs: int = 1) -> None:
    assert converted.stats["graphs"] == graphs, bifront.explain(converted)
    assert converted.stats["graph_calls"] > 0, bifront.explain(converted)


def test_a_model_whose_loss_is_outside() -> None:
    actual, expected = twins(Net)
    converted = bifront.function(actual)
    optimizers = [torch.optim.Adam(model.parameters(), 0.01) for model in (actual, expected)]
    for step in range(8):
        x = torch.randn(5, 2, 4, 4)
        target = torch.randint(3, (5,))
        losses = []
        for model, optimizer in zip((converted, expected), optimizers, strict=True):
            torch.manual_seed(step)
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        assert_same_value(losses[0], losses[1], f"step {step}", loosen=20)
        assert_same_state(actual, expected, f"step {step}")
    converts(converted)
    assert converted.stats["graph_calls"] >= 6


def test_an_argument_with_a_history() -> None:
    first, first_twin = twins(lambda: nn.Linear(3, 4))
    second, second_twin = twins(lambda: nn.Linear(4, 2))
    converted = bifront.function(lambda h: torch.sigmoid(second(h)).sum(1))
    for step in range(6):
        x = torch.randn(7, 3)
        converted(torch.tanh(first(x))).mean().backward()
        torch.sigmoid(second_twin(torch.tanh(first_twin(x)))).sum(1).mean().backward()
        assert_same_state(first, first_twin, f"step {step}")
        assert_same_state(second, second_twin, f"step {step}")
    converts(converted)


def test_two_converted_models_in_a_row() -> None:
    first, first_twin = twins(lambda: nn.Linear(3, 4))
    second, second_twin = twins(lambda: nn.Linear(4, 2))
    one, two = bifront.function(first), bifront.function(second)
    for step in range(6):
        x = torch.randn(7, 3)
        two(one(x)).square().mean().backward()
        second_twin(first_twin(x)).square().mean().backward()
        assert_same_state(first, first_twin, f"step {step}")
        assert_same_state(second, second_twin, f"step {step}")
    converts(one)
    converts(two)


def test_several_results_of_which_some_are_used() -> None:
    w = torch.randn(3, requires_grad=True)
    v = torch.randn(3, requires_grad=True)

    def fn(x: Tensor) -> dict[str, Any]:
        return {"a": x * w, "b": (x * v).exp(), "n": x + 1, "count": 3}

    converted = bifront.function(fn)
    for use in ("a", "b", "ab", "a", "b", "ab"):
        x = torch.randn(4, 3)
        grads = []
        for function in (converted, fn):
            made = function(x)
            assert not made["n"].requires_grad
            sum(made[name].sum() for name in use).backward()
            grads.append((w.grad, v.grad))
            w.grad = v.grad = None
        assert_same_value(grads[0], grads[1], use)
    converts(converted)


def test_what_is_saved_is_not_written_to_unnoticed() -> None:
    w = torch.randn(3, requires_grad=True)

    def fn(x: Tensor) -> Tensor:
        return (x * w).exp()

    converted = bifront.function(fn)
    for function in (converted, converted, converted, fn):
        result = function(torch.randn(3))
        with torch.no_grad():
            result.add_(1)  # exp() saves its result
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            result.sum().backward()
        x = torch.randn(3)
        result = function(x)
        x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            result.sum().backward()
    converts(converted)


def test_backward_twice() -> None:
    w = torch.randn(3, requires_grad=True)
    converted = bifront.function(lambda x: (x * w).exp().sum())
    for _ in range(4):
        loss = converted(torch.ones(3))
        loss.backward(retain_graph=True)
        once = w.grad.clone()
        loss.backward()
        assert torch.equal(w.grad, once + once)
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
        w.grad = None
    converts(converted)


def test_hooks_and_freed_results() -> None:
    w = torch.randn(3, requires_grad=True)
    converted = bifront.function(lambda x: (x * w).tanh())
    for _ in range(4):
        seen = []
        result = converted(torch.ones(3))
        result.register_hook(seen.append)
        result.retain_grad()
        result.sum().backward()
        assert torch.equal(seen[0], torch.ones(3))
        assert torch.equal(result.grad, torch.ones(3))
        w.grad = None
        converted(torch.ones(3))  # nobody goes backward through it
    converts(converted)


def test_state_that_keeps_its_history() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.h: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            self.h = torch.tanh(self.inner(x) + (0 if self.h is None else self.h))
            return self.h * 2

    actual, expected = twins(Cell)
    converted = bifront.function(actual)
    for step in range(4):
        xs = torch.randn(5, 2, 4)
        for model, function in ((actual, converted), (expected, expected)):
            model.h = None
            sum(function(x).sum() for x in xs).backward()
        assert_same_state(actual, expected, f"step {step}")


def test_views_and_inputs_that_come_back() -> None:
    w = torch.randn(2, 3, requires_grad=True)

    def fn(x: Tensor) -> Any:
        y = x * w
        return y.view(3, 2), w.t(), w, x

    converted = bifront.function(fn)
    for _ in range(4):
        x = torch.randn(2, 3)
        actual, expected = converted(x), fn(x)
        assert actual[2] is w and actual[3] is x
        for a, e in zip(actual[:2], expected[:2], strict=True):
            a.square().sum().backward()
            grad, w.grad = w.grad, None
            e.square().sum().backward()
            assert_same_value(grad, w.grad, "gradient")
            w.grad = None


def test_dynamic_sizes() -> None:
    actual, expected = twins(lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)))
    converted = bifront.function(actual)
    for size in (3, 5, 5, 7, 2, 9):
        x = torch.randn(size, 4, requires_grad=True)
        twin = x.detach().clone().requires_grad_()
        converted(x).pow(2).mean().backward()
        expected(twin).pow(2).mean().backward()
        assert_same_value(x.grad, twin.grad, f"size {size}", loosen=20)
        assert_same_state(actual, expected, f"size {size}")
    assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)


def test_no_gradients_wanted() -> None:
    net, _ = twins(lambda: nn.Linear(4, 2))
    converted = bifront.function(net)
    for grad in (True, True, False, False, True):
        with torch.set_grad_enabled(grad):
            assert converted(torch.randn(3, 4)).requires_grad == grad


def twice_two_losses(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return (x * a).sin().sum(), (x * b).sin().sum()


def losses_with_one_trunk(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    trunk = (x * a).exp()
    return trunk.sin().sum(), (trunk * b).sum()


def losses_that_save_nothing(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    total = a + b
    return total.sum(), (total - x).mean()


@pytest.mark.parametrize(
    "losses", [twice_two_losses, losses_with_one_trunk, losses_that_save_nothing]
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0), (1, 1), (0, 1, 0)])
def test_results_are_gone_through_one_by_one(
    losses: Callable[..., tuple[Tensor, Tensor]], order: tuple[int, ...]
) -> None:
    converted = bifront.function(losses)
    for call in range(4):
        torch.manual_seed(call)
        x, a, b = torch.randn(3, 3).unbind()
        sides = []
        for run in (converted, losses):
            leaves = [a.clone().requires_grad_(), b.clone().requires_grad_()]
            results = run(x, *leaves)
            raised = ""
            for number in order:
                try:
                    results[number].backward()  # type: ignore[no-untyped-call]
                except RuntimeError as error:
                    raised += f"{number}: {str(error)[:40]}; "
            # Eager's engine has got to some leaves before it comes to what is spent.
            sides.append((raised, None if raised else [leaf.grad for leaf in leaves]))
        (raised, gradients), (expected_raised, expected) = sides
        assert raised == expected_raised, f"call {call}"
        assert_same_value(gradients, expected, f"call {call}")
    converts(converted)


def test_what_is_kept_with_its_history_is_gone_through_again() -> None:
    """Each loss goes back through all calls, which have saved nothing that it reads."""

    def make() -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        kept = [torch.zeros(3)]

        def step(x: Tensor) -> tuple[Tensor, Tensor]:
            kept[0] = kept[0] + x
            return kept[0].sum(), (x * x).sum()

        return step

    step = make()
    converted = bifront.function(make())
    for call in range(6):
        x = torch.randn(3)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        for results in (converted(mine), step(other)):
            results[0].backward()  # type: ignore[no-untyped-call]
            results[1].backward()  # type: ignore[no-untyped-call]
        assert_same_value(mine.grad, other.grad, f"call {call}")
    converts(converted)


def test_what_is_computed_of_results_ends_without_a_backward() -> None:
    actual, expected = twins(Net)
    converted = bifront.function(actual)
    for step in range(6):
        x = torch.randn(2, 2, 4, 4)
        torch.manual_seed(step)
        ours = converted(x) * 2
        torch.manual_seed(step)
        theirs = expected(x) * 2
        assert_same_value(ours.detach(), theirs.detach(), f"step {step}", loosen=50)
        for row in ours:  # the nodes of the views end first
            assert row.requires_grad
        del ours, theirs, row
    converts(converted)
    assert_same_state(actual, expected, "behind calls without a backward")
