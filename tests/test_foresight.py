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
