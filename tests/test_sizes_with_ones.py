"""Inputs that have one row in some calls and many in others, or none: nothing is taken for granted.

One row broadcasts, is squeezed away and is contiguous where many are not; none raises where there
is nothing to choose from. What a program does not ask is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.same_function import assert_same_value

LENGTHS = (4, 1, 3, 2, 1, 1, 5, 0, 2, 1, 7, 0, 4, 1)


def outcome(fn: Callable[..., Any], *args: Any) -> tuple[Any, str]:
    try:
        return fn(*args), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def same(fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Any:
    """What both return or raise, and leave in their arguments."""
    converted = bifront.function(fn)
    for number, args in enumerate(calls):
        own = tuple(a.clone() if isinstance(a, Tensor) else a for a in args)
        expected, raised = outcome(fn, *own)
        found, also = outcome(converted, *args)
        assert also == raised, f"call {number}"
        assert_same_value(found, expected, f"call {number}")
        assert_same_value(args, own, f"arguments of call {number}")
    return converted


def rows(lengths: Sequence[int], width: int = 3) -> list[tuple[Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(length, width),) for length in lengths]


def pairs(lengths: Sequence[tuple[int, int]]) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(one, 3), torch.randn(other, 3)) for one, other in lengths]


def scores(x: Tensor) -> Tensor:
    return (x * 2 + 1).relu().sum(0) / 3


def test_one_graph_for_any_number_of_rows() -> None:
    converted = same(scores, rows(LENGTHS))
    assert converted.stats["graphs"] == 1
    assert len(converted.graph_texts) == 1
    assert converted.stats["conversions"] == 1
    assert converted.stats["graph_calls"] == len(LENGTHS) - 1


def asks(x: Tensor) -> Any:
    if len(x) == 1:
        return x * 10
    return x.sum(0) if len(x) else "none"


def test_a_program_that_asks() -> None:
    converted = same(asks, rows(LENGTHS))
    assert converted.stats["fallback_calls"] <= 3


def squeezed(x: Tensor) -> Tensor:
    return x.squeeze(0) + 1


def viewed(x: Tensor) -> Tensor:
    return x[:, :2].view(-1)


def expanded(x: Tensor) -> Tensor:
    return x.expand(4, 3) * 2


def largest(x: Tensor) -> tuple[Tensor, Tensor]:
    values, places = x.max(dim=0)
    return values, places


def part(x: Tensor) -> tuple[Tensor, ...]:
    return x.t(), x[:, 1:], x[:, 1:] * 2


def averages(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(), x.std(dim=0)


def products(x: Tensor) -> tuple[Tensor, Tensor]:
    return x @ x.t(), x.t() @ x


def sorted_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    order = x[:, 0].argsort(descending=True)
    return x[order], order


def beside_itself(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, None] - x[None], torch.cat([x, x]).cumsum(0)


def written(x: Tensor) -> Tensor:
    x.mul_(2)
    x[:, 0] = 1
    return x.sum(0)


def read_by_python(x: Tensor) -> tuple[float, str]:
    total = 0.0
    for row in x.tolist():
        total += sum(row) * 0.5
    return total, f"{x.shape[0]} rows"


def unrolled(x: Tensor) -> Tensor:
    total = torch.zeros(3)
    for row in x:
        total = total * 0.5 + row
    return total


def padded(x: Tensor) -> Tensor:
    whole = torch.zeros(8, 3)
    whole[: len(x)] = x
    return whole


def chosen(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.ones(1, 3))[x.sum(1) > 0]


@pytest.mark.parametrize(
    "fn",
    [
        *(squeezed, viewed, expanded, largest, part, averages, products, sorted_rows),
        *(beside_itself, written, read_by_python, unrolled, padded, chosen),
    ],
)
@pytest.mark.parametrize("lengths", [LENGTHS, (1, 4, 1, 0, 6, 1, 2), (0, 1, 3, 0, 1, 4)])
def test_what_is_other_for_one_row(fn: Callable[..., Any], lengths: Sequence[int]) -> None:
    same(fn, rows(lengths))


def added(x: Tensor, y: Tensor) -> Tensor:
    return (x + y).exp()


def stacked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.stack([x, y]), torch.cat([x, y])


def counted(x: Tensor, y: Tensor) -> Any:
    return len(x) > len(y), (x.sum(0) * y.sum(0)).sum()


@pytest.mark.parametrize("fn", [added, stacked, counted])
@pytest.mark.parametrize(
    "lengths",
    [
        [(4, 4), (1, 1), (3, 3), (1, 3), (3, 1), (2, 3), (2, 2), (0, 0), (0, 1), (5, 1)],
        [(1, 4), (1, 3), (2, 1), (4, 4), (1, 1), (3, 2), (5, 5)],
        [(2, 1), (1, 2), (3, 3), (3, 4), (1, 1), (4, 4)],
    ],
)
def test_two_numbers_of_rows(fn: Callable[..., Any], lengths: Sequence[tuple[int, int]]) -> None:
    same(fn, pairs(lengths))


def test_numbers_that_were_equal_by_chance_are_two() -> None:
    converted = same(counted_apart, pairs([(4, 1), (1, 3), (3, 3), (2, 5), (1, 1), (6, 2), (3, 1)]))
    assert converted.stats["conversions"] <= 2
    assert converted.stats["graphs"] == 1


def counted_apart(x: Tensor, y: Tensor) -> Tensor:
    return x.sum(0) * y.sum(0) / (len(x) + 2 * len(y))


def test_rows_of_a_list() -> None:
    """As a detector has it: boxes and labels of each image, of which there are more or fewer."""

    def step(boxes: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, list[float]]:
        total, seen = torch.zeros(()), []
        for here, kinds in zip(boxes, labels):
            areas = (here[:, 2] - here[:, 0]) * (here[:, 3] - here[:, 1])
            total = total + (areas * (kinds + 1)).sum()
            sides = 0.0
            for (left, _, right, _), kind in zip(here.tolist(), kinds.tolist()):
                sides += (right - left) * (kind + 1)
            seen.append(sides)
        return total, seen

    torch.manual_seed(0)
    lengths = [(4, 3), (4, 1), (1, 2), (3, 3), (1, 1), (1, 3), (2, 4), (4, 4), (3, 1), (1, 4)]
    calls = [
        ([torch.rand(n, 4) for n in pair], [torch.randint(3, (n,)) for n in pair])
        for pair in lengths
    ]
    converted = bifront.function(step)
    for number, call in enumerate(calls):
        assert_same_value(converted(*call), step(*call), f"call {number}")
    assert converted.stats["graphs"] == 1
    assert converted.stats["conversions"] <= 3


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 3, 1)])
def test_images_in_other_orders_of_memory(order: tuple[int, ...]) -> None:
    def step(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2) * 2

    torch.manual_seed(0)
    calls = []
    for length in (3, 1, 2, 1, 4, 1):
        x = torch.randn(length, 1, 4, 4).permute(order)
        calls.append((x.contiguous() if length % 2 else x,))
    same(step, calls)


def test_rows_that_are_not_contiguous() -> None:
    torch.manual_seed(0)
    same(scores, [(torch.randn(3, length).t(),) for length in LENGTHS])


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.linear(x)))


def test_training_stops_where_one_row_has_no_spread() -> None:
    def make() -> tuple[Any, Any]:
        torch.manual_seed(0)
        module = Normed()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

        def step(x: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = module(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return module, step

    (module, step), (other, plain) = make(), make()
    converted = bifront.function(step)
    for number, (x,) in enumerate(rows((4, 1, 3, 1, 2, 5, 1, 4))):
        expected, raised = outcome(plain, x)
        found, also = outcome(converted, x)
        assert raised == also, number
        assert_same_value(found, expected, f"call {number}")
        assert_same_value(
            list(module.state_dict().values()), list(other.state_dict().values()), f"call {number}"
        )


def test_gradients_of_any_number_of_rows() -> None:
    def make() -> tuple[Any, Any]:
        torch.manual_seed(0)
        weight = torch.randn(3, 2, requires_grad=True)

        def step(x: Tensor) -> tuple[Tensor, Tensor]:
            weight.grad = None
            loss = functional.log_softmax(x @ weight, dim=1).square().sum() / (len(x) + 1)
            loss.backward()
            with torch.no_grad():
                weight.sub_(weight.grad, alpha=0.1)
            return loss.detach(), weight.detach().clone()

        return step, weight

    (step, _), (plain, _) = make(), make()
    converted = bifront.function(step)
    for number, (x,) in enumerate(rows(LENGTHS)):
        assert_same_value(converted(x), plain(x), f"call {number}")
    assert converted.stats["graphs"] == 1
    assert converted.stats["conversions"] == 1


def test_inputs_that_take_gradients() -> None:
    def step(x: Tensor) -> Tensor:
        (x * x).sum().backward()
        return x.grad

    converted = bifront.function(step)
    for number, (x,) in enumerate(rows((4, 1, 3, 1, 2))):
        one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        assert_same_value(converted(one), step(other), f"call {number}")


def test_what_is_returned_is_the_argument_itself_or_a_view_of_it() -> None:
    def step(x: Tensor, y: Tensor) -> tuple[Any, ...]:
        y.add_(x.sum(0))
        return x, y, x[:, 1:], y.view(-1)

    converted = bifront.function(step)
    for number, (x, y) in enumerate(pairs([(4, 1), (1, 3), (2, 2), (0, 1), (1, 1), (3, 0)])):
        own = y.clone()
        found, expected = converted(x, y), step(x, own)
        assert found[0] is x
        assert found[1] is y
        assert found[2].data_ptr() == x[:, 1:].data_ptr()
        assert found[3].data_ptr() == y.data_ptr()
        assert_same_value(found[1:], expected[1:], f"call {number}")
    assert converted.stats["graphs"] == 1


def of_each(parts: list[Tensor]) -> Tensor:
    total = torch.zeros(())
    for part in parts:
        total = total + (part * 2).relu().sum()
    return total


def lists(lengths: Sequence[tuple[int, ...]]) -> list[tuple[list[Tensor]]]:
    torch.manual_seed(0)
    return [([torch.randn(length, 3) for length in each],) for each in lengths]


def test_items_of_a_list_learn_small_sizes_together() -> None:
    lengths = [
        (4, 3, 5),
        (5, 4, 6),
        (2, 6, 4),
        (1, 3, 7),
        (6, 1, 2),
        (3, 0, 1),
        (1, 1, 1),
        (4, 4, 4),
    ]
    converted = same(of_each, lists(lengths))
    # Sizes that are many, then one of the first item; the others need no conversion of their own.
    assert converted.stats["conversions"] == 2
    assert converted.stats["graphs"] == 1
    assert converted.stats["fallback_calls"] == 0


def test_items_of_a_list_that_ask_for_one() -> None:
    def step(parts: list[Tensor]) -> list[Any]:
        return [asks(part) for part in parts]

    same(step, lists([(4, 3), (5, 4), (1, 3), (6, 1), (0, 2), (1, 1), (3, 0), (4, 4), (1, 5)]))


def test_items_of_a_list_that_broadcast() -> None:
    def step(parts: list[Tensor]) -> Tensor:
        return parts[0] + parts[1]

    same(step, lists([(4, 4), (5, 5), (1, 4), (6, 1), (1, 1), (0, 1), (3, 3), (2, 3), (1, 5)]))


def test_items_of_a_list_of_which_one_stays() -> None:
    same(of_each, lists([(4, 3), (5, 3), (1, 3), (6, 3), (1, 3), (2, 1), (3, 3)]))


def test_items_of_a_list_vary_together() -> None:
    # The first item has four rows until the second has varied twice.
    lengths = [(4, 3, 5), (4, 1, 5), (4, 2, 5), (1, 1, 5), (5, 3, 2), (3, 3, 0), (2, 2, 2)]
    converted = same(of_each, lists(lengths))
    assert converted.stats["conversions"] == 1
    assert converted.stats["fallback_calls"] == 0


def test_items_of_a_list_that_are_not_alike() -> None:
    def step(parts: list[Tensor]) -> Tensor:
        return (parts[0] @ parts[1]).relu() + parts[2]

    torch.manual_seed(0)
    weights = [torch.randn(3, 4), torch.randn(4)]
    converted = same(step, [([torch.randn(n, 3), *weights],) for n in (4, 5, 1, 6, 0, 4)])
    assert "tensor<3x4xf32>" in converted.graph_texts[0]


def test_items_that_are_equal_by_chance() -> None:
    def step(parts: list[Tensor]) -> Any:
        return [(part - part.mean(0)).tanh() for part in parts], torch.cat(parts)

    lengths = [
        (3, 3, 3),
        (3, 3, 4),
        (3, 3, 5),
        (3, 4, 4),
        (1, 3, 3),
        (3, 3, 1),
        (2, 2, 2),
        (1, 1, 1),
    ]
    same(step, lists(lengths))


def test_the_length_of_a_dict_of_modules_is_no_question_about_them() -> None:
    parts = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})

    def step(x: Tensor) -> Tensor:
        return parts["a"](x) * len(parts) + len(parts._modules) + len({**parts._modules})

    converted = same(step, rows([4, 5, 6]))
    parts["b"].extra = nn.Linear(3, 3)  # none of the dict's own items
    x = torch.randn(4, 3)
    assert_same_value(converted(x), step(x), "another module inside of an item")
    assert converted.stats["conversions"] == 1
    parts["c"] = nn.ReLU()
    assert_same_value(converted(x), step(x), "another item")
    del parts["b"]
    assert_same_value(converted(x), step(x), "an item less")
