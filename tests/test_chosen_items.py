"""Items of lists under numbers that only the run knows: arrays, and objects of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 9


class Target:
    def __init__(self, size: int = 3) -> None:
        self.found = np.zeros(size)
        self.boxes = np.zeros((size, 2))
        self.name = "target"
        self.size = size

    def total(self) -> float:
        return float(self.found.sum())


class Kept:
    """What a step finds and leaves: one for each side."""

    def __init__(self) -> None:
        self.targets = [Target(), Target(), Target()]
        self.arrays = (np.zeros(2), np.ones(2), np.full(2, 5.0))
        self.current: Any = None
        self.seen: list[Any] = []

    def state(self) -> list[Any]:
        of_targets = [[one.found.tolist(), one.boxes.tolist(), one.name] for one in self.targets]
        current = self.targets.index(self.current) if self.current in self.targets else -1
        seen = [self.targets.index(one) for one in self.seen]
        return [of_targets, [array.tolist() for array in self.arrays], current, seen]


Step = Callable[[Kept, Tensor], Any]


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def check(step: Step, *, graphs: int = 1, fallbacks: int = 1) -> Any:
    """Run the step on both sides; compare results, exceptions and what is kept."""
    sides, converted = [Kept(), Kept()], bifront.function(step)
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            x = torch.tensor([float(call * 2 % 3), call % 2, 2.0])
            try:
                result = plain(run(side, x))
            except Exception as error:
                result = (type(error), str(error))
            outcomes.append([result, side.state()])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert stats["graphs"] <= graphs, bifront.explain(converted)
    return converted


def arrays(kept: Kept, x: Tensor) -> Any:
    which = int(x[0].item())
    kept.arrays[which][0] += 1
    return x * float(kept.arrays[which].sum())


def from_the_end(kept: Kept, x: Tensor) -> Any:
    which = int(x[0].item()) - 3
    kept.arrays[which][1] += which
    return x + float(kept.arrays[which][1])


def attributes(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    target.found[int(x[1].item())] += 1
    target.boxes[1] = (float(x[1].item()), 2.0)
    return x * float(target.found.sum()) * target.size


def in_a_loop(kept: Kept, x: Tensor) -> Any:
    made = [Target(), Target(), Target()]
    for kind in x.tolist():
        target = made[int(kind)]
        if target.found[1]:
            target.boxes[0, 0] += 1
            continue
        target.found[1] = kind + 1
    total = torch.zeros(())
    for one in made:
        total = total + torch.from_numpy(one.found).sum() + float(one.boxes.sum())
    return total


def one_array_by_two_names(kept: Kept, x: Tensor) -> Any:
    a = np.zeros(2)
    both = [a, a, np.ones(2)]
    both[int(x[1].item())][0] = 7
    return x * float(a[0]) + float(both[0][0] + both[2][0])


def written_behind_the_choice(kept: Kept, x: Tensor) -> Any:
    """The attribute is read when it is read, not when the object is chosen."""
    target = kept.targets[int(x[0].item())]
    fresh = [np.full(3, float(n)) for n in range(3)]
    for one, array in zip(kept.targets, fresh, strict=True):
        one.found = array
    return x + float(target.found[0])


ONE_GRAPH = [
    arrays,
    from_the_end,
    attributes,
    in_a_loop,
    one_array_by_two_names,
    written_behind_the_choice,
]


@pytest.mark.parametrize("step", ONE_GRAPH)
def test_any_item_is_of_one_graph(step: Step) -> None:
    check(step)


def method(kept: Kept, x: Tensor) -> Any:
    return x * kept.targets[int(x[0].item())].total()


def stays(kept: Kept, x: Tensor) -> Any:
    kept.current = kept.targets[int(x[0].item())]
    return x


def appended(kept: Kept, x: Tensor) -> Any:
    kept.seen.append(kept.targets[int(x[0].item())])
    return x + len(kept.seen)


def returned(kept: Kept, x: Tensor) -> Any:
    return [kept.targets[int(x[0].item())].name, (x,)]


def identity(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    others = [target is one for one in kept.targets]
    return x, others, target in kept.targets, target == kept.targets[0], bool(target)


def class_of_it(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    return x, isinstance(target, Target), type(target).__name__, hasattr(target, "found")


def attribute_set(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    target.found = target.found + 1
    target.name += "!"
    return x


def in_a_container(kept: Kept, x: Tensor) -> Any:
    pair = {"one": [kept.targets[int(x[0].item())]]}
    return x * float(pair["one"][0].found.sum() + 1)


def of_two_choices(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())] if x[1] > 0 else kept.targets[0]
    target.found[0] += 1
    return x


def vars_of_it(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    return x, sorted(vars(target)), callable(target)


def sorted_with_others(kept: Kept, x: Tensor) -> Any:
    target = kept.targets[int(x[0].item())]
    first = sorted([target, kept.targets[0]], key=lambda one: one.size)[0]
    return x + first.size, {target: 1}[target]


def out_of_range(kept: Kept, x: Tensor) -> Any:
    array = kept.arrays[int(x[0].item() * 2)]
    target = kept.targets[int(x[0].item() * 2)]
    return x + target.size, float(array[0])


@pytest.mark.parametrize(
    "step",
    [
        method,
        stays,
        appended,
        returned,
        identity,
        class_of_it,
        attribute_set,
        in_a_container,
        of_two_choices,
        vars_of_it,
        sorted_with_others,
        out_of_range,
    ],
)
def test_other_uses_are_as_in_cpython(step: Step) -> None:
    check(step, graphs=8, fallbacks=CALLS)


def test_a_list_that_grows_from_call_to_call() -> None:
    """By a number from its end another item is chosen then."""
    kept = [np.zeros(2), np.ones(2)], [Target(2), Target(3)]

    def step(x: Tensor) -> Any:
        arrays, targets = kept
        return x * float(arrays[-1 - int(x[0].item())].sum()), targets[-1 - int(x[0].item())].size

    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.tensor([float(call % 2), 1.0])
        assert_same_value(converted(x), step(x), f"call {call}")
        if call % 3 == 2:
            kept[0].append(np.full(2, 10.0 + call))
            kept[1].append(Target(10 + call))


def test_returned_itself() -> None:
    kept = Kept()

    def step(x: Tensor) -> Any:
        return kept.targets[int(x[0].item())], x * 2

    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.tensor([float(call % 3), 1.0])
        assert converted(x)[0] is kept.targets[call % 3]


def test_objects_of_several_classes() -> None:
    """And with attributes that only some have."""

    class Other(Target):
        pass

    def step(kept: Kept, x: Tensor) -> Any:
        mixed = [Target(), Other(4), Target()]
        mixed[2].extra = np.ones(1)  # type: ignore[attr-defined]
        which = int(x[0].item())
        mixed[which].found[0] = 1
        return x * float(mixed[0].found[0] + 2 * mixed[1].found[0]), getattr(mixed[2], "extra")[0]

    check(step, graphs=8, fallbacks=CALLS)


def test_experts_are_called() -> None:
    """Modules are called, which is another use."""
    torch.manual_seed(0)
    experts = [nn.Linear(3, 3) for _ in range(3)]

    def step(x: Tensor) -> Tensor:
        y: Tensor = experts[int(x[0].item())](x)
        return y.detach()

    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.tensor([float(call % 3), 1.0, 2.0])
        torch.testing.assert_close(converted(x), step(x))


FAILING = """
import bifront, numpy as np, torch
from tests.failing_on_purpose import fail_each

class Target:
    def __init__(self):
        self.found = np.zeros(3)

class Kept:
    def __init__(self):
        self.targets = [Target(), Target(), Target()]
        self.arrays = (np.zeros(2), np.ones(2))
        self.calls = 0

def step(kept, x):
    kept.calls += 1
    for number, kind in enumerate(x.tolist()):
        target = kept.targets[int(kind)]
        if target.found[2]:
            target.found[0] += 1
            continue
        target.found[number % 3] += kind
    kept.arrays[int(x[1].item())][1] += 1
    return x * float(kept.targets[1].found.sum())

converted = bifront.function(step)
sides = Kept(), Kept()
x = torch.tensor([0.0, 1.0, 2.0, 1.0])

def run(f, kept):
    result = f(kept, x)
    return result.tolist(), kept.calls, [t.found.tolist() for t in kept.targets], [
        a.tolist() for a in kept.arrays]

for _ in range(4):
    assert run(converted, sides[1]) == run(step, sides[0])
assert converted.stats["graph_calls"] > 0, bifront.explain(converted)
print(fail_each(lambda: run(step, sides[0]), lambda: run(converted, sides[1])))
"""


def test_whatever_fails_the_chosen_are_as_in_eager(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, FAILING)) > 10
