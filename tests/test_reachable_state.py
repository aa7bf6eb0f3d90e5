"""The Python values around a traced function: which are watched, and which cannot be."""

import array
import contextvars
import functools
import io
import itertools
import logging
import multiprocessing
import queue
import random
import sys
import threading
import types
import weakref
from typing import Any

import bifront
import numpy as np
import pytest
import torch

from tests.same_function import assert_in_graph

X = torch.ones(2)


class SetOfItsOwn(set):
    pass


def a_generator():
    yield 1


HIDDEN = {
    "an iterator (generator)": [a_generator()],
    "an iterator (list_iterator)": [iter([1])],
    "an iterator (cycle)": [itertools.cycle([1])],
    "a function that keeps its results": [functools.cache(lambda: 1)],
    "a random generator of its own": [
        random.Random(0),
        random.Random(0).random,
        torch.Generator(),
        np.random.default_rng(0),
        np.random.RandomState(0),
    ],
    "an array of numpy": [np.zeros(2)],
    "a file": [io.StringIO(), sys.__stdout__],
    "a queue": [queue.Queue(), queue.SimpleQueue(), multiprocessing.SimpleQueue()],
    "a buffer": [bytearray(1), memoryview(b"a"), array.array("i", [1])],
    "a variable of the thread or the context": [threading.local(), contextvars.ContextVar("v")],
    "a set of a class of its own": [SetOfItsOwn()],
}


@pytest.mark.parametrize(
    ("what", "value"), [(what, value) for what, values in HIDDEN.items() for value in values]
)
def test_hidden_state_is_refused(what: str, value: Any) -> None:
    def fn(x):
        return x * 2, [value][0] is None

    converted = bifront.trace(fn)
    for _ in range(4):
        converted(X)
    assert converted.stats["graph_calls"] == 0
    assert f"the function reaches {what}" in converted.last_error


@pytest.mark.parametrize("value", [random.random, np.random.rand, torch.relu, torch.ops.aten.add])
def test_functions_of_libraries_are_no_hidden_state(value: Any) -> None:
    converted = bifront.trace(lambda x: (x * 2, value is None))
    for _ in range(4):
        converted(X)
    assert_in_graph(converted)


class Attributes:
    pass


class DictWithAttributes(dict):
    pass


def function_with_attributes() -> None: ...


@pytest.mark.parametrize(
    "owner",
    [
        function_with_attributes,
        types.SimpleNamespace(),
        DictWithAttributes(),
        torch.nn.Parameter(torch.ones(1)),
        torch.nn.ReLU(),
        torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.ones(1)]), 1),
    ],
    ids=lambda owner: type(owner).__name__,
)
def test_an_attribute_that_changes_is_noticed(owner: Any) -> None:
    owner.factor = 2
    through = [
        lambda: owner,
        lambda: reference().owner,
        lambda: next(iter(by_object)).owner,
        lambda: bound.__self__.owner,
    ]
    holder = Attributes()
    holder.owner = owner
    reference, by_object = weakref.ref(holder), {holder: 1}
    bound = types.MethodType(lambda self: None, holder)
    for reach in through:
        converted = bifront.trace(lambda x, reach=reach: x * reach().factor)
        for factor in (2, 2, 2, 3, 3, 2):
            owner.factor = factor
            assert converted(X).tolist() == [factor, factor]
        assert converted.stats["graphs"] == 2, bifront.explain(converted)


def test_a_class_that_changes_is_noticed() -> None:
    class One:
        factor = 1

    class Two:
        factor = 2

    value = One()
    converted = bifront.trace(lambda x: (x * value.factor, value.__class__ is One))
    for cls in (One, One, Two, One):
        value.__class__ = cls
        result, is_one = converted(X)
        assert (result[0].item(), is_one) == (cls.factor, cls is One)
    assert converted.stats["graphs"] == 2, bifront.explain(converted)


def test_a_long_dict_is_watched() -> None:
    table = {number: number for number in range(10_000)}
    converted = bifront.trace(lambda x: x * table[7])
    for factor in (7, 7, 8):
        table[7] = factor
        assert converted(X)[0].item() == factor
    assert converted.stats["graphs"] == 2, bifront.explain(converted)


def test_an_object_is_not_asked_about_itself() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    value = Hostile()
    converted = bifront.trace(lambda x: (x * 2, value is None))
    for _ in range(4):
        converted(X)
    assert_in_graph(converted)


def test_a_logger_that_is_silent_is_no_effect(caplog) -> None:
    logger = logging.getLogger("bifront.tests")

    def fn(x):
        logger.debug("x")
        return x * 2

    converted = bifront.trace(fn)
    for _ in range(4):
        converted(X)
    assert_in_graph(converted)
    with caplog.at_level(logging.DEBUG, "bifront.tests"):
        for _ in range(4):
            converted(X)
    assert len(caplog.records) == 4
