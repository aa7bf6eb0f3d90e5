"""Objects that take turns as an argument: their graphs are about one object each, and run one
program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_state import same


class Worker:
    def __init__(self, number: int) -> None:
        torch.manual_seed(number)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.count = 0
        self.best = 0.0


class Training:
    def __init__(self, workers: int) -> None:
        self.workers = [Worker(number) for number in range(workers)]
        torch.manual_seed(99)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def step(self, worker: Worker, x: Tensor) -> Tensor:
        worker.model.load_state_dict(self.model.state_dict())
        loss = (worker.model(x) - x.sum(1, keepdim=True)).square().mean()
        worker.model.zero_grad()
        loss.backward()
        for shared, own in zip(self.model.parameters(), worker.model.parameters()):
            shared.grad = own.grad
        self.optimizer.step()
        worker.count += 1
        worker.best = 0.5 * worker.best + worker.count
        return loss.detach()

    def state(self) -> list[Any]:
        models = [self.model, *(worker.model for worker in self.workers)]
        return [
            [vars(worker) | {"model": None} for worker in self.workers],
            [
                (p.detach().clone(), p.grad if p.grad is None else p.grad.clone())
                for model in models
                for p in model.parameters()
            ],
            self.optimizer.state_dict()["state"],
        ]


Change = Callable[[Training], None]


class Both:
    """A training in eager PyTorch, and one converted."""

    def __init__(self, workers: int, make: Callable[[int], Training] = Training) -> None:
        self.eager, self.converted = make(workers), make(workers)
        self.step = bifront.function(self.converted.step)
        self.calls = 0

    def call(self, number: int) -> None:
        outcomes = []
        self.calls += 1
        for side, step in ((self.eager, self.eager.step), (self.converted, self.step)):
            torch.manual_seed(self.calls)
            x = torch.randn(5, 3)
            try:
                outcomes.append(step(side.workers[number], x))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        same(outcomes[1], outcomes[0])
        same(self.converted.state(), self.eager.state())

    def rounds(self, count: int) -> None:
        for _ in range(count):
            for number in range(len(self.eager.workers)):
                self.call(number)

    def change(self, change: Change) -> None:
        change(self.eager)
        change(self.converted)

    def in_graphs(self, run: Callable[[], None]) -> int:
        before = self.step.stats["graph_calls"]
        run()
        return int(self.step.stats["graph_calls"] - before)


def test_twenty_workers_run_one_program() -> None:
    both = Both(20)
    both.rounds(2)
    assert both.in_graphs(lambda: both.rounds(2)) == 40, bifront.explain(both.step)
    stats = both.step.stats
    assert stats["graphs"] == 1, bifront.explain(both.step)
    assert stats["conversions"] <= 22  # the first two had no gradients yet, and have them later


def parameter_replaced(training: Training) -> None:
    torch.manual_seed(5)
    training.workers[2].model[0].weight = nn.Parameter(torch.randn(4, 3))


def models_exchanged(training: Training) -> None:
    one, other = training.workers[1], training.workers[3]
    one.model, other.model = other.model, one.model


def one_model_for_two(training: Training) -> None:
    training.workers[1].model = training.workers[2].model


def the_shared_model(training: Training) -> None:
    training.workers[2].model = training.model


def another_dtype(training: Training) -> None:
    training.workers[2].model.double()


def another_shape(training: Training) -> None:
    torch.manual_seed(5)
    training.workers[2].model[0] = nn.Linear(3, 5)


def another_layer(training: Training) -> None:
    training.workers[2].model[1] = nn.ReLU()


def a_hook(training: Training) -> None:
    training.workers[2].model[0].register_forward_hook(lambda module, args, made: made * 2)


def a_hook_on_a_gradient(training: Training) -> None:
    training.workers[2].model[0].weight.register_hook(lambda gradient: gradient * 2)


def a_frozen_parameter(training: Training) -> None:
    training.workers[2].model[2].bias.requires_grad_(False)


def no_longer_a_number(training: Training) -> None:
    training.workers[2].best = torch.tensor(1.5)  # type: ignore[assignment]


def an_attribute_less(training: Training) -> None:
    del training.workers[2].count


def one_of_another_class(training: Training) -> None:
    class Eager(Worker):
        @property
        def count(self) -> int:
            return 7

        @count.setter
        def count(self, value: int) -> None:
            self.last = value

    training.workers[2].__class__ = Eager


def a_new_worker(training: Training) -> None:
    training.workers[2] = Worker(77)


CHANGES: list[Change] = [
    parameter_replaced,
    models_exchanged,
    one_model_for_two,
    the_shared_model,
    another_dtype,
    another_shape,
    another_layer,
    a_hook,
    a_hook_on_a_gradient,
    a_frozen_parameter,
    no_longer_a_number,
    an_attribute_less,
    one_of_another_class,
    a_new_worker,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("early", [False, True])
def test_a_worker_that_is_not_like_the_others(change: Change, early: bool) -> None:
    """Changed before it has a graph, and while it has one."""
    both = Both(5)
    if early:
        both.change(change)
    both.rounds(4)
    if not early:
        both.change(change)
        both.rounds(4)
        assert both.step.stats["graph_calls"] >= 8, bifront.explain(both.step)


class Counting(Training):
    """What one worker has counted is read in the turns of all."""

    def step(self, worker: Worker, x: Tensor) -> Tensor:
        return super().step(worker, x) * self.workers[0].count


def test_a_number_of_another_worker() -> None:
    both = Both(4, Counting)
    both.rounds(8)
    assert both.in_graphs(lambda: both.rounds(2)) >= 6, bifront.explain(both.step)


class InAList(Training):
    def step(self, worker: Any, x: Tensor) -> Tensor:
        return super().step(worker[0], x)


def test_workers_in_a_list() -> None:
    class InLists(InAList):
        def __init__(self, workers: int) -> None:
            super().__init__(workers)
            self.workers = [[worker] for worker in self.workers]  # type: ignore[misc]

        def state(self) -> list[Any]:
            inside, self.workers = self.workers, [worker for (worker,) in self.workers]  # type: ignore
            try:
                return super().state()
            finally:
                self.workers = inside

    both = Both(6, InLists)
    both.rounds(3)
    assert both.in_graphs(lambda: both.rounds(2)) == 12, bifront.explain(both.step)
    assert both.step.stats["graphs"] == 1


class Batch(NamedTuple):
    x: Tensor


def test_a_named_tuple_is_new_at_each_call() -> None:
    both = bifront.function(lambda batch: batch[0] * 2)
    for call in range(12):
        x = torch.randn(3)
        same(both(Batch(x)), x * 2)
    assert both.stats["graph_calls"] == 11, bifront.explain(both)


def test_objects_that_do_not_come_back() -> None:
    """More than two are not worth a conversion until they do."""
    both = Both(1)
    for call in range(40):
        both.change(lambda training, call=call: training.workers.__setitem__(0, Worker(call)))
        both.call(0)
    stats = both.step.stats
    assert stats["conversions"] <= 8, bifront.explain(both.step)
    assert stats["exits"]["NewChoice"] >= 30


def test_no_more_objects_than_a_function_may_know() -> None:
    both = Both(80)
    both.rounds(6)
    stats = both.step.stats
    assert stats["graphs"] == 1, bifront.explain(both.step)
    assert stats["forms"] <= 64 + 4  # the first ones have some without gradients too
