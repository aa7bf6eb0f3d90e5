"""State that C keeps: what it answers may be another at the next call, or must not be assumed."""

from __future__ import annotations

import abc
import array
import collections
import ctypes
import decimal
import functools
import multiprocessing
import os
import random
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

CALLS = 4

# What is asked, and what changes the answer; what either returns counts as true or false.
Case = tuple[Callable[[], Any], Callable[[], Any]]
CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES[make.__name__] = make
    return make


def check(step: Callable[[Tensor], Tensor], change: Callable[[], Any]) -> None:
    """The converted step says what the step says, before the change and behind it."""
    converted = bifront.function(step)
    x = torch.ones(3)
    before = step(x)
    for _ in range(CALLS):
        assert torch.equal(converted(x), before)
    change()
    after = step(x)
    assert not torch.equal(after, before), "the answer is still the same"
    for _ in range(CALLS):
        assert torch.equal(converted(x), after), converted.stats


class Thing:
    pass


@case
def weak_reference() -> Case:
    box = [Thing()]
    reference = weakref.ref(box[0])
    return lambda: reference() is None, box.clear


@case
def weak_reference_beside_a_strong_one() -> Case:
    box = [Thing()]
    reference = weakref.ref(box[0])
    return lambda: reference() is box[0], lambda: box.__setitem__(0, Thing())


@case
def item_of_a_proxy() -> Case:
    items = {"k": 1}
    proxy = types.MappingProxyType(items)
    return lambda: proxy["k"] == 1, lambda: items.update(k=2)


@case
def key_in_a_proxy() -> Case:
    items = {"k": 1}
    proxy = types.MappingProxyType(items)
    return lambda: "j" in proxy, lambda: items.update(j=2)


@case
def length_of_a_proxy() -> Case:
    items = {"k": 1}
    proxy = types.MappingProxyType(items)
    return lambda: len(proxy) == 1, lambda: items.update(j=2)


@case
def get_of_a_proxy() -> Case:
    items = {"k": 1}
    proxy = types.MappingProxyType(items)
    return lambda: proxy.get("j") is None, lambda: items.update(j=2)


@case
def length_of_a_view() -> Case:
    items = {"k": 1}
    keys = items.keys()
    return lambda: len(keys) == 1, lambda: items.update(j=2)


@case
def structure_of_ctypes() -> Case:
    class Pair(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int)]

    pair = Pair(1)
    return lambda: pair.a == 1, lambda: setattr(pair, "a", 2)


@case
def number_of_ctypes() -> Case:
    number = ctypes.c_int(1)
    return lambda: number.value == 1, lambda: setattr(number, "value", 2)


@case
def shared_number() -> Case:
    number = multiprocessing.Value("i", 1)
    return lambda: number.value == 1, lambda: setattr(number, "value", 2)


@case
def shared_array() -> Case:
    numbers = multiprocessing.Array("i", [1, 2])
    return lambda: numbers[0] == 1, lambda: numbers.__setitem__(0, 2)


@case
def value_of_the_thread() -> Case:
    values = threading.local()
    values.a = 1
    return lambda: values.a == 1, lambda: setattr(values, "a", 2)


@case
def whether_a_lock_is_taken() -> Case:
    lock = threading.Lock()
    return lock.locked, lock.acquire


@case
def lock_that_is_tried() -> Case:
    lock = threading.Lock()

    def free() -> bool:
        if not lock.acquire(blocking=False):
            return False
        lock.release()
        return True

    return free, lock.acquire


@case
def event() -> Case:
    happened = threading.Event()
    return happened.is_set, happened.set


@case
def decimal_context() -> Case:
    precise = decimal.getcontext().prec
    return (
        lambda: str(decimal.Decimal(1) / decimal.Decimal(3)).count("3") == precise,
        lambda: setattr(decimal.getcontext(), "prec", 5),
    )


@case
def registered_class() -> Case:
    class Row:
        pass

    row = Row()
    return lambda: isinstance(row, Sequence), lambda: Sequence.register(Row)


@case
def registered_subclass() -> Case:
    class Row:
        pass

    return lambda: issubclass(Row, Sequence), lambda: Sequence.register(Row)


@case
def class_that_says_what_it_is() -> Case:
    state = {"all": False}

    class Says(abc.ABCMeta):
        def __instancecheck__(cls, instance: Any) -> bool:
            return state["all"]

    class Asked(metaclass=Says):
        pass

    thing = Thing()
    return lambda: isinstance(thing, Asked), lambda: state.update(all=True)


@case
def attribute_of_a_metaclass() -> Case:
    class Meta(type):
        flag = True

    class Made(metaclass=Meta):
        pass

    return lambda: Made.flag, lambda: setattr(Meta, "flag", False)


@case
def attribute_that_a_descriptor_gives_a_class() -> Case:
    values = [1]

    class Gives:
        def __get__(self, instance: Any, owner: Any) -> int:
            return values[0]

    class Owner:
        given = Gives()

    return lambda: Owner.given == 1, lambda: values.__setitem__(0, 2)


@case
def attribute_that_a_module_computes() -> Case:
    values = {"speed": 1}
    module = types.ModuleType("computed")
    module.__getattr__ = lambda name: values[name]  # type: ignore[method-assign]
    return lambda: module.speed == 1, lambda: values.update(speed=2)


@case
def attribute_that_c_computes_for_a_module() -> Case:
    values = {"speed": 1}
    module = types.ModuleType("computed")
    module.__getattr__ = values.__getitem__  # type: ignore[method-assign]
    return lambda: module.speed == 1, lambda: values.update(speed=2)


class Place:
    def __init__(self) -> None:
        self.index = 1

    def __index__(self) -> int:
        return self.index


@case
def place_in_a_list() -> Case:
    place = Place()
    return lambda: [0, 1, 2, 3][place] == 1, lambda: setattr(place, "index", 2)


@case
def slice_to_a_place() -> Case:
    place = Place()
    return lambda: len([0, 1, 2, 3][:place]) == 1, lambda: setattr(place, "index", 2)


@case
def place_in_a_tensor() -> Case:
    place = Place()
    row = torch.arange(4)
    return lambda: bool((row * 1)[place] == 1), lambda: setattr(place, "index", 2)


@case
def place_that_is_written() -> Case:
    place = Place()

    def written() -> bool:
        row = [0, 0, 0]
        row[place] = 1
        return row[1] == 1

    return written, lambda: setattr(place, "index", 2)


class Named(str):
    pass


TEXTS: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "a variable of the environment": (
        "os.getenv('BIFRONT_TEST_OF_ANSWERS') is None",
        lambda: os.environ.update(BIFRONT_TEST_OF_ANSWERS="1"),
        {"os": os},
    ),
    "a list of a module": ("'-x' in sys.argv", lambda: sys.argv.append("-x"), {"sys": sys}),
    "a module that is imported": (
        "__import__('sys').argv[-1] == '-x'",
        lambda: sys.argv.append("-x"),
        {},
    ),
    "random numbers": ("random.getstate() == state", random.random, {"random": random}),
    "an attribute of a text": ("name.mark == 1", lambda: setattr(NAME, "mark", 2), {}),
    "a function of torch": (
        "F.relu(torch.tensor(-1.0)) == 0",
        lambda: setattr(torch.nn.functional, "relu", torch.abs),
        {"F": torch.nn.functional, "torch": torch},
    ),
    "the clock": ("clock() < end[0]", lambda: END.__setitem__(0, 0.0), {"clock": time.time}),
}
NAME = Named("name")
END = [1e12]


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("wholly", [False, True])
def test_code_without_source(what: str, wholly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(torch.nn.functional, "relu", torch.nn.functional.relu)
    NAME.mark, END[0] = 1, 1e12  # type: ignore[attr-defined]
    text, change, names = TEXTS[what]
    space = {**names, "name": NAME, "state": random.getstate(), "end": END}
    exec(f"def ask(): return {text}\ndef step(x): return x + 1 if ask() else x - 1", space)
    ask = space["ask"]

    def own_step(x: Tensor) -> Tensor:
        return x + 1 if ask() else x - 1

    step = space["step"] if wholly else own_step
    check(step, change)


@case
def array_of_numbers() -> Case:
    numbers = array.array("i", [1])
    return lambda: numbers[0] == 1, lambda: numbers.__setitem__(0, 2)


@case
def length_of_an_array() -> Case:
    numbers = array.array("i", [1])
    return lambda: len(numbers) == 1, lambda: numbers.append(2)


@case
def view_of_memory() -> Case:
    memory = bytearray(b"a")
    view = memoryview(memory)
    return lambda: view[0] == 97, lambda: memory.__setitem__(0, 98)


@case
def name_of_a_class() -> Case:
    class Named:
        pass

    named = Named()
    return lambda: type(named).__name__ == "Named", lambda: setattr(Named, "__name__", "Other")


@case
def qualified_name_of_a_class() -> Case:
    class Named:
        pass

    return lambda: Named.__qualname__ == "Other", lambda: setattr(Named, "__qualname__", "Other")


@case
def name_of_a_function() -> Case:
    def named() -> None:
        pass

    return lambda: named.__name__ == "named", lambda: setattr(named, "__name__", "other")


@case
def keywords_of_a_partial() -> Case:
    made = functools.partial(dict, a=1)
    return lambda: made()["a"] == 1, lambda: made.keywords.update(a=2)


@case
def maps_in_a_chain() -> Case:
    chain = collections.ChainMap({"a": 1})
    return lambda: chain["a"] == 1, lambda: chain.maps[0].update(a=2)


@case
def environment() -> Case:
    return (
        lambda: os.getenv("BIFRONT_TEST_OF_ANSWERS") is None,
        lambda: os.environ.update(BIFRONT_TEST_OF_ANSWERS="1"),
    )


@case
def attribute_of_a_scripted_module() -> Case:
    with pytest.warns(DeprecationWarning):
        module = torch.jit.script(torch.nn.Linear(2, 2))
    return lambda: module.training, lambda: module.eval()


@case
def threads() -> Case:
    count = torch.get_num_threads()
    return (
        lambda: torch.get_num_threads() == count,
        lambda: torch.set_num_threads(count + 1),
    )


@case
def precision_of_products() -> Case:
    return (
        lambda: torch.get_float32_matmul_precision() == "highest",
        lambda: torch.set_float32_matmul_precision("high"),
    )


@case
def anomalies() -> Case:
    return torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)


@case
def repeated_warnings() -> Case:
    return torch.is_warn_always_enabled, lambda: torch.set_warn_always(True)


@case
def dtype_of_autocast() -> Case:
    return (
        lambda: torch.get_autocast_dtype("cpu") == torch.bfloat16,
        lambda: torch.set_autocast_dtype("cpu", torch.float16),
    )


@case
def cache_of_autocast() -> Case:
    return torch.is_autocast_cache_enabled, lambda: torch.set_autocast_cache_enabled(False)


@case
def onednn() -> Case:
    return (
        lambda: torch.backends.mkldnn.enabled,
        lambda: setattr(torch.backends.mkldnn, "enabled", False),
    )


@case
def flags_of_another_device() -> Case:
    return (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
    )


@case
def filled_memory() -> Case:
    settings = torch.utils.deterministic
    return (
        lambda: settings.fill_uninitialized_memory,
        lambda: setattr(settings, "fill_uninitialized_memory", False),
    )


@case
def subnormal_numbers() -> Case:
    return (
        lambda: float(torch.tensor([1e-320], dtype=torch.float64) * 1) == 0,
        lambda: torch.set_flush_denormal(True),
    )


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    with decimal.localcontext():
        yield
    os.environ.pop("BIFRONT_TEST_OF_ANSWERS", None)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.autograd.set_detect_anomaly(False)
    torch.set_warn_always(False)
    torch.set_autocast_dtype("cpu", torch.bfloat16)
    torch.set_autocast_cache_enabled(True)
    torch.backends.mkldnn.enabled = True
    torch.backends.cudnn.benchmark = False
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("name", CASES)
def test_the_answer_changes(name: str) -> None:
    ask, change = CASES[name]()

    def step(x: Tensor) -> Tensor:
        return x + 1 if ask() else x - 1

    check(step, change)


def test_a_file_appears(tmp_path: Path) -> None:
    stop = str(tmp_path / "stop")

    def step(x: Tensor) -> Tensor:
        return x - 1 if os.path.exists(stop) else x + 1

    converted = bifront.function(step)
    x = torch.ones(3)
    for _ in range(CALLS):
        assert torch.equal(converted(x), x + 1)
    Path(stop).touch()
    for _ in range(CALLS):
        assert torch.equal(converted(x), x - 1)


def test_anomalies_are_looked_for_in_cpython() -> None:
    weight = torch.ones(3, requires_grad=True)

    def step(x: Tensor) -> None:
        weight.grad = None
        (weight * x).sqrt().sum().backward()

    converted = bifront.function(step)
    x = torch.ones(3)
    for _ in range(CALLS):
        converted(x)
    in_graphs = converted.stats["graph_calls"]
    assert in_graphs == CALLS - 1
    with (
        torch.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match="returned nan values"),
        pytest.warns(UserWarning),
    ):
        converted(-x)
    assert converted.stats["exits"] == {"AnomalyDetection": 1}
    converted(x)
    assert converted.stats["graph_calls"] == in_graphs + 1


def test_a_cached_property_of_an_object_from_outside() -> None:
    class Data:
        def __init__(self) -> None:
            self.made = 0

        @functools.cached_property
        def scale(self) -> int:
            self.made += 1
            return self.made

    data = Data()
    converted = bifront.function(lambda x: x * data.scale)
    x = torch.ones(3)
    for _ in range(CALLS):
        assert torch.equal(converted(x), x)
    assert converted.stats["graph_calls"] >= 2
    del data.scale
    for _ in range(CALLS):
        assert torch.equal(converted(x), 2 * x)
    assert data.made == 2
