"""What logged calls change of an object's attributes, and the program reads in between: it is read
in the run. docs/decisions/030."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 10


class Player:
    """An environment with its own state, which the program looks at. Each move is written down."""

    def __init__(self) -> None:
        self.seen = np.zeros((2, 3), dtype=np.float32)
        self.ring = [np.full(3, float(i)) for i in range(2)]
        self.last = self.ring[0]
        self.points = 0.0
        self.moves = 0
        self.written = io.StringIO()

    def note(self, actions: list[int]) -> None:
        """No call of the graph, for it is given a list: what calls it is one."""
        self.moves += 1
        self.written.writelines([f"{self.moves}: {action}\n" for action in actions])

    def play(self, action: int) -> tuple[float, bool]:
        """`seen` becomes another array, and now and then it is begun anew."""
        self.note([action])
        row = np.full((1, 3), self.moves * 0.5 + action, dtype=np.float32)
        self.seen = np.concatenate([self.seen[1:], row])
        if self.moves % 4 == 0:
            self.seen[:] = -1
        self.points += action
        return float(action), self.moves % 3 == 0

    def overwrite(self, action: int) -> float:
        self.note([action])
        self.seen[0] += action + 1
        return 0.5

    def turn(self, action: int) -> float:
        """Two arrays in turn, which are written in place."""
        self.note([action])
        self.last = self.ring[self.moves % 2]
        self.last += action + 1
        return 1.5

    def state(self) -> list[Any]:
        arrays = [self.seen, self.last, *self.ring]
        seen = [array if array is None else (str(array.dtype), array.tolist()) for array in arrays]
        return [seen, self.points, self.moves, self.written.getvalue()]


Step = Callable[[Tensor], Any]


def check(
    make: Callable[[Player], Step],
    *,
    argument: Callable[[int], Tensor] = lambda call: torch.arange(3.0) + call % 2,
    runs: int = 1,
    graphs: int = 8,
    before: Callable[[int, Player], None] | None = None,
) -> Any:
    """Run the step on both sides; compare results, and all that is left in the players."""
    sides = [Player(), Player()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            if before:
                before(call, side)
            torch.manual_seed(call)
            x = argument(call)
            try:
                result = run(x)
            except Exception as error:
                result = (type(error), str(error))
            outcomes.append([result, x, side.state()])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["graph_calls"] >= runs, bifront.explain(converted)
    assert stats["graphs"] <= graphs, bifront.explain(converted)
    return converted


def replaced(player: Player) -> Step:
    def step(x: Tensor) -> Tensor:
        first = torch.from_numpy(np.stack([player.seen])).sum()
        reward, over = player.play(int(x[0].item()))
        second = torch.from_numpy(np.stack([player.seen]))
        return x * reward + first + second.sum() + (1.0 if over else 0.0)

    return step


def test_an_array_that_is_replaced() -> None:
    check(replaced, runs=CALLS - 3, graphs=1)


def test_several_moves_without_gradients() -> None:
    def make(player: Player) -> Step:
        weight = torch.ones(3, requires_grad=True)

        @torch.no_grad()
        def roll_out(x: Tensor) -> Tensor:
            rows = []
            for _ in range(4):
                rows.append(torch.from_numpy(player.seen.copy())[1] * weight)
                reward, _ = player.play(int(x[0].item()))
                rows.append(torch.full((3,), reward))
            return torch.stack(rows)

        def step(x: Tensor) -> Tensor:
            rows = roll_out(x)
            loss = (rows * weight).sum()
            loss.backward()
            with torch.no_grad():
                weight.sub_(weight.grad, alpha=0.001)
            weight.grad = None
            return weight.detach().clone()

        return step

    check(make, runs=CALLS - 3, graphs=1)


def test_numbers() -> None:
    def make(player: Player) -> Step:
        def step(x: Tensor) -> tuple[Tensor, float]:
            before = player.points
            reward, _ = player.play(int(x[0].item()) + 1)
            return x * before + player.moves + reward, player.points - before

        return step

    check(make, runs=2, graphs=2)


def test_an_array_that_is_written_in_place() -> None:
    def make(player: Player) -> Step:
        def step(x: Tensor) -> Tensor:
            first = player.seen.sum()
            player.overwrite(int(x[0].item()))
            return x * float(first) + float(player.seen.sum())

        return step

    check(make, runs=CALLS - 3, graphs=1)


def test_a_tensor_in_the_memory_of_an_array_that_is_written_in_place() -> None:
    def make(player: Player) -> Step:
        def step(x: Tensor) -> Tensor:
            first = torch.from_numpy(player.seen)
            player.overwrite(int(x[0].item()))
            return x + first[0]

        return step

    check(make, runs=0)


def goes_on(player: Player) -> Step:
    """What is assumed behind the moves fails in some calls."""

    def step(x: Tensor) -> Tensor:
        kept = player.last
        first = float(kept.sum())
        player.turn(1)
        second = float(kept.sum()) + float(player.last.sum())
        player.turn(int(x[0].item()))
        third = float(kept.sum()) + float(player.last.sum())
        y = x * first + second - third
        return y.sort().values if bool((x.sum() > 6).item()) else y * 2

    return step


def test_what_fails_behind_the_calls_finds_what_was_read_before() -> None:
    check(goes_on, argument=lambda call: torch.arange(3.0) + call % 5)


def in_lists(player: Player) -> Step:
    """The lists that the graph makes have arrays that are the player's as well."""

    def step(x: Tensor) -> Tensor:
        kept = player.last
        sums = [np.stack([player.last, kept]).sum()]
        for action in (1, 0, int(x[0].item())):
            player.turn(action)
            sums.append(np.stack([kept, player.last]).sum() + np.stack((kept, kept))[0, 1])
        y = x * float(sums[0] - sums[1]) + float(sums[2] * sums[3])
        return y.sort().values if bool((x.sum() > 6).item()) else y * 2

    return step


def test_arrays_in_lists_of_the_graph_are_still_the_player_s() -> None:
    check(in_lists, argument=lambda call: torch.arange(3.0) + call % 5)


def test_the_program_writes_what_a_call_may_change() -> None:
    def make(player: Player) -> Step:
        def step(x: Tensor) -> Tensor:
            player.seen[1] = x.numpy()
            player.overwrite(1)
            player.seen[0] *= 2
            return x + float(player.seen.sum())

        return step

    check(make, runs=0)


def test_another_array_from_outside() -> None:
    def before(call: int, player: Player) -> None:
        if call == 5:
            player.seen = np.arange(6).reshape(2, 3)  # of another dtype
        if call == 7:
            player.seen = np.ones((3, 3), dtype=np.float32)

    check(replaced, before=before)


def test_another_player() -> None:
    def make(player: Player) -> Step:
        def move(x: Tensor) -> Tensor:
            return replaced(player)(x)

        def step(x: Tensor) -> Tensor:
            for each in players:
                x = x + torch.from_numpy(each.seen * 2).sum()
                each.play(int(x[0].item()) % 3)
            return x + move(x)

        players = [player]
        return step

    check(make, runs=0)


def test_an_attribute_is_something_else_from_some_call_on() -> None:
    def before(call: int, player: Player) -> None:
        if call == 6:
            player.seen = None  # type: ignore[assignment]

    check(replaced, before=before)


PROGRAM = """
import bifront, torch
from tests.failing_on_purpose import fail_each
from tests.test_changed_slots import Player, replaced, goes_on, in_lists

torch.set_num_threads(1)
for make in replaced, goes_on, in_lists:
    sides = [Player(), Player()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    x = torch.arange(3.0)

    def eager():
        return step(x).tolist(), sides[0].state()

    def in_graph():
        return converted(x).tolist(), sides[1].state()

    for _ in range(6):
        expected = eager()
        assert in_graph() == expected
    assert converted.stats["graph_calls"] >= 1, bifront.explain(converted)
    print(fail_each(eager, in_graph, most=40))
"""


def test_whatever_fails_the_moves_are_made_once(tmp_path: Path) -> None:
    counts = run_program(tmp_path, PROGRAM).split()
    assert all(int(count) >= 10 for count in counts)


@pytest.mark.parametrize("threads", [1, 2])
def test_players_of_two_sides_do_not_meet(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(2):
            check(replaced, runs=CALLS - 3, graphs=1)
    finally:
        torch.set_num_threads(before)


class Pole:
    """All of it can be walked but what `step` writes down."""

    def __init__(self) -> None:
        self.at, self.steps = 0.0, 0
        self.written = io.StringIO()

    def reset(self) -> float:
        self.at = 0.25 + self.steps % 3
        self.steps = 0
        return self.at

    def step(self, action: int) -> tuple[float, bool]:
        self.steps += 1
        self.at += action - 0.5
        self.written.writelines([f"{self.steps}: {self.at}\n" for _ in range(1)])
        return self.at, self.steps > 2


def test_what_changes_what_a_call_sees_is_a_call_too() -> None:
    poles = [Pole(), Pole()]

    def make(pole: Pole) -> Step:
        def step(x: Tensor) -> Tensor:
            first = pole.reset()
            at, over = pole.step(int(x[0].item()))
            return x * first + at + (1.0 if over else 0.0) + pole.at

        return step

    eager, converted = make(poles[0]), bifront.function(make(poles[1]))
    for call in range(CALLS):
        x = torch.arange(3.0) + call % 2
        assert_same_value(converted(x), eager(x), f"call {call}")
        states = [[pole.at, pole.steps, pole.written.getvalue()] for pole in poles]
        assert states[1] == states[0], f"call {call}"
    assert converted.stats["graph_calls"] >= CALLS - 5, bifront.explain(converted)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)


def test_the_work_on_tensors_is_no_opaque_call() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.weight = torch.ones(3)
            self.steps = 0
            self.written = io.StringIO()

        def train(self) -> None:
            self.steps += 1
            self.weight = self.weight * 0.5

        def report(self) -> None:
            self.written.writelines([f"{self.steps}\n" for _ in range(1)])

    trainers = [Trainer(), Trainer()]

    def make(trainer: Trainer) -> Step:
        def step(x: Tensor) -> Tensor:
            trainer.train()
            trainer.report()
            return x + trainer.weight

        return step

    eager, converted = make(trainers[0]), bifront.function(make(trainers[1]))
    for call in range(CALLS):
        x = torch.arange(3.0)
        assert_same_value(converted(x), eager(x), f"call {call}")
        assert trainers[1].written.getvalue() == trainers[0].written.getvalue()
    assert converted.stats["graph_calls"] > 0, bifront.explain(converted)
    assert converted.stats["opaque_calls"] == 1  # writelines
