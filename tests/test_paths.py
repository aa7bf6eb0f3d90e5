"""Numbers of the graph that Python has to know: the ways that calls take are paths of one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.same_state import same

CALLS = 12


class Two:
    """A program, by CPython and converted, each on objects of its own."""

    def __init__(self, make: Callable[[], tuple[Callable[..., Any], Any]], **options: Any) -> None:
        self.eager, self.state = make()
        torch.manual_seed(0)
        step, self.converted_state = make()
        self.converted = bifront.function(step, **options)
        self.results: list[tuple[Any, Any]] = []

    def call(self, seed: int, *arguments: Any) -> None:
        outcomes = []
        for step, state in (
            (self.eager, self.state),
            (self.converted, self.converted_state),
        ):
            own = copy.deepcopy(arguments)
            torch.manual_seed(seed)
            try:
                result = step(*own)
            except Exception as error:
                result = error
            outcomes.append((result, own, state, torch.get_rng_state()))
        same(outcomes[1], outcomes[0])

    @property
    def stats(self) -> dict[str, Any]:
        return self.converted.stats

    def assert_one_graph(self, least: int = CALLS - 3) -> None:
        assert self.stats["graphs"] == 1, bifront.explain(self.converted)
        assert self.stats["graph_calls"] >= least, bifront.explain(self.converted)


def numbers(make: Callable[[], tuple[Callable[..., Any], Any]], *values: Any) -> Two:
    """Calls it with a tensor and these numbers in turn."""
    two = Two(make)
    for call in range(CALLS):
        two.call(call, torch.randn(3) + 1, values[call % len(values)])
    return two


def stateless(step: Callable[..., Any]) -> Callable[[], tuple[Callable[..., Any], Any]]:
    return lambda: (step, None)


def test_an_index_of_a_list_gives_values_of_many_types() -> None:
    def step(x: Tensor, n: int) -> Any:
        return [x, None, "text", 2.5, (x, x * 2)][n]

    numbers(stateless(step), 0, 1, 2, 3, 4, -1).assert_one_graph(CALLS - 1)


def test_the_argument_itself_on_one_path_only() -> None:
    def step(x: Tensor, n: int) -> Any:
        same_object = [x, x.clone(), x[1:]][n]
        return x, same_object

    numbers(stateless(step), 0, 1, 2).assert_one_graph()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_results_share_memory_as_they_do_in_eager(order: tuple[int, ...]) -> None:
    """With an argument, with each other, with a tensor of the program, or not at all."""
    own = {"eager": torch.zeros(3), "converted": torch.zeros(3)}

    def stepping(mine: Tensor) -> Callable[[Tensor, int], Any]:
        def step(x: Tensor, n: int) -> Any:
            y = x * 2
            return [(x[1:], y), (y, y[1:]), (mine[1:], y), (y[1:], y * 1)][n]

        return step

    eager, converted = stepping(own["eager"]), bifront.function(stepping(own["converted"]))
    for call in range(CALLS):
        outcomes = []
        for side, step in (("eager", eager), ("converted", converted)):
            torch.manual_seed(call)
            x = torch.randn(3)
            first, second = step(x, order[call % 4])
            first.add_(100)
            outcomes.append((first, second, x, own[side].clone()))
        same(outcomes[1], outcomes[0])
    assert converted.stats["graph_calls"] > 0, bifront.explain(converted)


def test_one_call_of_many_raises_and_is_no_graph_of_its_own() -> None:
    def step(x: Tensor, n: int) -> Any:
        seen.append(n)
        return x * (1, 2)[n]

    seen: list[int] = []
    two = Two(stateless(step))
    for call in range(16):
        two.call(call, torch.ones(2), call % 4)
    assert two.stats["graphs"] <= 2, bifront.explain(two.converted)
    assert two.stats["graph_calls"] >= 6
    assert two.stats["conversions"] <= 8


def test_an_exception_leaves_the_state_that_the_program_had_made() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        state = {"calls": 0, "total": torch.zeros(3)}

        def step(x: Tensor, n: int) -> Tensor:
            state["calls"] += 1
            state["total"].add_(x)
            if n == 2:
                raise ValueError(f"{n} is too many")
            return state["total"] * n

        return step, state

    two = numbers(make, 0, 1, 2, 1)
    assert two.stats["graph_calls"] > 0, bifront.explain(two.converted)


def test_a_tensor_of_the_program_is_written_on_one_path() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        total = torch.zeros(3)

        def write(x: Tensor) -> None:
            total.add_(x)

        def clear(x: Tensor) -> None:
            total.zero_()

        def step(x: Tensor, n: int) -> Tensor:
            [write, clear, lambda x: None][n](x)
            return total + x

        return step, total

    numbers(make, 0, 1, 2, 0, 0).assert_one_graph(CALLS - 4)


def test_an_argument_is_written_through_a_view_on_one_path() -> None:
    def step(x: Tensor, n: int) -> Tensor:
        view = x[1:]
        [view.mul_, view.clone().mul_][n](3)
        return x.sum()

    numbers(stateless(step), 0, 1).assert_one_graph()


def test_gradients_on_one_path() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        torch.manual_seed(1)
        layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])

        def step(x: Tensor, n: int) -> float:
            if n == 2:
                layers.zero_grad()
                return 0.0
            loss = F.mse_loss(layers[n](x), x)
            loss.backward()
            return loss.detach()

        return step, (list(layers.parameters()), [])

    two = Two(make)
    for call in range(CALLS):
        two.call(call, torch.randn(2, 3), (0, 1, 0, 2)[call % 4])
        for mine, theirs in zip(two.converted_state[0], two.state[0], strict=True):
            same(mine.grad, theirs.grad)
    assert two.stats["graph_calls"] > 0, bifront.explain(two.converted)


def test_random_numbers_are_drawn_on_one_path() -> None:
    def step(x: Tensor, n: int) -> Tensor:
        draw = [torch.rand_like, lambda x: x, torch.randn_like][n]
        return x + draw(x)

    numbers(stateless(step), 0, 1, 2).assert_one_graph()


def test_a_number_that_is_known_is_still_one_of_the_graph() -> None:
    def step(x: Tensor, n: int) -> Any:
        scale = {0: 1.0, 1: 10.0, 2: 100.0}[n]
        return x * scale * n, n + 1, n == 1, -n // 2, [n]

    numbers(stateless(step), 0, 1, 2).assert_one_graph()


def test_a_number_becomes_text_and_a_key() -> None:
    def step(x: Tensor, n: int) -> Any:
        return {n: x, (n, "a"): f"{n:>4}|{n!r}", "text": str(n) + hex(n)}, {n, n + 1}

    numbers(stateless(step), 0, 7, -2).assert_one_graph()


def test_a_shape_follows_from_a_number() -> None:
    def step(x: Tensor, n: int) -> Tensor:
        return torch.zeros(n).sum() + x.sum() + torch.arange(n + 1).float().mean()

    numbers(stateless(step), 1, 2, 5).assert_one_graph()


def test_a_truth_is_an_argument() -> None:
    def step(x: Tensor, flag: bool) -> Any:
        with torch.set_grad_enabled(flag):
            return x * 2, torch.is_grad_enabled(), [1, 2][flag]

    numbers(stateless(step), True, False).assert_one_graph()


def test_a_number_of_a_tensor_is_an_index() -> None:
    def step(x: Tensor, n: int) -> Any:
        words = ["a", "b", "c"]
        return words[int(x.argmax())], words[(x > 1).sum().item() % 3]

    two = Two(stateless(step))
    for call in range(CALLS):
        two.call(call, torch.roll(torch.tensor([0.0, 1.5, 3.0]), call % 3), 0)
    two.assert_one_graph(CALLS - 1)


def test_paths_that_part_at_several_places() -> None:
    def step(x: Tensor, n: int) -> Any:
        parts = [x * i for i in range(n % 3 + 1)]
        names = ["even", "odd"][n % 2]
        return torch.stack(parts).sum(0), names, len(parts)

    numbers(stateless(step), 0, 1, 2, 3, 4, 5).assert_one_graph(CALLS - 1)


def test_a_list_of_the_caller_is_changed_on_one_path() -> None:
    def step(items: list[Any], n: int) -> int:
        [items.append, items.remove, lambda n: items.insert(0, n)][n % 3](n)
        return len(items)

    two = Two(stateless(step))
    for call in range(CALLS):
        two.call(call, [0, 1, 2, torch.ones(1)], call % 3)
    assert two.stats["graph_calls"] >= CALLS - 3, bifront.explain(two.converted)


def test_more_values_than_a_graph_has_paths() -> None:
    def step(x: Tensor, n: int) -> Any:
        return str(n), x + n

    two = Two(stateless(step))
    for call in range(40):
        two.call(call, torch.ones(2), call)
    assert two.stats["conversions"] <= 8


def test_a_branch_of_the_graph_between_two_decisions() -> None:
    def step(x: Tensor, n: int) -> Any:
        first = ["a", "b"][n % 2]
        y = x * 2 if x.sum() > 3 else x - 1
        return first, y, ["c", "d", "e"][n % 3]

    two = numbers(stateless(step), 0, 1, 2, 3)
    assert two.stats["graph_calls"] >= CALLS - 3, bifront.explain(two.converted)


@pytest.mark.parametrize("value", [2**62, -(2**63), 2**63, 2**80])
def test_a_number_at_the_edge_of_64_bits(value: int) -> None:
    def step(x: Tensor, n: int) -> Any:
        return f"{n + 1}", x * (1 if n > 3 else 2)

    two = Two(stateless(step))
    for call in range(6):
        two.call(call, torch.ones(2), (1, value)[call % 2])


def test_line_of_a_decision_is_known_again() -> None:
    """The first capture tries both ways of the branch before it decides; later ones do not."""

    def make() -> Any:
        calls: list[int] = [0]
        seen: list[int] = []

        def step(x: Tensor, n: int) -> Tensor:
            calls[0] += 1
            if calls[0] % 3 == 0:
                seen.append(n)
                x = x * 2
            return x + n

        return step, (calls, seen)

    numbers(make, 1, 2).assert_one_graph()


def test_a_counter_of_each_path() -> None:
    """Each begins with its path, and counts on when other calls come between."""

    def make() -> tuple[Callable[..., Any], Any]:
        state: dict[str, Any] = {"counts": {}, "calls": 0}

        def step(x: Tensor, name: str) -> Any:
            state["calls"] += 1
            state["counts"][name] = state["counts"].get(name, 0) + 1
            return x * len(name), name

        return step, state

    names = ["a", "bb", "ccc", "dddd", "eeeee"]
    two = Two(make)
    for call in range(30):
        two.call(call, torch.randn(3), names[call * call % 5 if call < 15 else call % 5])
    assert two.stats["graphs"] == 1, bifront.explain(two.converted)
    # Beyond two, a name waits until it comes back (docs/decisions/039).
    waited = two.stats["exits"]["NewChoice"]
    assert waited <= len(names) - 2, bifront.explain(two.converted)
    assert two.stats["graph_calls"] == 29 - waited, bifront.explain(two.converted)


# ===- Gradients that flow out of a path -------------------------------------------------------===


def make_choosing_model(ahead: str) -> Callable[[], tuple[Callable[..., Any], Any]]:
    """What is ahead of the decision has a part in the loss behind it."""

    def make() -> tuple[Callable[..., Any], Any]:
        torch.manual_seed(0)
        first, heads = nn.Linear(4, 4), nn.ModuleList(nn.Linear(4, 2 + i) for i in range(3))
        parameters = [*first.parameters(), *heads.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)

        def step(x: Tensor) -> Any:
            optimizer.zero_grad(set_to_none=False)
            h = first(x).tanh()
            if ahead == "draws":
                h = nn.functional.dropout(h, 0.5)
            elif ahead == "writes":
                h = h.clone().mul_(2).add_(x)
            elif ahead == "branches":
                h = h * 2 if x.mean() > 0 else h - 1
            which = int(x.abs().sum(0).argmax()) % 3  # a path for each
            y = heads[which](h)
            if len(str(int(x[0, 0] > 0))) == 1 and x[0, 0] > 0:
                loss = (y**2).sum() + h.sum()
            else:
                loss = y.cos().mean()
            loss.backward()
            optimizer.step()
            return (
                loss.detach(),
                y.detach(),
                [p.grad.clone() for p in parameters if p.grad is not None],
            )

        return step, [p.detach() for p in parameters]

    return make


@pytest.mark.parametrize("ahead", ["nothing", "draws", "writes", "branches"])
def test_a_gradient_flows_back_to_what_is_ahead_of_a_decision(ahead: str) -> None:
    two = Two(make_choosing_model(ahead))
    torch.manual_seed(1)
    inputs = [torch.randn(5, 4) for _ in range(24)]
    for call, x in enumerate(inputs):
        two.call(call, x)
    assert two.stats["graph_calls"] >= 8, bifront.explain(two.converted)
    if ahead != "branches":
        assert two.stats["graphs"] <= 2, bifront.explain(two.converted)
