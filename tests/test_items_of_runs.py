"""What a run reads of lists and dicts under numbers and objects that only it knows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 24


@dataclass(frozen=True)
class Point:
    block: int
    ratio: float


@dataclass
class Option:
    weight: float
    name: str = "option"
    uses: int = 0

    def weighted(self, x: Tensor) -> Tensor:
        return x * self.weight if self.weight > 1 else x + self.weight


class Mark:
    """Equal to itself alone."""

    def __init__(self, value: float) -> None:
        self.value = value


class Named(Enum):
    LOW = 1
    HIGH = 2


class Loud:
    """Compared by code of the program, which counts how often."""

    compared = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        Loud.compared += 1
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loud) and other.value == self.value


@dataclass
class Kept:
    points: list[Point | None] = field(
        default_factory=lambda: [None, *(Point(b, r) for b in range(3) for r in (0.5, 0.75))]
    )
    options: list[Option] = field(default_factory=lambda: [Option(0.5 * i) for i in range(1, 20)])
    marks: list[Mark] = field(default_factory=lambda: [Mark(float(i)) for i in range(5)])
    louds: list[Loud] = field(default_factory=lambda: [Loud(i % 3) for i in range(5)])
    twins: list[Point] = field(default_factory=lambda: [Point(i % 2, 0.5) for i in range(6)])
    rates: list[float] = field(default_factory=lambda: [0.1 * i for i in range(30)])
    sizes: tuple[int, ...] = (2, 3, 5, 8)
    mixed: list[Any] = field(default_factory=lambda: [1, 2.5, True, None])
    current: Any = None
    counts: Any = field(default_factory=Counter)
    table: dict[Any, float] = field(default_factory=dict)
    found: Any = field(default_factory=lambda: defaultdict(int))
    history: list[Any] = field(default_factory=list)
    weight: Tensor = field(default_factory=lambda: torch.ones(3, requires_grad=True))

    def __post_init__(self) -> None:
        self.table = {self.marks[0]: 1.0, self.marks[1]: 2.0}
        self.counts[self.twins[0]] = 3

    def state(self) -> list[Any]:
        return [
            [(o.weight, o.name, o.uses) for o in self.options],
            [m.value for m in self.marks],
            self.position(self.current),
            [(self.position(k), v) for k, v in self.counts.items()],
            [(self.position(k), v) for k, v in self.table.items()],
            [(self.position(k), v) for k, v in self.found.items()],
            [self.position(one) for one in self.history],
        ]

    def position(self, one: Any) -> Any:
        """Which object it is."""
        for name in ("points", "options", "marks", "louds", "twins"):
            for place, other in enumerate(getattr(self, name)):
                if one is other and one is not None:
                    return name, place
        return one


Step = Callable[[Kept, Tensor], Any]


def a_point(kept: Kept, x: Tensor) -> Tensor:
    point = random.choice(kept.points)
    if point is not None:
        x = x * point.ratio + point.block
    return x.sum()


def a_point_on_an_object(kept: Kept, x: Tensor) -> Tensor:
    kept.current = random.choice(kept.points)
    for block in range(3):
        x = x * 2
        if kept.current is not None and kept.current.block == block:
            x = x * kept.current.ratio
    return x


def counted(kept: Kept, x: Tensor) -> Tensor:
    point = random.choice(kept.points)
    kept.counts[point] += 1
    return x * kept.counts[point]


def counted_equal_ones(kept: Kept, x: Tensor) -> Tensor:
    point = random.choice(kept.twins)
    kept.counts[point] += 1
    return x * point.block


def counted_in_a_table(kept: Kept, x: Tensor) -> Tensor:
    mark = random.choice(kept.marks)
    kept.table[mark] = kept.table.get(mark, 0.5) + mark.value
    return x + mark.value


def only_if_there(kept: Kept, x: Tensor) -> Tensor:
    mark = random.choice(kept.marks)
    if mark in kept.table:
        x = x * kept.table[mark]
    return x


def a_key_error(kept: Kept, x: Tensor) -> Tensor:
    return x * kept.table[random.choice(kept.marks)]


def by_default(kept: Kept, x: Tensor) -> Tensor:
    mark = random.choice(kept.marks)
    kept.found[mark] += 2
    return x * kept.found[mark]


def twice_in_a_call(kept: Kept, x: Tensor) -> Tensor:
    kept.counts[random.choice(kept.twins)] += 1
    other = random.choice(kept.twins)
    kept.counts[other] += 1
    return x * kept.counts[other]


def the_same_twice(kept: Kept, x: Tensor) -> Tensor:
    point = random.choice(kept.twins)
    kept.counts[point] += 1
    kept.counts[point] += 1
    return x * kept.counts[point] + kept.counts[kept.twins[0]]


def taken_out(kept: Kept, x: Tensor) -> Tensor:
    mark = random.choice(kept.marks)
    before = kept.table.pop(mark, -1.0)
    if len(kept.table) < 2:
        kept.table[kept.marks[0]] = 4.0
    return x * before


def keys_with_code(kept: Kept, x: Tensor) -> Tensor:
    loud = random.choice(kept.louds)
    kept.counts[loud] += 1
    return x + kept.counts[loud] + Loud.compared % 2


def a_method(kept: Kept, x: Tensor) -> Tensor:
    return random.choice(kept.options).weighted(x)


def a_text(kept: Kept, x: Tensor) -> tuple[Tensor, str]:
    option = random.choice(kept.options)
    return x * option.weight, option.name


def written(kept: Kept, x: Tensor) -> Tensor:
    option = random.choice(kept.options)
    option.uses += 1
    return x * option.uses


def returned(kept: Kept, x: Tensor) -> tuple[Any, Tensor]:
    mark = random.choice(kept.marks)
    return kept.position(mark), x + mark.value


def the_object(kept: Kept, x: Tensor) -> Tensor:
    option, other = random.choice(kept.options), random.choice(kept.options)
    kept.history.append(option)
    return x * (option is other)


def rates(kept: Kept, x: Tensor) -> Tensor:
    return x * random.choice(kept.rates) + kept.rates[-1 - int(x[0].abs()) % 3]


def from_the_end(kept: Kept, x: Tensor) -> Tensor:
    place = int(x[0].item())
    return x * kept.rates[place - 2] + kept.options[-place - 1].weight


def out_of_range(kept: Kept, x: Tensor) -> Tensor:
    return x * kept.sizes[int(x[0].item())]


def sizes(kept: Kept, x: Tensor) -> Tensor:
    size = kept.sizes[int(x[0].item()) % 4]
    return torch.ones(size, 2) * x[:2]


def several_types(kept: Kept, x: Tensor) -> Tensor:
    one = random.choice(kept.mixed)
    return x if one is None else x * one


def a_list_that_the_call_changes(kept: Kept, x: Tensor) -> Tensor:
    kept.rates.append(float(len(kept.rates)))
    kept.rates[0] = kept.rates[0] + 1
    return x * random.choice(kept.rates)


def a_list_that_is_changed_behind(kept: Kept, x: Tensor) -> Tensor:
    x = x * random.choice(kept.options).weight
    kept.options[3] = Option(7.0)
    return x


def in_a_loop(kept: Kept, x: Tensor) -> Tensor:
    total = x.sum()
    for place in x.long().tolist():
        point = kept.points[place % 7]
        if point is not None:
            total = total * point.ratio + point.block
    return total


def trained(kept: Kept, x: Tensor) -> Tensor:
    point = random.choice(kept.points)
    loss = (kept.weight * x[:3]).square().sum()
    if point is not None:
        loss = loss * point.ratio
    kept.weight.grad = None
    loss.backward()
    return torch.empty(0) if kept.weight.grad is None else kept.weight.grad.clone()


STEPS = [
    *(
        a_point,
        a_point_on_an_object,
        counted,
        counted_equal_ones,
        counted_in_a_table,
        only_if_there,
    ),
    *(a_key_error, by_default, twice_in_a_call, the_same_twice, taken_out, keys_with_code),
    *(a_method, a_text, written, returned, the_object, rates, from_the_end, out_of_range, sizes),
    *(
        several_types,
        a_list_that_the_call_changes,
        a_list_that_is_changed_behind,
        in_a_loop,
        trained,
    ),
]
IN_FEW_CONVERSIONS = {
    *(a_point, a_point_on_an_object, counted, counted_in_a_table, a_method, rates, from_the_end),
    *(counted_equal_ones, trained),
}
"""Not one for each item."""


@pytest.mark.parametrize("step", STEPS)
def test_as_in_eager(step: Step) -> None:
    sides, converted = [Kept(), Kept()], bifront.function(step)
    for call in range(CALLS):
        x = torch.randint(0, 6, (6,), generator=torch.Generator().manual_seed(call)).float()
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            random.seed(call)
            Loud.compared = 0
            try:
                outcome: Any = run(side, x.clone())
            except (KeyError, IndexError) as raised:
                outcome = type(raised).__name__
            outcomes.append([outcome, side.state(), random.random()])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    if step in IN_FEW_CONVERSIONS:
        assert converted.stats["conversions"] <= 4, bifront.explain(converted)
        assert converted.stats["fallback_calls"] <= 1, bifront.explain(converted)


def test_a_list_that_others_change() -> None:
    kept = Kept()

    def step(x: Tensor) -> Tensor:
        return x * random.choice(kept.options).weight

    converted, x = bifront.function(step), torch.ones(2)
    for call in range(CALLS):
        if call % 5 == 4:
            kept.options.append(Option(float(call)))
        if call == 11:
            kept.options[:] = [Option(-1.0), Option(-2.0)]
        if call == 17:
            kept.options[0].weight = 3  # type: ignore[assignment]  # an int
        random.seed(call)
        expected = step(x)
        random.seed(call)
        assert_same_value(converted(x), expected, f"call {call}")


def test_keys_of_an_enumeration() -> None:
    kinds, counts = [Named.LOW, Named.HIGH], [Counter[Named](), Counter[Named]()]

    def step(count: Counter[Named], x: Tensor) -> Tensor:
        kind = kinds[int(x[0].item())]
        count[kind] += 1
        return x * count[kind]

    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.tensor([float(call * call % 3 % 2), 1.0])
        assert_same_value(converted(counts[1], x), step(counts[0], x), f"call {call}")
        assert counts[0] == counts[1]
