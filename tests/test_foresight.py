"""Python that decides by tensors' values: the way that a call goes is foreseen and asserted."""

import math

import bifront
import pytest
import torch
from torch import nn

from tests.same_function import assert_same, assert_same_value


def calls(converted, fn, arguments) -> None:
    for index, args in enumerate(arguments):
        copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        assert_same_value(converted(*args), fn(*copies), f"call {index}")


def ones(sign: float) -> torch.Tensor:
    return torch.full((3,), sign)


def test_a_branch_by_a_tensor() -> None:
    def fn(x):
        return x * 2 if x.sum() > 0 else x - 1

    converted = bifront.trace(fn)
    calls(converted, fn, [(ones(s),) for s in (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0)])
    assert converted.stats["graphs"] == 2  # one for each way
    assert converted.stats["graph_calls"] == 7
    assert converted.stats["exits"]["AssertionFailed"] >= 2


def test_the_assumption_that_failed_is_named() -> None:
    converted = bifront.trace(lambda x: x + 1 if x.max().item() > 0.5 else x)
    for sign in (1.0, 1.0, -1.0):
        converted(ones(sign))
    assert "a tensor's value > 0.5" in converted.last_error


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item() > 0,
        lambda x: bool(x.any()),
        lambda x: bool((x > 0).all() and x[0] < 5),
        lambda x: int(x.sum()) > 0,
        lambda x: float(x[0]) != 1.0,
        lambda x: not x.sum(),
        lambda x: 0 < x.sum() < 10,
        lambda x: math.isinf(x.sum().item()),
        lambda x: x.argmax() == 0,
        lambda x: round(x[0].item()) in (1, 2),
    ],
)
def test_ways_to_decide(read) -> None:
    def fn(x):
        return x.exp() if read(x) else x.neg()

    converted = bifront.trace(fn)
    calls(converted, fn, [(ones(s),) for s in (1.0, 1.0, 2.0, -1.0, 0.0, 1.0, -1.0, 2.0)])


def test_loops_by_values() -> None:
    def fn(x):
        steps = 0
        while x.norm() > 1:
            x = x / 2
            steps += 1
        return x, steps

    converted = bifront.trace(fn)
    calls(converted, fn, [(ones(s),) for s in (3.0, 3.0, 3.0, 9.0, 9.0, 0.1, 3.0)])
    assert converted.stats["graph_calls"] >= 5


def test_a_number_of_repetitions() -> None:
    def fn(x, n):
        for _ in range(n.item()):
            x = torch.tanh(x)
        return x[: int(n)]

    assert_same(fn, lambda: (torch.randn(5), torch.tensor(3)))


def test_random_numbers_are_drawn_once() -> None:
    def fn(x):
        mask = torch.rand(3) > 0.5
        return torch.where(mask, x, torch.randn(3)) if mask.sum() > 1 else torch.rand(3)

    assert_same(fn, lambda: (torch.randn(3),), calls=12, in_graph=False)


def test_nothing_happens_before_an_assumption_holds() -> None:
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.seen.add_(x)
            if self.seen.sum() > 4:
                self.seen.zero_()
                x.mul_(2)
            return x + self.seen

    eager, module = Counter(), Counter()
    converted = bifront.trace(module)
    for step in range(20):
        a = torch.full((3,), float(step % 3))
        b = a.clone()
        assert torch.equal(converted(a), eager(b))
        assert torch.equal(a, b)
        assert_same_value(dict(module.state_dict()), dict(eager.state_dict()), f"step {step}")
    assert converted.stats["graphs"] == 2


def training(skips: bool):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5, error_if_nonfinite=True)
        if skips and norm > 1.0:
            return loss.detach(), True
        optimizer.step()
        return loss.detach(), False

    return model, optimizer, step


@pytest.mark.parametrize("skips", [False, True])
def test_training_that_looks_at_its_gradients(skips: bool) -> None:
    eager, eager_optimizer, eager_step = training(skips)
    model, optimizer, step = training(skips)
    converted = bifront.trace(step)
    torch.manual_seed(1)
    for index in range(16):
        x, y = torch.randn(5, 4), torch.randn(5, 1) * (4 if index % 5 == 0 else 0.3)
        assert_same_value(converted(x, y), eager_step(x, y), f"step {index}", loosen=10)
        assert_same_value(dict(model.state_dict()), dict(eager.state_dict()), "parameters", 10)
    assert_same_value(
        optimizer.state_dict()["state"], eager_optimizer.state_dict()["state"], "", 10
    )
    assert converted.stats["graph_calls"] >= 10, bifront.explain(converted)


def test_an_error_by_a_value_is_raised() -> None:
    def fn(x):
        if x.isnan().any():
            raise ValueError("not a number")
        return x + 1

    converted = bifront.trace(fn)
    for value in (1.0, 1.0, 1.0, math.nan, 1.0, math.nan):
        if math.isnan(value):
            with pytest.raises(ValueError, match="not a number"):
                converted(ones(value))
        else:
            assert torch.equal(converted(ones(value)), ones(2.0))
    assert converted.stats["graph_calls"] >= 2


def test_too_many_ways_end_in_cpython() -> None:
    def fn(x):
        return x * int(x.sum())

    converted = bifront.trace(fn, max_graphs=3)
    calls(converted, fn, [(torch.full((2,), float(n)),) for n in range(150)])
    stats = converted.stats
    assert stats["graphs"] <= 3 and stats["conversions"] <= 3
    assert stats["exits"]["TooManyWays"] > 0


def test_a_value_that_a_long_program_decides_by() -> None:
    """Each decision costs a run of what it depends on; that is bounded."""

    def fn(x):
        for _ in range(100):
            if x.sum() > 0:
                x = x - 0.1
        return x

    assert_same(fn, lambda: (torch.ones(3),), in_graph=False)


# In loops: what is asked there runs what is being recorded.


def same_in_turn(fn, arguments, loosen: float = 1.0) -> None:
    """The same results, inputs and random states, for calls that go other ways."""
    converted = bifront.function(fn)
    for index, args in enumerate(arguments):
        copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        torch.manual_seed(index)
        expected = fn(*copies)
        state = torch.get_rng_state()
        torch.manual_seed(index)
        assert_same_value(converted(*args), expected, f"call {index}", loosen=loosen)
        assert torch.equal(torch.get_rng_state(), state), f"call {index}"
        assert_same_value(args, tuple(copies), f"arguments of call {index}")


def rows_of(*lengths: int) -> list[tuple[torch.Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(length, 4),) for length in lengths]


LENGTHS = (6, 9, 3, 1, 12, 7, 2, 5)


def test_questions_about_what_is_left_in_a_loop() -> None:
    def fn(x):
        kept, turns = torch.zeros(4), 0
        while len(x) > 0:
            first, x = x[0], x[1:]
            near = (x - first).abs().sum(dim=1) < 3
            if near.any():
                kept = kept + x[near].mean(0)
            x = x[~near]
            turns += 1
        return kept, turns

    same_in_turn(fn, rows_of(*LENGTHS), loosen=100)


def test_questions_behind_random_numbers_of_a_loop() -> None:
    def fn(x):
        noise = torch.rand(4)
        for row in x:
            step = torch.rand(4)
            while step.sum() > 2:
                step = step * 0.5
            if (row * step).sum() > noise.sum() - 1:
                noise = noise + torch.rand(4) * step
        return noise, torch.rand(1)

    same_in_turn(fn, rows_of(*LENGTHS), loosen=10)


def test_questions_behind_writes_of_a_loop() -> None:
    def fn(x):
        total = torch.zeros(4)
        for row in x:
            total += row
            if total.sum() > 1:
                row.mul_(2)
            if total.max() > 2:
                total.zero_()
        return total

    same_in_turn(fn, rows_of(*LENGTHS), loosen=10)


def test_questions_on_a_way_that_this_call_does_not_go() -> None:
    def fn(x):
        y = x.sum(0)
        for row in x:
            if row[0] > 0:
                while y.abs().sum() > 1:
                    y = y / 2
            else:
                chosen = x[row > 0] if len(x) == 4 else x[:2]
                y = y + (chosen.sum() if chosen.numel() > 4 else row)
        return y

    same_in_turn(fn, rows_of(*LENGTHS), loosen=100)


def test_questions_about_gradients_in_a_loop() -> None:
    def fn(x):
        w = torch.ones(4, requires_grad=True)
        total = torch.zeros(())
        for row in x:
            (grad,) = torch.autograd.grad((row * w).pow(2).sum(), w)
            if grad.abs().max() > 2:
                total = total + grad.sum()
            elif grad.sum() < 0:
                total = total - 1
        return total

    same_in_turn(fn, rows_of(*LENGTHS), loosen=100)


def test_questions_in_loops_in_loops() -> None:
    def fn(x):
        found = 0
        for one in x:
            y = one * 1
            while y.sum() > -2:
                y = y - 0.5
                for other in x:
                    if (y * other).sum() > 3:
                        found += 1
                        y = y - 1
        return found

    same_in_turn(fn, rows_of(*LENGTHS))


def test_questions_in_a_loop_of_a_recursion() -> None:
    def halve(x, depth):
        while x.abs().sum() > 4:
            x = x * 0.5
        if depth > 0 and x.sum() > 0:
            return halve(x[: len(x) // 2 + 1], depth - 1) + 1
        return x.sum()

    def fn(x):
        return halve(x, 3)

    same_in_turn(fn, rows_of(*LENGTHS), loosen=10)
