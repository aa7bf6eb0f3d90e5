"""Training steps in eager PyTorch and converted, side by side: all that a call leaves behind."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import bifront
import torch
from torch import Tensor, nn

from programs.program import default_double

CALLS = 12
RELATIVE, ABSOLUTE = 1e-9, 1e-11


class Weights(nn.Module):
    """What a step trains; steps keep what they like on it."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4) * 0.4)
        self.v = nn.Parameter(torch.randn(4) * 0.4)
        self.u = nn.Parameter(torch.randn(4, 4) * 0.4)
        self.lin = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.3)
        self.log: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.lin(x)) * self.v


@dataclasses.dataclass
class Step:
    """`in_graph`: of its calls, so many at least run in a graph."""

    run: Callable[[Weights, Tensor, Any], Any]
    in_graph: int = CALLS // 2
    before: Callable[[Weights, int], object] = lambda m, n: None
    around: Callable[[int], contextlib.AbstractContextManager[Any]] = lambda n: (
        contextlib.nullcontext()
    )
    argument: Callable[[Tensor, int], Any] = lambda x, n: n
    backwards: int = 0  # through what the step returns, behind it


class Steps(dict[str, Step]):
    """By the names of the functions that `step` decorates, with the options of a Step."""

    def step(self, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(run: Callable[..., Any]) -> Callable[..., Any]:
            self[run.__name__] = Step(run, **options)
            return run

        return register


def zero(m: nn.Module) -> None:
    for parameter in m.parameters():
        parameter.grad = None


def rnn(m: Weights, x: Tensor) -> Tensor:
    h = torch.zeros(x.shape[1], 4)
    for row in x:
        h = torch.tanh(row @ m.w + h @ m.u + m.v)
    return h


def inputs(call: int) -> Tensor:
    torch.manual_seed(call)
    return torch.randn(3 + call % 3, 2 + (call // 4) % 2, 4) * (1 + call % 2)


class Side:
    def __init__(self, step: Step, converts: bool) -> None:
        torch.manual_seed(0)
        self.m, self.step = Weights(), step
        self.run: Any = bifront.function(step.run) if converts else step.run

    def call(self, n: int) -> dict[str, Any]:
        self.step.before(self.m, n)
        x = inputs(n)
        argument = self.step.argument(x, n)
        torch.manual_seed(100 + n)
        result, raised = None, None
        with self.step.around(n), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self._result(self.run(self.m, x, argument))
            except Exception as error:
                raised = (type(error), str(error).splitlines()[0])
        return {
            "result": result,
            "raised": raised,
            "random": torch.get_rng_state(),
            "x": x,
            "log": list(self.m.log),
            "parameters": {
                name: (p.detach().clone(), p.requires_grad, p.grad if p.grad is None else +p.grad)
                for name, p in self.m.named_parameters()
            },
            "hooks": len(self.m.w._backward_hooks or {}),
        }

    def _result(self, result: Any) -> Any:
        if not self.step.backwards:
            return result
        zero(self.m)
        total = result.pow(2).sum()
        for left in reversed(range(self.step.backwards)):
            total.backward(retain_graph=left > 0)
        return result.detach()


def differences(actual: Any, expected: Any, where: str) -> Iterator[str]:
    if type(actual) is not type(expected):
        yield f"{where}: {type(actual)}, not {type(expected)}"
    elif isinstance(expected, Tensor):
        if actual.requires_grad != expected.requires_grad:
            yield f"{where}: requires_grad is {actual.requires_grad}"
        if actual.shape != expected.shape:
            yield f"{where}: shape {actual.shape}, not {expected.shape}"
        elif not torch.allclose(actual, expected, RELATIVE, ABSOLUTE, equal_nan=True):
            yield f"{where}: differs by {(actual - expected).abs().max()}"
    elif isinstance(expected, dict):
        if actual.keys() != expected.keys():
            yield f"{where}: {list(actual)}, not {list(expected)}"
        for key in expected.keys() & actual.keys():
            yield from differences(actual[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            yield f"{where}: {len(actual)} items, not {len(expected)}"
        for i, (a, e) in enumerate(zip(actual, expected, strict=False)):
            yield from differences(a, e, f"{where}[{i}]")
    elif isinstance(expected, float):
        if not torch.allclose(torch.tensor(actual), torch.tensor(expected), RELATIVE, ABSOLUTE):
            yield f"{where}: {actual}, not {expected}"
    elif actual != expected:
        yield f"{where}: {actual}, not {expected}"


def assert_same_steps(step: Step) -> None:
    with default_double():
        eager, converted = Side(step, converts=False), Side(step, converts=True)
        for n in range(CALLS):
            expected, actual = eager.call(n), converted.call(n)
            found = list(differences(actual, expected, f"call {n}"))
            assert not found, f"{found}\n{bifront.explain(converted.run)}"
    in_graph = converted.run.stats["graph_calls"]
    assert in_graph >= step.in_graph, bifront.explain(converted.run)
