"""What a function reaches on its own: parameters, buffers, optimizer state, Python attributes."""

import copy
import random
from collections import OrderedDict, deque

import bifront
import numpy
import pytest
import torch
from torch import nn

from tests.same_function import assert_in_graph, assert_same_value

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd_decay": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd_loop": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=False),
    "sgd_foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam_amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adam_foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam_fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam_capturable": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01), foreach=False),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "rmsprop_centered": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "adamax": lambda p: torch.optim.Adamax(p),
    "nadam": lambda p: torch.optim.NAdam(p),
    "radam": lambda p: torch.optim.RAdam(p),
    "rprop": lambda p: torch.optim.Rprop(p),
    "asgd": lambda p: torch.optim.ASGD(p),
}
# Their Python code computes with a step count that is an ordinary number or branches on it.
BRANCHES_ON_THE_STEP = {"radam", "nadam", "asgd", "adamax"}


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    models = [make_model(), make_model()]
    optimizers = [OPTIMIZERS[name](list(model.parameters())) for model in models]

    def step(index, x):
        optimizers[index].zero_grad()
        loss = models[index](x).pow(2).mean()
        loss.backward()
        optimizers[index].step()
        return loss.detach()

    converted = bifront.trace(lambda x: step(1, x))
    for call in range(10):
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(call))
        assert_same_value(converted(x), step(0, x), f"loss {call}", 100)
    assert_same_value(models[1].state_dict(), models[0].state_dict(), "model", 300)
    expected, actual = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert_same_value(actual, expected, "optimizer state", 300)
    if name not in BRANCHES_ON_THE_STEP:
        assert_in_graph(converted)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none: bool) -> None:
    models = [make_model(), make_model()]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]

    def step(index, x):
        optimizers[index].zero_grad(set_to_none=set_to_none)
        models[index](x).pow(2).mean().backward()
        optimizers[index].step()

    converted = bifront.trace(lambda x: step(1, x), profile_calls=2)
    for call in range(6):
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(call))
        step(0, x)
        converted(x)
    assert_same_value(models[1].state_dict(), models[0].state_dict(), "model", 300)
    for actual, expected in zip(models[1].parameters(), models[0].parameters(), strict=True):
        assert_same_value(actual.grad, expected.grad, "grad", 300)


def test_gradient_accumulation_over_calls() -> None:
    """Two kinds of step: one that accumulates, one that updates."""
    models = [make_model(), make_model()]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]

    def accumulate(index, x):
        models[index](x).pow(2).mean().backward()

    def update(index):
        optimizers[index].step()
        optimizers[index].zero_grad()

    accumulate_converted = bifront.trace(lambda x: accumulate(1, x))
    update_converted = bifront.trace(lambda: update(1))
    for call in range(12):
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(call))
        accumulate(0, x)
        accumulate_converted(x)
        if call % 3 == 2:
            update(0)
            update_converted()
    assert_same_value(models[1].state_dict(), models[0].state_dict(), "model", 300)


def test_buffers_and_modes() -> None:
    models = [make_model(), make_model()]
    converted = bifront.trace(lambda x: models[1](x).detach())
    for call in range(9):
        for model in models:
            model.train(call % 4 != 3)
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(call))
        assert_same_value(converted(x), models[0](x).detach(), f"call {call}", 20)
    assert_same_value(models[1].state_dict(), models[0].state_dict(), "model", 20)


def test_parameters_are_replaced() -> None:
    """load_state_dict writes in place; a new Parameter object is another input."""
    model = make_model().eval()
    converted = bifront.trace(lambda x: model(x).detach())
    x = torch.randn(4, 6)
    for _ in range(3):
        converted(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert_same_value(converted(x), model(x).detach(), "after a write", 20)
    model.load_state_dict(make_model().state_dict())
    assert_same_value(converted(x), model(x).detach(), "after load_state_dict", 20)
    model[0].weight = nn.Parameter(torch.randn(8, 6))
    assert_same_value(converted(x), model(x).detach(), "after a new parameter", 20)
    model[0].weight.data = torch.randn(8, 6)
    assert_same_value(converted(x), model(x).detach(), "after new data", 20)


def test_a_converted_model_can_be_copied_and_saved() -> None:
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())

    @bifront.trace
    def step(x):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()

    for call in range(4):
        step(torch.randn(4, 6, generator=torch.Generator().manual_seed(call)))
    saved = copy.deepcopy(model.state_dict())
    step(torch.randn(4, 6))
    assert any(not torch.equal(saved[name], value) for name, value in model.state_dict().items())


def test_results_are_not_overwritten_by_later_calls() -> None:
    converted = bifront.trace(lambda x: (x * 2, (x * 3).view(-1)[1:]))
    kept = [converted(torch.full((2, 2), float(call))) for call in range(6)]
    for call, (double, triple) in enumerate(kept):
        assert torch.equal(double, torch.full((2, 2), 2.0 * call))
        assert torch.equal(triple, torch.full((3,), 3.0 * call))


def test_gradients_are_not_overwritten_by_later_calls() -> None:
    weight = torch.randn(3, requires_grad=True)

    @bifront.trace
    def step(x):
        weight.grad = None
        (weight * x).sum().backward()

    kept = []
    for call in range(5):
        step(torch.full((3,), float(call)))
        kept.append(weight.grad)
    for call, slope in enumerate(kept):
        assert torch.equal(slope, torch.full((3,), float(call)))


def test_keyword_arguments_and_nested_arguments() -> None:
    def fn(batch, *, scale, flags=()):
        return {"out": batch["x"] * scale + sum(flags), "pair": (batch["y"], [batch["x"]])}

    converted = bifront.trace(fn)
    for call in range(4):
        batch = {"x": torch.randn(3), "y": torch.randn(2)}
        expected = fn(batch, scale=2.0, flags=(1, 2))
        assert_same_value(converted(batch, scale=2.0, flags=(1, 2)), expected, f"call {call}")


def test_python_numbers_as_arguments() -> None:
    converted = bifront.trace(lambda x, k: x * k + k)
    for k in [2, 2, 2, 3, 0.5, True, -1]:
        x = torch.randn(3)
        assert_same_value(converted(x, k), x * k + k, f"k = {k}")


def test_methods_and_attributes_set_inside() -> None:
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

        def forward(self, x):
            self.seen += x.shape[0]
            return (self.weight * x).detach()

    module = Counter()
    converted = bifront.trace(module.forward)
    for call in range(5):
        converted(torch.randn(4, 3))
        assert module.seen.item() == 4 * (call + 1)


class Slotted:
    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count, self.last = 0, None


class Plain:
    def __init__(self) -> None:
        self.count = 0
        self.inner = [Slotted()]


def changes_an_attribute():
    state = Plain()

    def fn(x):
        state.count += 1
        return x * state.count

    return fn, lambda: state.count


def changes_a_slot_of_an_element():
    state = Plain()

    def fn(x):
        state.inner[0].count += 2
        return x * state.inner[0].count

    return fn, lambda: state.inner[0].count


def changes_a_list():
    state = []

    def fn(x):
        state.append(len(state))
        return x + len(state)

    return fn, lambda: state


def changes_a_set():
    state = set()

    def fn(x):
        state.add(len(state))
        return x + len(state)

    return fn, lambda: state


def changes_a_deque():
    state = deque(maxlen=3)

    def fn(x):
        state.append(len(state) + x.shape[0])
        return x + len(state)

    return fn, lambda: state


def changes_the_order_of_a_dict():
    state = OrderedDict(a=1, b=2, c=3)

    def fn(x):
        state.move_to_end(next(iter(state)))
        return x * next(iter(state.values()))

    return fn, lambda: list(state.items())


def changes_a_cell():
    count = 0

    def fn(x):
        nonlocal count
        count += 1
        return x * count

    return fn, lambda: count


def makes_a_global():
    namespace = {}
    source = "def fn(x):\n    global n\n    n = globals().get('n', 0) + 1\n    return x * n"
    exec(source, namespace)
    return namespace["fn"], lambda: namespace.get("n")


def makes_state_at_first_need():
    state = Plain()

    def fn(x):
        if not hasattr(state, "total"):
            state.total = torch.zeros(2)
        state.total = state.total + x
        return state.total * 1

    return fn, lambda: state.total.tolist()


def draws_elsewhere():
    def fn(x):
        return x * random.random() + numpy.random.rand()

    return fn, lambda: (random.random(), numpy.random.rand())


@pytest.mark.parametrize(
    "make",
    [
        changes_an_attribute,
        changes_a_slot_of_an_element,
        changes_a_list,
        changes_a_set,
        changes_a_deque,
        changes_the_order_of_a_dict,
        changes_a_cell,
        makes_a_global,
        makes_state_at_first_need,
        draws_elsewhere,
    ],
)
def test_a_capture_leaves_python_values_alone(make) -> None:
    """It runs the function on proxies; CPython then runs the call, and each change happens once."""
    outcomes = []
    for convert in (False, True):
        fn, state = make()
        call = bifront.trace(fn) if convert else fn
        random.seed(0)
        numpy.random.seed(0)
        results = [call(torch.full((2,), float(i))).tolist() for i in range(12)]
        outcomes.append((results, state()))
    assert outcomes[0] == outcomes[1]
