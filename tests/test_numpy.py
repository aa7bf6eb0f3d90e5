"""What a program does with numpy beside its tensors: opaque calls in the graph."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import numpy as np
import pytest
import torch
from torch import Tensor, nn

CALLS = 6


def same(actual: Any, expected: Any, where: str) -> None:
    assert type(actual) is type(expected), f"{where}: {type(actual)}, not {type(expected)}"
    if isinstance(expected, Tensor):
        torch.testing.assert_close(actual, expected)
        assert actual.is_contiguous() == expected.is_contiguous()
    elif isinstance(expected, np.ndarray | np.generic):
        assert actual.dtype == expected.dtype and actual.shape == expected.shape, where
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), where
        for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
            same(a, e, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-6), where
    else:
        assert actual == expected, where


def check(
    make: Callable[[], Callable[..., Any]],
    *,
    argument: Callable[[int], Any] = lambda call: torch.randn(4),
    fallbacks: int = 0,
    graphs: int = 1,
) -> Any:
    """Run a step of each side's own, eager and converted."""
    step, converted = make(), bifront.function(make())
    for call in range(CALLS):
        torch.manual_seed(call)
        x = argument(call)
        mine = x.clone()
        same(converted(mine), step(x), f"call {call}")
        same(mine, x, f"call {call}: argument")
    stats = converted.stats
    assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
    assert stats["graphs"] <= graphs and stats["opaque_calls"] >= 1, bifront.explain(converted)
    return converted


def weights() -> np.ndarray:
    return np.array([0.5, 1.5, 2.5, 3.5], dtype=np.float32)


STEPS: dict[str, Callable[[], Callable[..., Any]]] = {
    "there and back": lambda: lambda x: torch.from_numpy(x.numpy() * 2) + x,
    "statistics": lambda: lambda x: x * float(np.percentile(x.numpy(), 75)),
    "array is returned": lambda: lambda x: x.numpy() + 1,
    "scalar is returned": lambda: lambda x: (x.numpy().sum(), x.numpy().mean(dtype=np.float64)),
    "item": lambda: lambda x: x * x.numpy()[1].item(),
    "length": lambda: lambda x: x * len(x.numpy()),
    "dtype": lambda: lambda x: torch.from_numpy(x.numpy().astype(np.float64)) * 2,
    "comparison": lambda: lambda x: (x.numpy() > 0).sum(),
    "scalar beside a tensor": lambda: lambda x: x * np.exp(x.numpy().max().astype(np.float64)),
    "tensor of an array": lambda: lambda x: torch.tensor(np.sqrt(np.abs(x.numpy()))) + x,
    "of what is computed": lambda: lambda x: (x * 2).sum(dim=0, keepdim=True).numpy() * 3,
    "what is written before": lambda: lambda x: x.clone().add_(1).numpy() - 1,
    "power": lambda: lambda x: 2 ** -x.numpy(),
    "argmax": lambda: lambda x: (x, int(x.numpy().argmax())),
    "from outside": lambda w=weights(): lambda x: x * float(w[1]),
    "two arrays": lambda w=weights(): lambda x: torch.from_numpy(np.maximum(w, x.numpy())),
    "stack": lambda w=weights(): lambda x: torch.from_numpy(np.stack([w, x.numpy()])),
    "concatenate": lambda w=weights(): lambda x: np.concatenate((w, x.numpy() * 2, w[1:])),
    "array of numbers": lambda: lambda x: np.array([x.sum().item(), 2, x[0].item()]) * 3,
    "array of a tuple": lambda: lambda x: np.array((x[0].item(), 1.0), dtype=np.float32),
    "zeros": lambda: lambda x: torch.from_numpy(np.zeros((4,), dtype=np.float32)) + x,
    "nested": lambda: lambda x: np.array([[x[0].item(), 1.0], [2.0, x[1].item()]]).sum(),
    "index arrays": lambda w=weights(): lambda x: w[[0, 2]] + w[(x.numpy() > 9)].sum(),
    "where": lambda w=weights(): lambda x: np.where(x.numpy() > 0, w, -w),
}


@pytest.mark.parametrize("name", STEPS)
def test_step(name: str) -> None:
    check(STEPS[name])


def test_an_array_from_outside_is_read_in_each_run() -> None:
    arrays = [weights(), weights()]

    def make(w: np.ndarray) -> Callable[..., Any]:
        return lambda x: (x * float(w[1]), w.sum(), w[2])

    steps = [make(w) for w in arrays]
    converted = bifront.function(steps[1])
    for call in range(CALLS):
        x = torch.randn(3)
        same(converted(x), steps[0](x), f"call {call}")
        for w in arrays:
            w += call
    assert converted.stats["fallback_calls"] == 0, bifront.explain(converted)


def test_a_statistic_decides() -> None:
    def make() -> Callable[..., Any]:
        def step(x: Tensor) -> Tensor:
            spread = np.percentile(x.numpy(), 75)
            return x * 2 if spread > 0.5 else x

        return step

    check(make, fallbacks=2)


def test_a_schedule_of_numpy() -> None:
    class Schedule:
        def __init__(self) -> None:
            self.values = np.linspace(1.0, 0.5, 4)
            self.done = 0
            self.keep: Any = 1.0

        def step(self) -> None:
            if self.done < len(self.values):
                self.keep = self.values[self.done]
            self.done += 1

    schedules: list[Schedule] = []

    def make() -> Callable[..., Any]:
        schedule = Schedule()
        schedules.append(schedule)

        def step(x: Tensor) -> Tensor:
            schedule.step()
            return torch.where(x < 1 - schedule.keep, x, x * 2)

        return step

    check(make, graphs=5)  # the attribute holds another object at each call
    one, other = schedules
    same([one.keep, one.done], [other.keep, other.done], "schedule")


def test_predictions_are_counted_while_a_model_trains() -> None:
    def make() -> Callable[..., Any]:
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def step(x: Tensor) -> tuple[Any, ...]:
            optimizer.zero_grad()
            logits = model(x)
            predicted = logits.detach().numpy().argmax()
            loss = nn.functional.cross_entropy(logits[None], torch.tensor([1]))
            loss.backward()
            optimizer.step()
            return (
                loss.detach(),
                int(predicted == 1),
                [p.detach().clone() for p in model.parameters()],
            )

        return step

    check(make)


def in_cpython(make: Callable[[], Callable[..., Any]]) -> None:
    step, converted = make(), bifront.function(make())
    for call in range(3):
        x = torch.arange(4.0) + call
        mine = x.clone()
        same(converted(mine), step(x), f"call {call}")
        same(mine, x, f"call {call}: argument")
    assert converted.stats["graph_calls"] == 0, bifront.explain(converted)


def test_an_array_in_the_memory_of_a_tensor_is_not_copied() -> None:
    """It would be another one than in eager."""
    in_cpython(lambda: lambda x: x.numpy())
    in_cpython(lambda: lambda x: x.numpy()[1:].reshape(3))
    in_cpython(lambda: lambda x: torch.from_numpy(x.numpy()[1:]))

    def writes() -> Callable[..., Any]:
        def step(x: Tensor) -> Tensor:
            x.numpy()[0] = 7.0
            return x.sum()

        return step

    def is_written() -> Callable[..., Any]:
        def step(x: Tensor) -> Any:
            y = x * 2
            array = y.numpy()
            y.add_(1)
            return array * 2

        return step

    def in_place() -> Callable[..., Any]:
        def step(x: Tensor) -> Any:
            array = x.numpy()
            array += 1
            return x.sum()

        return step

    for make in (writes, is_written, in_place):
        in_cpython(make)


def test_a_tensor_from_outside_that_is_written_may_be_an_array_too() -> None:
    def make() -> Callable[..., Any]:
        array = weights()
        state = torch.from_numpy(array)

        def step(x: Tensor) -> Any:
            state.add_(x)
            return x * float(array[0])

        return step

    in_cpython(make)


def test_functions_that_call_back_are_left_to_cpython() -> None:
    twice = np.frompyfunc(lambda value: value * 2, 1, 1)
    in_cpython(lambda: lambda x: twice(x.numpy()).sum())
    in_cpython(lambda: lambda x: np.apply_along_axis(sum, 0, x.numpy()))
    objects = np.array([[1], [2]], dtype=object)
    in_cpython(lambda: lambda x: (x, objects[0].size))


def test_an_array_of_a_tensor_that_requires_grad() -> None:
    weight = torch.ones(3, requires_grad=True)

    def step(x: Tensor) -> Any:
        return (x * weight).numpy()

    converted = bifront.function(step)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="requires grad"):
            converted(torch.ones(3))


def test_what_numpy_raises() -> None:
    def step(x: Tensor, n: int) -> Any:
        return x * float(x.numpy()[n])

    converted = bifront.function(step)
    for n in (0, 1, 2, 1, 5, 0, 7):
        x = torch.randn(3)
        if n < 3:
            torch.testing.assert_close(converted(x, n), step(x, n))
        else:
            with pytest.raises(IndexError, match="out of bounds"):
                converted(x, n)


def test_a_slice_up_to_a_number_of_the_graph() -> None:
    check(
        lambda: lambda x: x.numpy()[: int(x[0].item()) + 1].sum(),
        argument=lambda call: torch.full((4,), float(call % 3)),
        graphs=1,
    )


def test_one_path_returns_an_array() -> None:
    def make() -> Callable[..., Any]:
        def step(x: Tensor) -> Any:
            kind = ("array", "tensor")[int(x[0].item())]
            return x.numpy() * 2 if kind == "array" else x * 2

        return step

    check(make, argument=lambda call: torch.full((4,), float(call % 2)), fallbacks=2)


def test_lists_that_hold_themselves() -> None:
    knot: list[Any] = []
    knot.append(knot)

    def step(x: Tensor) -> Any:
        return x * len(knot), x.numpy().sum() * isinstance(knot, list)

    check(lambda: step)


def test_a_list_that_grows_between_calls() -> None:
    def make() -> Callable[..., Any]:
        rows = [weights()]

        def step(x: Tensor) -> Any:
            total = np.stack(rows).sum()
            rows.append(weights())
            return x * float(total)

        return step

    check(make, graphs=5)


def test_one_of_two_arrays() -> None:
    def make() -> Callable[..., Any]:
        def step(x: Tensor) -> Any:
            y = x * 2
            array = y.numpy() if x.sum() > 0 else x.numpy()
            y.add_(1)
            return array * 2

        return step

    step, converted = make(), bifront.function(make())
    for call in range(CALLS):
        x = torch.randn(4) + (-1) ** call
        same(converted(x), step(x), f"call {call}")


def test_a_scalar_from_outside_beside_a_number_of_the_graph() -> None:
    scale = np.float64(0.5)
    check(lambda: lambda x: (x.sum().item() * scale, scale - x.sum().item(), x))


def test_a_result_lies_in_the_memory_of_an_array_that_is_a_result() -> None:
    def step(x: Tensor) -> Any:
        array = x.numpy() * 2
        return array, torch.from_numpy(array), array[1:]

    converted = bifront.function(step)
    for _ in range(3):
        array, tensor, part = converted(torch.ones(3))
        array[1] = 7
        assert tensor.tolist() == [2, 7, 2] and part.tolist() == [7, 2]
    assert converted.stats["graph_calls"] == 2, bifront.explain(converted)


def test_a_tensor_in_the_memory_of_an_array_is_written() -> None:
    def make() -> Callable[..., Any]:
        array = weights()

        def step(x: Tensor) -> Any:
            torch.from_numpy(array).add_(x)
            return array.sum()

        return step

    in_cpython(make)


def test_warnings_of_numpy_are_seen_once_for_each_call() -> None:
    converted = bifront.function(lambda x: np.log(x.numpy()).sum())
    for _ in range(4):
        with pytest.warns(RuntimeWarning, match="invalid value") as warned:
            converted(torch.tensor([-1.0, 2.0]))
        assert len(warned) == 1


@pytest.mark.parametrize("kind", ["function", "method", "object", "partial"])
def test_a_function_that_is_put_into_numpys_place(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It is the program's, whatever it is called: what it does besides is done once a call."""
    seen: list[int] = []

    def mean(array: Any) -> float:
        seen.append(len(array))
        return 2.0

    class Mean:
        def __call__(self, array: Any) -> float:
            return mean(array)

    put = {
        "function": mean,
        "method": Mean().__call__,
        "object": Mean(),
        "partial": functools.partial(mean),
    }
    monkeypatch.setattr(np, "mean", put[kind])
    weights = np.arange(3.0)

    def step(x: Tensor) -> Tensor:
        return x * np.mean(weights)

    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.full((3,), float(call))
        same(converted(x), x * 2.0, f"call {call}")
        assert len(seen) == call + 1


def test_each_number_of_the_run_is_tried_out_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples of floats and bools are their own: another one's would be out of range here."""
    most = 60
    lines = [
        "import numpy as np",
        f"tables = [np.arange(n + 1.0) for n in range({most + 1})]",
        "def step(x):",
        f"    value, found = x[0].item() + {most + 1}.5, 0.0",
    ]
    for n in range(most, -1, -1):
        lines += [
            "    value = value - 1.0",
            "    is_large = value > 3.0",
            f"    found = found + float(tables[{n}][int(value)])",
            "    found = found + float(np.where(is_large, 1.0, 2.0))",
        ]
    (tmp_path / "many_numbers.py").write_text("\n".join([*lines, "    return x * found", ""]))
    monkeypatch.syspath_prepend(str(tmp_path))
    step = importlib.import_module("many_numbers").step
    converted = bifront.function(step)
    for call in range(CALLS):
        x = torch.full((3,), call / 20, dtype=torch.float64)
        same(converted(x), step(x), f"call {call}")
    assert converted.stats["graph_calls"] == CALLS - 1
