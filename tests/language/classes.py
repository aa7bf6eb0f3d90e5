"""Classes of the user: what a call, an attribute and an operator can mean."""

import torch

from tests.language.conformance import (
    program,
    two_vectors,
    vector_and_number,
)


@program()
def method_reads_an_attribute():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def apply(self, x):
            return x * self.factor

    scale = Scale(2.5)

    def step(x):
        return scale.apply(x)

    return step


@program()
def method_writes_an_attribute():
    class Counter:
        def __init__(self):
            self.calls = 0
            self.last = None

        def see(self, x):
            self.calls += 1
            self.last = x.sum()
            return self.last * self.calls

    counter = Counter()

    def step(x):
        return counter.see(x)

    return step


@program()
def bound_method_as_the_step():
    class Trainer:
        def __init__(self):
            self.momentum = torch.zeros(())

        def step(self, x):
            self.momentum = 0.9 * self.momentum + x.sum()
            return x - self.momentum

    return Trainer().step


@program(two_vectors)
def instances_made_inside_the_step():
    class Pair:
        def __init__(self, a, b):
            self.a = a
            self.b = b

        def dot(self):
            return (self.a * self.b).sum()

    def step(a, b):
        pair = Pair(a, b)
        pair.a = pair.a + 1
        return pair.dot(), pair

    return step


@program()
def super_calls_the_base():
    class Base:
        def __init__(self, scale):
            self.scale = scale

        def forward(self, x):
            return x * self.scale

    class Shifted(Base):
        def __init__(self, scale, shift):
            super().__init__(scale)
            self.shift = shift

        def forward(self, x):
            return super().forward(x) + self.shift

    model = Shifted(2.0, 1.0)

    def step(x):
        return model.forward(x)

    return step


@program()
def diamond_of_bases():
    class Base:
        def names(self):
            return ["base"]

    class Left(Base):
        def names(self):
            return ["left", *super().names()]

    class Right(Base):
        def names(self):
            return ["right", *super().names()]

    class Both(Left, Right):
        pass

    def step(x):
        return x * len(Both().names()), Both().names()

    return step


@program()
def property_computes():
    class Scaled:
        def __init__(self, x):
            self._x = x

        @property
        def mean(self):
            return self._x.mean()

    def step(x):
        return x - Scaled(x).mean

    return step


@program(vector_and_number)
def property_with_a_setter():
    class Rate:
        def __init__(self):
            self._rate = 1.0
            self.history = []

        @property
        def rate(self):
            return self._rate

        @rate.setter
        def rate(self, value):
            self.history.append(self._rate)
            self._rate = max(value, 0.1)

    rate = Rate()

    def step(x, n):
        rate.rate = n / 2
        return x * rate.rate

    return step


@program(vector_and_number)
def descriptor_of_the_user():
    class Clamped:
        def __set_name__(self, owner, name):
            self.name = f"_{name}"

        def __get__(self, instance, owner):
            return getattr(instance, self.name, 0) if instance is not None else self

        def __set__(self, instance, value):
            setattr(instance, self.name, min(value, 1))

    class Model:
        gain = Clamped()

    model = Model()

    def step(x, n):
        model.gain = n
        return x * model.gain, isinstance(Model.gain, Clamped)

    return step


@program()
def getattr_is_asked_last():
    class Config:
        def __init__(self):
            self.asked = []
            self.width = 3

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            self.asked.append(name)
            return len(name)

    config = Config()

    def step(x):
        return x * config.width + config.depth, hasattr(config, "_hidden")

    return step


@program()
def setattr_and_delattr_are_overridden():
    class Logged:
        def __init__(self):
            object.__setattr__(self, "log", [])

        def __setattr__(self, name, value):
            self.log.append(name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            self.log.append(f"del {name}")
            object.__delattr__(self, name)

    def step(x):
        logged = Logged()
        logged.x = x
        logged.y = logged.x * 2
        del logged.x
        return logged.y, logged.log

    return step


@program()
def call_operator():
    class Affine:
        def __init__(self, scale):
            self.scale = scale

        def __call__(self, x, shift=0):
            return x * self.scale + shift

    affine = Affine(3.0)

    def step(x):
        return affine(affine(x), shift=1)

    return step


@program(two_vectors)
def operator_overloads():
    class Dual:
        def __init__(self, value, slope):
            self.value, self.slope = value, slope

        def __add__(self, other):
            return Dual(self.value + other.value, self.slope + other.slope)

        def __mul__(self, other):
            return Dual(
                self.value * other.value, self.value * other.slope + self.slope * other.value
            )

        def __neg__(self):
            return Dual(-self.value, -self.slope)

    def step(a, b):
        x, y = Dual(a, torch.ones_like(a)), Dual(b, torch.zeros_like(b))
        z = x * y + -x
        return z.value, z.slope

    return step


@program(vector_and_number)
def reflected_and_in_place_operators():
    class Money:
        def __init__(self, amount):
            self.amount = amount

        def __radd__(self, other):
            return Money(other + self.amount)

        def __isub__(self, other):
            self.amount = self.amount - other
            return self

    def step(x, n):
        money = alias = 5 + Money(x)
        money -= n
        return alias.amount, alias is money

    return step


@program(vector_and_number)
def not_implemented_tries_the_other_side():
    tried = []

    class Left:
        def __mul__(self, other):
            tried.append("left")
            return NotImplemented

    class Right:
        def __rmul__(self, other):
            tried.append("right")
            return 3

    def step(x, n):
        if n == 2:
            return x * (Left() * 1)
        return x * (Left() * Right())

    return step


@program(vector_and_number)
def getitem_setitem_and_contains():
    class Memory:
        def __init__(self):
            self.slots = {}

        def __getitem__(self, key):
            return self.slots[key] * 2

        def __setitem__(self, key, value):
            self.slots[key] = value

        def __delitem__(self, key):
            self.slots.pop(key, None)

        def __contains__(self, key):
            return key in self.slots

    memory = Memory()

    def step(x, n):
        if n in memory:
            del memory[n]
            return x
        memory[n] = x.sum()
        return memory[n]

    return step


@program()
def len_and_bool():
    class Bag:
        def __init__(self, items):
            self.items = items

        def __len__(self):
            return len(self.items)

    class Gate:
        def __init__(self, x):
            self.x = x

        def __bool__(self):
            return bool(self.x.sum() > 0)

    def step(x):
        return x * len(Bag([1, 2])) if Gate(x) and Bag([1]) and not Bag([]) else x

    return step


@program(vector_and_number)
def eq_and_hash_of_the_user():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __eq__(self, other):
            return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

        def __hash__(self):
            return hash((self.x, self.y))

    table = {Point(0, 0): 1.0, Point(1, 0): 2.0}

    def step(x, n):
        return x * table.get(Point(n, 0), 0.5), Point(0, n) == Point(0, 1), Point(1, 0) != 3

    return step


@program(vector_and_number)
def ordering_of_the_user():
    class Task:
        def __init__(self, cost, name):
            self.cost, self.name = cost, name

        def __lt__(self, other):
            return self.cost < other.cost

    def step(x, n):
        tasks = [Task((i * 2 + n) % 5, f"t{i}") for i in range(4)]
        return x * min(tasks).cost, [task.name for task in sorted(tasks)]

    return step


@program(lambda call: (torch.randn(12), call % 3))
def ordering_of_the_user_is_seen():
    """Which are compared, and in which order, as the methods note."""
    compared = []

    class Task:
        def __init__(self, cost, name):
            self.cost, self.name = cost, name

        def __lt__(self, other):
            compared.append((self.name, other.name))
            return self.cost < other.cost

    def step(x, n):
        compared.clear()
        tasks = [Task((i * 5 + n) % 7, i) for i in range(12)]
        by_key = sorted(range(12), key=lambda i: tasks[i], reverse=True)
        tasks.sort()
        return x[by_key], [task.name for task in tasks], list(compared)

    return step


@program()
def ordering_of_the_user_by_tensors():
    class Score:
        def __init__(self, value):
            self.value = value

        def __lt__(self, other):
            return bool(self.value < other.value)

    def step(x):
        return sorted([Score(x[0]), Score(x[1])])[0].value * 2

    return step


@program()
def iter_of_the_user():
    class Layers:
        def __init__(self, *layers):
            self.layers = layers

        def __iter__(self):
            return iter(self.layers)

        def __reversed__(self):
            return iter(self.layers[::-1])

    layers = Layers(torch.relu, torch.exp, torch.sqrt)

    def step(x):
        for layer in layers:
            x = layer(x)
        return x, [layer.__name__ for layer in reversed(layers)]

    return step


@program(vector_and_number)
def enter_and_exit_of_the_user():
    class Mode:
        def __init__(self):
            self.stack = ["base"]

        def __call__(self, name):
            self.next = name
            return self

        def __enter__(self):
            self.stack.append(self.next)
            return len(self.stack)

        def __exit__(self, *error):
            self.stack.pop()

    mode = Mode()

    def step(x, n):
        with mode("outer") as depth, mode(f"inner{n}") as deeper:
            y = x * depth * deeper, list(mode.stack)
        return y, len(mode.stack)

    return step


@program()
def classmethod_and_staticmethod():
    class Layer:
        made = 0

        def __init__(self, factor):
            self.factor = factor

        @classmethod
        def doubled(cls, factor):
            cls.made += 1
            return cls(factor * 2)

        @staticmethod
        def check(x):
            return x.clamp(-1, 1)

        def __call__(self, x):
            return self.check(x) * self.factor

    def step(x):
        return Layer.doubled(3)(x), Layer.check(x), Layer.made

    return step


@program(vector_and_number)
def class_attribute_is_shadowed():
    class Setting:
        scale = 2

    first, second = Setting(), Setting()

    def step(x, n):
        if n == 1:
            first.scale = 5
        elif n == 2:
            Setting.scale += 1
        return x * first.scale + second.scale

    return step


@program()
def isinstance_hasattr_getattr_setattr():
    class Node:
        pass

    class Leaf(Node):
        value = 1.5

    def step(x):
        nodes = [Node(), Leaf()]
        for node in nodes:
            setattr(node, "size", 2 if hasattr(node, "value") else 1)
        kinds = [isinstance(node, Leaf) for node in nodes]
        total = sum(getattr(node, "value", 0.5) * node.size for node in nodes)
        return x * total, kinds, issubclass(Leaf, (int, Node)), type(nodes[1]) is Leaf

    return step


@program()
def private_names_are_mangled():
    class Safe:
        def __init__(self):
            self.__secret = 4

        def open(self):
            return self.__secret

    def step(x):
        safe = Safe()
        safe._Safe__secret += 1
        return x * safe.open()

    return step


@program()
def repr_and_format_of_the_user():
    class Shape:
        def __init__(self, x):
            self.sizes = x.shape

        def __repr__(self):
            return f"Shape{tuple(self.sizes)}"

        def __format__(self, spec):
            return spec.join(map(str, self.sizes))

    def step(x):
        shape = Shape(x.view(1, -1))
        return f"{shape!r} {shape:by} {shape}", x

    return step


@program(vector_and_number)
def container_subclass_of_the_user():
    class History(list):
        def best(self):
            return max(self)

        def append(self, value):
            super().append(round(value, 1))

    history = History()

    def step(x, n):
        history.append(n * 1.26)
        return x * history.best(), len(history)

    return step


@program()
def dunder_dict_is_written():
    class Bag:
        pass

    def step(x):
        bag = Bag()
        bag.__dict__.update(a=x, b=2)
        vars(bag)["c"] = bag.a * bag.b
        return bag.c, list(vars(bag))

    return step


@program(vector_and_number)
def method_is_replaced_on_the_instance():
    class Model:
        def act(self, x):
            return x.relu()

    model = Model()

    def step(x, n):
        if n == 1:
            model.act = torch.tanh
        elif n == 2:
            model.__dict__.pop("act", None)
        return model.act(x)

    return step


@program(vector_and_number)
def class_of_an_object_is_changed():
    class Calm:
        def act(self, x):
            return x

    class Wild(Calm):
        def act(self, x):
            return super().act(x) * 10

    pet = Calm()

    def step(x, n):
        pet.__class__ = Wild if n else Calm
        return pet.act(x)

    return step
