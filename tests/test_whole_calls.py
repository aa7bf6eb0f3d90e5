"""Opaque calls of Python functions, with containers that each run makes for them and returns.

docs/decisions/036 says which.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import bifront
import pytest
import torch
from bifront import _walked
from torch import Tensor

from tests.failing_on_purpose import run_program
from tests.same_function import assert_same_value

CALLS = 8
WORDS = [f"w{number}" for number in range(50)]

Step = Callable[..., Any]


class Outside:
    """What a call reaches and changes of Python: one of it for each side."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self.best = ""
        self.calls = 0
        self.kept: list[Any] = []
        self.result: list[Any] = []

    def state(self) -> list[Any]:
        return [list(self.words.items()), self.best, self.calls, self.kept]

    def count(self, tokens: list[int]) -> None:
        """Each token decides what it does."""
        self.calls += 1
        for token in tokens:
            word = WORDS[token]
            self.words[word] = self.words.get(word, 0) + 1
        self.best = max(self.words, key=lambda word: (self.words[word], word))

    def spoil(self, tokens: list[int]) -> None:
        """And changes what it is given, and keeps it."""
        self.count(tokens)
        tokens.reverse()
        tokens.append(-1)
        self.kept.append(tokens)

    def count_or_raise(self, tokens: list[int]) -> None:
        self.count(tokens)
        if self.calls % 3 == 0:
            raise ValueError(f"at call {self.calls}")


def tokens_of(call: int) -> Tensor:
    return torch.randint(0, 50, (24 + call % 3,))


def check(
    make: Callable[[Outside], Step],
    *,
    argument: Callable[[int], Any] = tokens_of,
    fallbacks: int = 1,
    opaque: tuple[int, int] = (1, 1),
    graphs: int = 1,
) -> Any:
    """Run the step eager and converted; compare results, exceptions and what is outside."""
    sides = [Outside(), Outside()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            random.seed(call)
            torch.manual_seed(call)
            x = argument(call)
            try:
                result = run(x)
            except Exception as error:
                result = (type(error), str(error))
            outcomes.append([result, x, side.state(), random.random(), torch.rand(1)])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert 1 <= stats["graphs"] <= graphs, bifront.explain(converted)
    assert opaque[0] <= stats["opaque_calls"] <= opaque[1], bifront.explain(converted)
    return converted


# ===- Calls that could be walked to as many paths as there are calls -----------------------===


def test_a_call_that_many_numbers_decide() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            outside.count(x.tolist())
            return x * 2

        return step

    check(make, opaque=(1, 2))


def test_it_changes_the_list_that_it_is_given_and_keeps_it() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            outside.spoil(x.tolist())
            return x * 2

        return step

    check(make, opaque=(1, 2))


def test_it_raises() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> tuple[Tensor, str]:
            try:
                outside.count_or_raise(x.tolist())
            except ValueError as error:
                return x * 3, str(error)
            return x * 2, ""

        return step

    check(make, opaque=(0, 2), fallbacks=CALLS)


def test_nobody_catches_what_it_raises() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            outside.count_or_raise(x.tolist())
            return x * 2

        return step

    check(make, opaque=(1, 2), fallbacks=4)


def test_a_branch_fails_behind_it() -> None:
    """The call is made once: CPython takes what it returned from the log."""

    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            outside.count(x.tolist())
            y = x * 2
            if int(y.sum()) % 2 == 0 and len(y) > 24:
                y = y[:-1] + y[1:]
            return y

        return step

    check(make, opaque=(0, 2), fallbacks=CALLS, graphs=8)


def test_its_list_is_made_where_the_program_makes_it() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            x = x.clone()
            outside.count(x.tolist())
            x.add_(1).remainder_(50)
            outside.count(x.tolist())
            return x

        return step

    check(make, opaque=(2, 4), fallbacks=2)


def test_an_argument_behind_it_writes_the_tensor() -> None:
    def make(outside: Outside) -> Step:
        def count(tokens: list[int], number: int) -> None:
            outside.count([*tokens, number % 50])

        def step(x: Tensor) -> Tensor:
            y = x.clone()
            count(y.tolist(), int(y.mul_(0).add_(7).sum()))
            return y

        return step

    check(make, opaque=(1, 3), fallbacks=2)


def test_rows_of_a_loop() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Tensor:
            for row in range(x.shape[0]):
                outside.count(x[row].tolist())
            return x.sum(dim=1)

        return step

    check(
        make,
        argument=lambda call: torch.randint(0, 50, (2 + call % 3, 20 + call % 2)),
        opaque=(0, 4),
        fallbacks=CALLS,
        graphs=8,
    )


def test_numbers_and_a_tuple_beside_the_list() -> None:
    def make(outside: Outside) -> Step:
        def answer(tokens: list[int], start: int, span: tuple[int, int]) -> float:
            said = " ".join(WORDS[token] for token in tokens[start:])
            truth = " ".join(WORDS[token] for token in tokens[span[0] : span[1] + 1])
            outside.count([token for token in tokens if WORDS[token] in said])
            return float(said == truth)

        def step(x: Tensor) -> tuple[Tensor, float]:
            start = int(x.argmin())
            score = answer(x.tolist(), start, (int(x[0]) % 5, int(x[1]) % 20))
            return x * score, score

        return step

    check(make, opaque=(1, 4), fallbacks=2)


def test_what_has_a_tolist_of_its_own() -> None:
    class Items:
        def __init__(self, items: list[int]) -> None:
            self.items = items

        def tolist(self) -> list[int]:
            return [item + 1 for item in self.items]

    def make(outside: Outside) -> Step:
        items = Items([1, 2, 3])

        def count(tokens: list[int], others: list[int]) -> None:
            outside.count([*tokens, *others])

        def step(x: Tensor) -> Tensor:
            count(x.tolist(), items.tolist())
            return x * 2

        return step

    check(make, opaque=(1, 3), fallbacks=2)


def test_what_reaches_tensors_stays_walked() -> None:
    """It may do something to them that the graph would not see."""

    def make(outside: Outside) -> Step:
        table = torch.arange(50.0)

        def add(tokens: list[int]) -> None:
            for token in tokens:
                table[token] += 1

        def step(x: Tensor) -> Tensor:
            add(x.tolist())
            return table.clone()

        return step

    check(make, opaque=(0, 0), fallbacks=CALLS, graphs=8)


def test_what_it_changes_is_read_behind_it() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> tuple[Tensor, int, str]:
            outside.count(x.tolist())
            return x * outside.calls, outside.calls, outside.best

        return step

    check(make, opaque=(0, 12), fallbacks=CALLS, graphs=8)


# ===- Containers that it is given ----------------------------------------------------------===


def numbers(call: int) -> Tensor:
    return torch.randn(4)


def test_a_dict_that_is_made_for_it() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> tuple[Tensor, str]:
            total = x.sum().item()
            text = json.dumps({"b": total, "a": [1, {"n": x.max().item()}], "c": None})
            return x * 2, text

        return step

    check(make, argument=numbers, opaque=(1, 4))


class Kept:
    def __init__(self) -> None:
        self.records: list[Any] = []

    def keep(self, record: dict[str, Any]) -> int:
        """What C does here is not known."""
        lines = json.loads(json.dumps(list(record)))
        record["lines"] = lines
        self.records.append(record)
        return len(self.records)


def test_the_call_changes_the_dict_and_keeps_it() -> None:
    sides = [Kept(), Kept()]

    def make(kept: Kept) -> Step:
        def step(x: Tensor) -> tuple[Tensor, int]:
            number = kept.keep({"sum": x.sum().item(), "row": [1, 2]})
            return x * number, number

        return step

    eager, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4)
        assert_same_value(converted(x), eager(x), f"call {call}")
        assert_same_value(sides[1].records, sides[0].records, f"call {call}")
    assert converted.stats["graph_calls"] >= CALLS - 2, bifront.explain(converted)
    assert len({id(record) for record in sides[1].records}) == CALLS


def test_a_dict_that_the_program_keeps_is_refused() -> None:
    sides = [Kept(), Kept()]

    def make(kept: Kept) -> Step:
        def step(x: Tensor) -> tuple[Tensor, dict[str, Any]]:
            record = {"sum": x.sum().item()}
            kept.keep(record)
            return x * 2, record

        return step

    eager, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4)
        result = converted(x)
        assert_same_value(result, eager(x), f"call {call}")
        assert_same_value(sides[1].records, sides[0].records, f"call {call}")
        assert sides[1].records[-1] is result[1]


# ===- Containers that it returns -----------------------------------------------------------===


def test_items_of_a_dict_that_it_returns() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            text = json.dumps({"n": x.sum().item(), "rows": [1.5, 2.5], "name": "x"})
            found = json.loads(text)
            return x * found["n"], found["rows"][1], found["name"], len(found), len(found["rows"])

        return step

    check(make, argument=numbers, opaque=(1, 12))


def test_a_list_that_it_returns_is_gone_through() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            total = x.sum()
            for value in json.loads(json.dumps([1.5, x.max().item(), 3.5])):
                total = total + value
            return total

        return step

    check(make, argument=numbers, opaque=(1, 12))


def test_a_list_of_another_length_at_each_call() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            text = "[" + ", ".join(["1.5"] * len(x)) + "]"
            found = json.loads(text)
            return x * len(found), found[-1]

        return step

    check(
        make,
        argument=lambda call: torch.randn(2 + call % 4),
        opaque=(0, 12),
        fallbacks=CALLS,
        graphs=8,
    )


def test_a_key_that_only_some_calls_return() -> None:
    def step(x: Tensor, number: int) -> Any:
        found = json.loads('{"a": 1}' if number % 2 else '{"b": 2}')
        return x * 2, found["a"] if "a" in found else found["b"]

    converted = bifront.function(step)
    for call in range(CALLS):
        x = numbers(call)
        assert_same_value(converted(x, call), step(x, call), f"call {call}")


def test_a_value_of_another_type_at_each_call() -> None:
    texts = ['{"a": 1}', '{"a": 2.5}', '{"a": "text"}', '{"a": null}', '{"b": 1}', "[3]"]

    def make(outside: Outside) -> Step:
        def step(x: Tensor, text: str) -> Any:
            try:
                found = json.loads(text)["a"]
            except (KeyError, TypeError) as error:
                return x * 2, repr(error)
            return x * 3, found

        return step

    eager, converted = make(Outside()), bifront.function(make(Outside()))
    for call in range(3 * len(texts)):
        torch.manual_seed(call)
        x, text = torch.randn(4), texts[call % len(texts)]
        assert_same_value(converted(x, text), eager(x, text), text)


class Cache:
    """Its call returns what it goes on changing."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {"n": 0, "rows": []}

    def look(self, value: float) -> dict[str, Any]:
        lines = json.loads(json.dumps([value]))
        self.found["n"] += 1
        self.found["rows"].append(lines)
        return self.found


def test_what_it_returns_is_somebody_else_s() -> None:
    def make() -> Step:
        cache = Cache()

        def step(x: Tensor) -> Any:
            first = cache.look(x.sum().item())
            before = first["n"]
            second = cache.look(x.max().item())
            return x * first["n"], before, second is first, len(second["rows"])

        return step

    eager, converted = make(), bifront.function(make())
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4)
        assert_same_value(converted(x), eager(x), f"call {call}")


def test_what_it_returns_is_somebody_else_s_at_first() -> None:
    """As an environment that looks at what its first step returns: a later result is the sample."""

    def make(outside: Outside) -> Step:
        def look(found: dict[str, float]) -> dict[str, float]:
            outside.calls += 1
            if outside.calls in (1, 4, 7):
                outside.kept.append(found)
            return found

        def step(x: Tensor) -> Any:
            total = x * 0
            for k in range(3):
                found = json.loads(json.dumps({"n": x.sum().item() + k}), object_hook=look)
                total = total + x * found["n"]
            return total

        return step

    check(make, argument=lambda call: torch.randn(4), fallbacks=2, opaque=(3, 3))


def test_the_program_changes_what_it_returns() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            found = json.loads(json.dumps({"n": x.sum().item(), "rows": [1]}))
            found["rows"].append(2)
            found["m"] = len(found["rows"])
            return x * found["m"], found

        return step

    eager, converted = make(Outside()), bifront.function(make(Outside()))
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4)
        assert_same_value(converted(x), eager(x), f"call {call}")


def test_what_it_returns_is_returned_and_kept() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            found = json.loads(json.dumps({"n": x.sum().item(), "rows": [1]}))
            outside.result = [found]
            return x * 2, found

        return step

    sides = [Outside(), Outside()]
    eager, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        torch.manual_seed(call)
        x = torch.randn(4)
        result = converted(x)
        assert_same_value(result, eager(x), f"call {call}")
        assert sides[1].result[0] is result[1]
        result[1]["rows"].append(call)  # it is the program's own


PROGRAM = """
import bifront, json, torch
from tests.failing_on_purpose import fail_each

words = {}
calls = 0

def count(tokens, record):
    global calls
    calls += 1
    lines = json.loads(json.dumps(record))
    for token in tokens:
        words["w%d" % token] = words.get("w%d" % token, 0) + 1
    tokens.clear()
    return {"calls": calls, "of": [lines["sum"]]}

def run(step, x):
    global calls
    calls = 0
    words.clear()
    return step(x).tolist(), dict(words), calls

def step(x):
    found = count(x.tolist(), {"sum": x.sum().item()})
    y = x * found["calls"] + found["of"][0]
    again = count(y.tolist(), {"sum": 1.5})
    return y + again["calls"]

converted = bifront.function(step)
x = torch.arange(6)
for _ in range(6):
    expected = run(step, x)
    assert run(converted, x) == expected
assert converted.stats["graph_calls"] >= 1, bifront.explain(converted)
print(fail_each(lambda: run(step, x), lambda: run(converted, x)))
"""


def test_whatever_fails_the_calls_are_made_once(tmp_path: Path) -> None:
    assert int(run_program(tmp_path, PROGRAM)) >= 5


# ===- Heaps ---------------------------------------------------------------------------------===


class Number:
    """Notes each comparison; one of them may fail."""

    compared: ClassVar[list[tuple[int, int]]] = []
    fails_at = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Number) -> bool:
        Number.compared.append((self.value, other.value))
        if len(Number.compared) == Number.fails_at:
            raise ValueError("these cannot be compared")
        return self.value < other.value


@pytest.mark.parametrize(
    "name", [name for name in dir(heapq) if "heap" in name and name in dir(_walked)]
)
def test_heaps_are_what_c_makes_of_them(name: str) -> None:
    draws = random.Random(7)
    c, walked = getattr(heapq, name), getattr(_walked, name)
    takes_item = "push" in name or "replace" in name
    for _ in range(2000):
        values = [draws.randrange(6) for _ in range(draws.randrange(12))]
        more = [draws.randrange(6)] if takes_item else []
        fails_at = draws.choice([0, 0, 0, 1, 2, 3])
        outcomes = []
        for function in (c, walked):
            Number.compared, Number.fails_at = [], fails_at
            heap = [Number(value) for value in values]
            try:
                result = function(heap, *map(Number, more))
                outcome: Any = result.value if isinstance(result, Number) else result
            except (IndexError, ValueError) as error:
                outcome = type(error), str(error)
            outcomes.append((outcome, [number.value for number in heap], Number.compared))
        assert outcomes[0] == outcomes[1], (name, values, more)


def test_a_heap_of_the_call_is_walked() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            heap = [3.5, 1.5]
            heapq.heapify(heap)
            heapq.heappush(heap, 2.5)
            first = heapq.heapreplace(heap, 0.5)
            try:
                heapq.heappop([])
            except IndexError as error:
                said = str(error)
            return x * heapq.heappop(heap), first, heap, said, heapq.nsmallest(2, [3, 1, 2])

        return step

    check(make, argument=numbers, opaque=(0, 0), fallbacks=0)


def test_a_heap_of_tensors_that_the_run_compares() -> None:
    def make(outside: Outside) -> Step:
        def step(x: Tensor) -> Any:
            heap: list[Any] = []
            for i, value in enumerate(x.tolist()):
                heapq.heappush(heap, (value, i))
            return x * heap[0][0], heap[0][1]

        return step

    check(
        make,
        argument=lambda call: torch.randn(3),
        opaque=(0, 0),
        fallbacks=CALLS,
        graphs=8,
    )
