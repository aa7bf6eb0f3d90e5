"""Kinds of classes: dataclasses, named tuples, slots, enums, abstract classes, metaclasses."""

import abc
import dataclasses
import enum
from collections import namedtuple
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from tests.language.conformance import (
    program,
    two_vectors,
    vector_and_number,
)


@program(two_vectors)
def dataclass_of_tensors():
    @dataclass
    class State:
        hidden: torch.Tensor
        steps: int = 0
        log: list = field(default_factory=list)

    def step(a, b):
        state = State(a)
        state.hidden = state.hidden + b
        state.steps += 1
        state.log.append("added")
        return state, dataclasses.replace(state, steps=9), state.log is State(a).log

    return step


@program(vector_and_number)
def frozen_dataclass_as_a_key():
    @dataclass(frozen=True, order=True)
    class Key:
        layer: int
        name: str = "w"

    cache = {}

    def step(x, n):
        cache.setdefault(Key(n), x.shape[0])
        try:
            Key(n).layer = 3
        except dataclasses.FrozenInstanceError:
            return x * cache[Key(n, "w")], Key(n) < Key(2)

    return step


@program()
def dataclass_with_post_init():
    @dataclass
    class Statistics:
        data: torch.Tensor
        mean: torch.Tensor = field(init=False)

        def __post_init__(self):
            self.mean = self.data.mean()

    def step(x):
        found = Statistics(x)
        return found.mean, [f.name for f in dataclasses.fields(found)]

    return step


@program(two_vectors)
def namedtuples():
    Pair = namedtuple("Pair", ["low", "high"])

    class Moments(NamedTuple):
        mean: torch.Tensor
        count: int = 1

        def scaled(self):
            return self.mean * self.count

    def step(a, b):
        pair = Pair(a, high=b)
        low, high = pair._replace(low=a * 2)
        moments = Moments(high.mean(), len(a))
        return pair, low, moments.scaled(), moments[1], pair._fields

    return step


@program()
def slots():
    class Cell:
        __slots__ = ("hidden", "steps")

        def __init__(self):
            self.steps = 0

    cell = Cell()

    def step(x):
        cell.hidden = x.sum() + (cell.hidden if hasattr(cell, "hidden") else 0)
        cell.steps += 1
        try:
            cell.other = 1
        except AttributeError:
            return cell.hidden / cell.steps

    return step


@program(vector_and_number)
def enum_decides_a_branch():
    class Mode(enum.Enum):
        MEAN = "mean"
        SUM = "sum"
        NONE = "none"

    def step(x, n):
        mode = list(Mode)[n]
        if mode is Mode.MEAN:
            return x.mean()
        return x.sum() if mode == Mode.SUM else x, mode, mode.name

    return step


@program(vector_and_number)
def int_enum_and_flag():
    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 2

    class Part(enum.Flag):
        BIAS = enum.auto()
        NORM = enum.auto()

    def step(x, n):
        parts = Part.BIAS | Part.NORM if n else Part.BIAS
        y = x * Level.HIGH + Level(1)
        return y.mean() if Part.NORM in parts else y

    return step


@program()
def abstract_base_class():
    class Loss(abc.ABC):
        @abc.abstractmethod
        def value(self, x): ...

        def __call__(self, x):
            return self.value(x) * 2

    class Square(Loss):
        def value(self, x):
            return (x * x).mean()

    def step(x):
        try:
            Loss()
        except TypeError:
            return Square()(x)

    return step


@program(vector_and_number)
def instance_with_new():
    class Single:
        instance = None

        def __new__(cls):
            if cls.instance is None:
                cls.instance = super().__new__(cls)
                cls.instance.uses = 0
            return cls.instance

    def step(x, n):
        single = Single()
        single.uses += n
        return x + single.uses, single is Single()

    return step


@program()
def metaclass_registers_classes():
    registry = []

    class Meta(type):
        def __init__(cls, name, bases, space, **kwargs):
            super().__init__(name, bases, space)
            registry.append(name)

        @property
        def count(cls):
            return len(registry)

    class Base(metaclass=Meta):
        def __init_subclass__(cls, factor=1, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.factor = factor

    class Double(Base, factor=2):
        pass

    def step(x):
        return x * Double.factor + Double.count

    return step


@program()
def class_made_inside_the_step():
    def step(x):
        class Local:
            scale = x.mean()

            def apply(self, y):
                return y * self.scale

        return Local().apply(x), Local.__name__

    return step
