"""Lists of numbers that grow in loops, branches and recursion: one graph, beside CPython."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value
from tests.test_growing_lists import LENGTHS, compare, sequences


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda row: row.sum().item(),
    "int": lambda row: int((row > 0).sum().item()),
    "bool": lambda row: (row.sum() > 0).item(),
}


def collected(kind: str, x: Tensor) -> list[Any]:
    """In a list of its own, so that each test says what it does with it."""
    number = KINDS[kind]
    numbers = []
    for row in x:
        numbers.append(number(row))
    return numbers


def folded(numbers: Any) -> float:
    total = 1.0
    for number in numbers:
        total = number + 0.5 * total
    return total


def reads_while_it_grows(numbers: list[Any]) -> list[Any]:
    sums = [0.0]
    for number in numbers:
        sums.append(sums[-1] + number)
    return sums


def put_ahead(numbers: list[Any]) -> Tensor:
    turned: list[float] = []
    following = 0.0
    for number in reversed(numbers):
        following = number + 0.9 * following
        turned.insert(0, following)
    return torch.tensor(turned)


def folded_with(pairs: Any, numbers: list[Any], others: list[Any]) -> float:
    """By a name that is no builtin's, which the walk must see through."""
    total = 0.0
    for number, other in pairs(numbers, others):
        total = total * 0.5 + number * other
    return total


def weighed(numbers: list[Any]) -> float:
    total = 0.0
    for i, number in enumerate(numbers):
        total = total + i * number
    return total


def grown_copy(numbers: list[Any]) -> tuple[int, int, Any]:
    copy = numbers[:]
    copy.append(numbers[0])
    return len(copy), len(numbers), copy[-1]


READERS: dict[str, Callable[[list[Any]], Any]] = {
    "tensor": lambda numbers: torch.tensor(numbers) * 2,
    "tensor_of_floats": lambda numbers: torch.tensor(numbers, dtype=torch.float32),
    "tensor_of_doubles": lambda numbers: torch.tensor(numbers, dtype=torch.float64),
    "length": lambda numbers: len(numbers) * torch.ones(2),
    "first": lambda numbers: numbers[0] * 2,
    "last": lambda numbers: (numbers[-1], type(numbers[-1])),
    "before_last": lambda numbers: numbers[-2] + 1,
    "folded": lambda numbers: folded(numbers),
    "greatest": lambda numbers: max(numbers),
    "least": lambda numbers: min(numbers),
    "truth": lambda numbers: numbers[-1] if numbers else 0,
    "sums": lambda numbers: torch.tensor(reads_while_it_grows(numbers)),
    "put_ahead": put_ahead,
    "again": lambda numbers: torch.tensor([2 * number for number in numbers]),
    "zipped": lambda numbers: folded_with(zip, numbers, numbers),
    "enumerated": lambda numbers: weighed(numbers),
    "turned": lambda numbers: folded(numbers[::-1]),
    "turned_and_read": lambda numbers: (numbers[::-1][0], len(numbers[::-1])),
    "copied": lambda numbers: grown_copy(numbers),
    "is_any": lambda numbers: bool(numbers),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_a_loop(kind: str, name: str) -> None:
    read = READERS[name]
    compare(lambda x: (read(collected(kind, x)), x * 2), sequences())


@pytest.mark.parametrize("kind", KINDS)
def test_sum(kind: str) -> None:
    adds_plainly = sys.version_info < (3, 12)
    compare(
        lambda x: (sum(collected(kind, x)), x * 2), sequences(), graphs=1 if adds_plainly else None
    )


def test_a_float_is_the_same_to_the_last_bit() -> None:
    def step(x: Tensor) -> list[Any]:
        numbers = []
        for row in x:
            numbers.append(row.double().sum().item() / 3)
        return [numbers[0].hex() if isinstance(numbers[0], float) else None, numbers[-1]]

    compare(step, sequences(), graphs=None)


def test_discounted_rewards_beside_tensors() -> None:
    """Lists that grow together are of one length."""

    def step(x: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        values, rewards = [], []
        done = False
        while not done:
            x = x * 1.5
            values.append(x.sum())
            rewards.append(float(x.mean()))
            done = (x.sum() > limit).item() or len(rewards) == 12
        returns: list[float] = []
        following = 0.0
        for reward in reversed(rewards):
            following = reward + 0.99 * following
            returns.insert(0, following)
        value = torch.stack(values)
        return (torch.tensor(returns) - value).pow(2).mean(), value * 1

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 3.0, 5.0, 0.01, 9.0)]
    compare(step, calls)


def test_lists_that_do_not_grow_together() -> None:
    def step(x: Tensor) -> Tensor:
        every, some = [], []
        for row in x:
            every.append(float(row.sum()))
            if row.sum() > 0:
                some.append(float(row.sum()))
        if len(every) == len(some):
            return torch.tensor(every) - torch.tensor(some)
        return torch.tensor(every)

    calls = [(torch.randn(n, 3) + k,) for n, k in zip(LENGTHS, (0, 9, 0, 9, 0, 9, 0, 9))]
    compare(step, calls, graphs=None)


def test_lists_of_one_step_and_of_two() -> None:
    def step(x: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        once, twice = [], []
        while x.sum() < limit:
            x = x * 2
            once.append(float(x[0]))
            twice.append(float(x[1]))
            twice.append(float(x[2]))
        return torch.tensor(once), torch.tensor(twice)

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0)]
    compare(step, calls)


def test_no_number_at_all() -> None:
    def step(x: Tensor, limit: Tensor) -> tuple[Tensor, int]:
        numbers: list[float] = []
        while x.sum() < limit:
            x = x * 2
            numbers.append(float(x[0]))
        return torch.tensor(numbers), len(numbers)

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0, 20.0)]
    compare(step, calls, graphs=None)


@pytest.mark.parametrize("kind", ["int", "bool"])
def test_a_tensor_of_no_number_is_one_of_floats(kind: str) -> None:
    def step(x: Tensor, limit: Tensor) -> Tensor:
        numbers: list[Any] = []
        while x.sum() < limit:
            x = x * 2
            numbers.append(KINDS[kind](x))
        return torch.tensor(numbers)

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0, 20.0)]
    compare(step, calls, graphs=None)


@pytest.mark.parametrize("read", [max, min, sum, len, torch.tensor], ids=lambda read: read.__name__)
def test_functions_of_no_number(read: Callable[..., Any]) -> None:
    def step(x: Tensor, limit: Tensor) -> tuple[Any, Tensor]:
        numbers: list[float] = []
        while x.sum() < limit:
            x = x * 2
            numbers.append(float(x[0]))
        return read(numbers), x * 1

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0, 20.0)]
    compare(step, calls, graphs=None)


def test_a_branch_that_appends() -> None:
    def step(x: Tensor) -> Tensor:
        kept = [1.5]
        if x.sum() > 0:
            kept.append(2.5)
        return torch.tensor(kept)

    compare(step, [(torch.randn(4, 3),) for _ in range(10)])


def test_a_recursion_that_appends() -> None:
    def visit(x: Tensor, n: int, numbers: list[float]) -> None:
        numbers.append(float(x.sum()))
        if n > 0:
            visit(x * 0.5, n - 1, numbers)

    def step(x: Tensor, n: int) -> Tensor:
        numbers: list[float] = []
        visit(x, n, numbers)
        return torch.tensor(numbers)

    compare(step, [(torch.randn(3), n) for n in (4, 2, 6, 3, 5, 1, 7)], graphs=None)


CHANGES: dict[str, Callable[[int, Tensor], Any]] = {
    "int_then_float": lambda t, row: float(row.sum()) if t == 2 else t,
    "bool_then_int": lambda t, row: t if t > 1 else bool(row.sum() > 0),
    "none": lambda t, row: None if t == 1 else float(row.sum()),
    "text": lambda t, row: "a" if t == 1 else float(row.sum()),
    "tensor": lambda t, row: row.sum() if t % 2 else float(row.sum()),
    "beyond_64_bits": lambda t, row: 1 << 70,
    "decided_by_a_tensor": lambda t, row: 1 if row.sum() > 0 else 1.0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_items_that_change_their_kind(name: str) -> None:
    made = CHANGES[name]

    def step(x: Tensor) -> tuple[Any, Any, int]:
        items = []
        for t, row in enumerate(x):
            items.append(made(t, row))
        first, last = items[0], items[-1]
        return first, last, len(items)

    compare(step, sequences(), graphs=None)


OTHER_USES: dict[str, Callable[[list[float]], Any]] = {
    "returned": lambda numbers: numbers,
    "text": lambda numbers: f"{numbers}",
    "slice": lambda numbers: numbers[1:],
    "turned": lambda numbers: numbers[::-1],
    "reversed_later": lambda numbers: folded(reversed(numbers)),
    "sorted": lambda numbers: sorted(numbers),
    "equal": lambda numbers: numbers == [1.0],
    "in": lambda numbers: 2.0 in numbers,
    "pop": lambda numbers: numbers.pop(),
    "written": lambda numbers: numbers.__setitem__(0, 2.0),
    "insert_last": lambda numbers: (numbers.insert(-1, 2.0), torch.tensor(numbers)),
    "insert_in_the_middle": lambda numbers: (numbers.insert(1, 2.0), torch.tensor(numbers)),
    "insert_ahead_of_all": lambda numbers: (numbers.insert(-99, 2.0), torch.tensor(numbers)),
    "insert_huge": lambda numbers: (numbers.insert(1 << 70, 2.0), torch.tensor(numbers)),
    "zip": lambda numbers: [a * b for a, b in zip(numbers, numbers, strict=True)],
    "enumerate": lambda numbers: [i * a for i, a in enumerate(numbers)],
    "enumerate_from": lambda numbers: [i * a for i, a in enumerate(numbers, 2)][-1],
    "zip_with_another": lambda numbers: [i * a for i, a in zip((1, 2), numbers)][-1],
    "reversed_zip": lambda numbers: list(reversed(zip(numbers))),  # type: ignore[call-overload]
    "next": lambda numbers: next(zip(numbers)),
    "stack": lambda numbers: torch.stack(numbers),  # type: ignore[arg-type]
    "nested": lambda numbers: torch.tensor([numbers, numbers]),
    "of_ints": lambda numbers: torch.tensor(numbers, dtype=torch.int64),
    "of_halves": lambda numbers: torch.tensor(numbers, dtype=torch.float16),
    "requires_grad": lambda numbers: torch.tensor(numbers, requires_grad=True).requires_grad,
    "any": lambda numbers: any(numbers),
    "beyond": lambda numbers: numbers[len(numbers)],
    "is": lambda numbers: numbers[-1] is numbers[-1],
}


@pytest.mark.parametrize("name", OTHER_USES)
def test_other_uses_are_right(name: str) -> None:
    read = OTHER_USES[name]
    compare(lambda x: (read(collected("float", x)), x * 2), sequences(), graphs=None)


def walked_both(x: Tensor) -> tuple[list[Tensor], list[float]]:
    values, rewards = [], []
    h = torch.zeros(3)
    for row in x:
        h = torch.tanh(h + row)
        values.append(h)
        rewards.append(float(row.detach().sum()))
    return values, rewards


def discounted(x: Tensor) -> Tensor:
    """As PyTorch's own example of REINFORCE has it."""
    values, rewards = walked_both(x)
    returns: list[float] = []
    following = 0.0
    for reward in rewards[::-1]:
        following = reward + 0.9 * following
        returns.insert(0, following)
    losses = []
    for value, expected in zip(values, returns):
        losses.append(-value.sum() * expected)
    return torch.stack(losses).sum()


def backwards(x: Tensor) -> Tensor:
    values, rewards = walked_both(x)
    advantage = torch.zeros(3)
    following = torch.ones(3)
    for reward, value in zip(reversed(rewards), reversed(values)):
        advantage = reward + 0.9 * following - value + 0.5 * advantage
        following = value
    return advantage.sum()


def in_one_order_and_the_other(x: Tensor) -> Tensor:
    values, rewards = walked_both(x)
    total = torch.zeros(3)
    for i, (value, reward) in enumerate(zip(values, reversed(rewards))):
        total = total + value * reward * i
    return total.sum()


def comprehended(x: Tensor) -> Tensor:
    values, rewards = walked_both(x)
    return torch.stack([value * reward for value, reward in zip(values, rewards)]).sum()


def turned_tensors(x: Tensor) -> Tensor:
    values, _ = walked_both(x)
    turned = values[::-1]
    return (torch.stack(turned) * torch.stack(values)[0]).sum() + turned[0].sum() + len(turned)


def of_other_lengths(x: Tensor) -> Tensor:
    values, rewards = walked_both(x)
    positive: list[float] = []
    for reward in rewards:
        if reward > 0:
            positive.append(reward)
    total = torch.zeros(3)
    for value, reward in zip(values, positive):
        total = total * 0.5 + value * reward
    return (total + values[0]).sum()


THROUGH = (
    discounted,
    backwards,
    in_one_order_and_the_other,
    comprehended,
    turned_tensors,
)


def with_gradient(function: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().clone().requires_grad_()
        loss = function(x)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    return step


@pytest.mark.parametrize("function", THROUGH, ids=lambda function: function.__name__)
def test_through_several_lists(function: Callable[[Tensor], Tensor]) -> None:
    compare(with_gradient(function), sequences())


def test_through_lists_of_other_lengths() -> None:
    """The shortest ends it, which may be empty."""
    calls = [*sequences(), (-torch.rand(4, 3),), (torch.rand(4, 3),), (-torch.rand(4, 3),)]
    compare(with_gradient(of_other_lengths), calls, graphs=None)


def test_one_of_several_lists_is_changed_meanwhile() -> None:
    def step(x: Tensor) -> tuple[float, int]:
        first, second = collected("float", x), collected("float", x)
        total = 0.0
        for a, b in zip(first, second):
            total = total + a * b
            if len(second) < 9:
                second.append(total)
        return total, len(second)

    compare(step, sequences(), graphs=None)


def test_an_item_of_a_turned_list_is_written() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        values, _ = walked_both(x)
        turned = values[::-1]
        turned[0].zero_()
        return values[-1] * 1, torch.stack(values)

    compare(step, sequences(), graphs=None)


def test_bool_of_a_number_decides_nothing() -> None:
    """A loop whose end is a bool that the run computes."""

    def step(x: Tensor) -> tuple[Tensor, bool]:
        over = False
        count = 0
        while not over:
            x = x * 1.5 + 0.1
            count += 1
            over = bool(x.sum() > 20) or count == 9
        return x, bool(x.mean() > 8)

    compare(step, [(torch.rand(3) * k,) for k in (1.0, 3.0, 0.5, 9.0, 2.0, 0.1, 5.0)])


class Score:
    def __init__(self, value: Tensor) -> None:
        self.value = value

    def __lt__(self, other: Score) -> Any:
        return (self.value < other.value).item()


def test_an_order_that_the_run_decides() -> None:
    def step(x: Tensor) -> Tensor:
        return sorted([Score(x[0]), Score(x[1]), Score(x[2])])[0].value * 2

    compare(step, [(torch.randn(3),) for _ in range(8)], graphs=None)


def test_changed_while_it_is_gone_through() -> None:
    def step(x: Tensor) -> tuple[int, float]:
        numbers = collected("float", x)
        total = 0.0
        for number in reversed(numbers):
            total = total + number
            numbers.append(total)
        return len(numbers), total

    compare(step, sequences(), graphs=None)


def test_by_two_names() -> None:
    def step(x: Tensor) -> tuple[Tensor, int]:
        numbers: list[float] = []
        also = numbers
        for row in x:
            numbers.append(float(row.sum()))
            also.insert(0, float(row.mean()))
        return torch.tensor(also), len(numbers)

    compare(step, sequences())


def test_the_tensor_is_no_part_of_the_list() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        numbers: list[float] = []
        for row in x:
            numbers.append(row.double().sum().item())
        first = torch.tensor(numbers, dtype=torch.float64)
        first.zero_()
        return first, torch.tensor(numbers, dtype=torch.float64)

    compare(step, sequences())


def test_of_another_default_dtype() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        compare(lambda x: torch.tensor(collected("float", x)), sequences())
    finally:
        torch.set_default_dtype(torch.float32)


class Walk:
    """An environment that nobody but CPython can run, and an agent that learns from its rewards."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.random = random.Random(5)
        self.steps, self.best = 0, 0.0
        self.written = io.StringIO()
        self.policy = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=0.05)

    def advance(self, action: float) -> tuple[float, bool]:
        self.steps += 1
        self.written.writelines([f"{self.steps}: {action:.4f}\n"])
        return self.random.random(), self.random.random() < 0.3

    def episode(self, x: Tensor) -> tuple[Tensor, int]:
        values, rewards = [], []
        done = False
        while not done:
            value = self.policy(x).squeeze()
            reward, over = self.advance(value.item())
            values.append(value)
            rewards.append(reward)
            x = x * 0.9
            done = over or len(rewards) == 6
        self.best = max(self.best, max(rewards))
        returns: list[float] = []
        following = 0.0
        for reward in reversed(rewards):
            following = reward + 0.9 * following
            returns.insert(0, following)
        loss = (torch.stack(values) - torch.tensor(returns)).pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), len(returns)

    def state(self) -> list[Any]:
        parameters = [parameter.tolist() for parameter in self.policy.parameters()]
        return [self.steps, self.best, self.written.getvalue(), self.random.random(), parameters]


def test_rewards_of_an_environment() -> None:
    sides = [Walk(), Walk()]
    converted = bifront.function(sides[1].episode)
    for call in range(16):
        x = torch.randn(3)
        assert_same_value(converted(x), sides[0].episode(x), f"call {call}")
        assert_same_value(sides[1].state(), sides[0].state(), f"call {call}")
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] >= 12, bifront.explain(converted)


PROGRAM = """
import bifront, torch
from tests.failing_on_purpose import fail_each
from tests.test_growing_numbers import Walk

torch.set_num_threads(1)
sides = [Walk(), Walk()]
converted = bifront.function(sides[1].episode)
x = torch.arange(3.0)

def on(side, run):
    loss, length = run(x)
    return round(loss.item(), 5), length, side.steps, side.written.getvalue().count(":")

def eager():
    return on(sides[0], sides[0].episode)

def in_graph():
    return on(sides[1], converted)

for _ in range(10):
    expected = eager()
    assert in_graph() == expected
assert converted.stats["graph_calls"] >= 4, bifront.explain(converted)
print(fail_each(eager, in_graph, most=60))
"""


def test_whatever_fails_the_environment_steps_once(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 60
