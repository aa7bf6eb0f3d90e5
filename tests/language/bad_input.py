"""Functions without a source, objects that lie, and errors in the middle of things."""

import functools
import linecache
import math
import operator
import sys
import tempfile
import threading
import types
from pathlib import Path

import torch
from torch import nn

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)

NOT_CONVERTED = "BF010 CaptureFailed"
# A function whose source cannot be had, or is not that of its code, is not walked: CPython runs it
# on the proxies, watched, and its graph is as good as another.
FOLDER = tempfile.TemporaryDirectory()  # for sources that are still there when the step runs


def from_text(text, file="<language>", **names):
    exec(compile(text, file, "exec"), names)
    return names["step"]


@program()
def executed_code():
    return from_text("def step(x):\n    return x * 2 if x.sum() > 0 else x\n")


@program()
def executed_code_without_builtins():
    return from_text("def step(x):\n    return x + 1\n", __builtins__={})


@program(opaque=1)
def callee_without_a_source():
    twice = eval("lambda x: x + x")

    def step(x):
        return twice(x) * 3

    return step


@program()
def deleted_source_file():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gone.py"
        text = "def step(x):\n    y = x * 3\n    return y - 1\n"
        path.write_text(text)
        step = from_text(text, str(path))
    linecache.checkcache(str(path))
    return step


@program()
def source_file_that_changed():
    path = Path(FOLDER.name) / "changed.py"
    path.write_text("def step(x):\n    return x * 1000\n")
    return from_text("def step(x):\n    return x * 2\n", str(path))


@program()
def source_in_the_line_cache():
    # As a notebook's cell has it.
    text = "def step(x):\n    return x * 3 if x.sum() > 0 else x\n"
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(True), "<cell 1>")
    return from_text(text, "<cell 1>")


@program()
def source_of_another_function_at_the_line():
    source = "def other(x, y):\n    return y\n"
    linecache.cache["<shifted>"] = (len(source), None, source.splitlines(True), "<shifted>")
    return from_text("def step(x):\n    return x - 2\n", "<shifted>")


@program()
def code_object_is_replaced():
    def step(x):
        return x * 2

    def other(x):
        return x * 5

    step.__code__ = other.__code__.replace(co_name="step", co_firstlineno=1)
    return step


@program()
def lambdas_on_one_line():
    first, second = (lambda x: x * 2), (lambda x: x * 3)
    assert first is not second
    return second


@program()
def lambda_over_several_lines():
    return lambda x: (
        x * 2
        if x.sum() > 0  # a comment in the middle
        else x - 1
    )


@program()
def lambda_inside_a_call():
    return functools.partial(lambda scale, x: x * scale, 2.5)


@program()
def source_with_odd_indentation():
    # fmt: off
    if True:
          def step(x):
                y = (x
    + 1)
                return """
 not indented""".strip(), y
    # fmt: on
    return step


@program()
def source_with_non_ascii_names():
    def step(x):
        größe, π = len(x), 3.14
        return x * π, f"größe={größe} ✓"

    return step


@program(vector_and_number, graphs=0)
def endless_recursion():
    def down(x):
        return down(x + 1)

    def step(x, n):
        return down(x)

    return step


@program(vector_and_number)
def endless_recursion_that_is_caught():
    def down(n):
        return down(n + 1)

    def step(x, n):
        try:
            return down(0)
        except RecursionError as error:
            return x * n, type(error).__name__

    return step


@program(vector_and_number)
def hostile_equality():
    class Liar:
        def __eq__(self, other):
            raise RuntimeError("not comparable")

        __hash__ = None

    liar = Liar()

    def step(x, n):
        return x * n, liar is not None, [liar][0] is liar

    return step


@program(vector_and_number)
def equality_that_is_always_true():
    class Yes:
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    def step(x, n):
        table = {Yes(): n}
        return x * (Yes() == n), table[Yes()], Yes() in [1], n == Yes()

    return step


@program(vector_and_number)
def hostile_hash():
    class Unstable:
        hashes = 0

        def __hash__(self):
            Unstable.hashes += 1
            return Unstable.hashes

    key = Unstable()

    def step(x, n):
        table = {key: n}
        return x * len(table), key in table

    return step


@program(vector)
def hostile_getattr():
    class Greedy:
        def __getattr__(self, name):
            return lambda *args, **kwargs: name

    greedy = Greedy()

    def step(x):
        return x * 2, greedy.anything(1), hasattr(greedy, "shape"), greedy.__class__ is Greedy

    return step


@program(vector)
def getattribute_that_counts():
    class Watched:
        reads = 0
        width = 2

        def __getattribute__(self, name):
            Watched.reads += name == "width"
            return object.__getattribute__(self, name)

    watched = Watched()

    def step(x):
        return x * watched.width * watched.width

    return step


@program(vector)
def getattr_that_raises_another_error():
    class Broken:
        def __getattr__(self, name):
            raise ValueError(f"no {name}")

    broken = Broken()

    def step(x):
        try:
            return broken.weight
        except ValueError as error:
            return x, str(error)

    return step


@program(vector)
def class_that_lies_about_itself():
    class Mock:
        __class__ = torch.Tensor

    mock = Mock()

    def step(x):
        return x * isinstance(mock, torch.Tensor), type(mock) is torch.Tensor

    return step


@program(vector)
def isinstance_of_the_user():
    class Meta(type):
        def __instancecheck__(cls, value):
            return value == 3

    class Three(metaclass=Meta):
        pass

    def step(x):
        return x, isinstance(3, Three), isinstance(Three(), Three)

    return step


@program(vector)
def length_that_is_no_length():
    class Negative:
        def __len__(self):
            return -1

    def step(x):
        try:
            return len(Negative())
        except ValueError as error:
            return x, str(error)

    return step


@program(vector, graphs=0)
def truth_that_raises():
    class Unsure:
        def __bool__(self):
            raise TypeError("unsure")

    unsure = Unsure()

    def step(x):
        if unsure:
            return x
        return x * 2

    return step


@program(vector, graphs=0)
def iterator_that_raises_half_way():
    class Failing:
        def __iter__(self):
            self.left = 2
            return self

        def __next__(self):
            self.left -= 1
            if self.left < 0:
                raise OSError("lost")
            return self.left

    failing, seen = Failing(), []

    def step(x):
        for i in failing:
            seen.append(i)
            x = x + i
        return x

    return step


@program(vector)
def property_that_changes_the_object():
    class Ticket:
        def __init__(self):
            self.next = 0

        @property
        def number(self):
            self.next += 1
            return self.next

    ticket = Ticket()

    def step(x):
        return x * ticket.number + ticket.number

    return step


@program(matrix)
def error_in_the_middle_of_training():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log = []

    def step(x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        log.append("backward")
        if x.sum() < 0:
            raise KeyboardError("stopped")
        optimizer.step()
        log.append("step")

    class KeyboardError(Exception):
        pass

    return step


@program(matrix)
def error_inside_a_forward_hook():
    model = nn.Linear(4, 2)

    def refuse(module, args, out):
        if out.shape[0] == 3:
            raise RuntimeError("three rows")

    model.register_forward_hook(refuse)

    def step(x):
        return model(x).detach()

    return step


@program(matrix, graphs=0)
def error_inside_backward():
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise ArithmeticError("no gradient")

    weight = nn.Parameter(torch.ones(4))

    def step(x):
        Failing.apply(x * weight).sum().backward()

    return step


@program(vector)
def error_leaves_a_context_manager():
    stack = []

    class Guard:
        def __enter__(self):
            stack.append("in")

        def __exit__(self, kind, value, trace):
            stack.append(kind.__name__ if kind else "out")

    def step(x):
        with Guard(), torch.no_grad():
            if x.sum() < 0:
                raise LookupError("inside")
            return x * len(stack)

    return step


@program(vector, graphs=0)
def exit_that_raises():
    class Bad:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            raise OSError("while leaving")

    def step(x):
        with Bad():
            y = x * (1 // int(x.sum() > 0))
        return y

    return step


@program(vector, graphs=0)
def raises_what_is_no_exception():
    def step(x):
        raise x

    return step


@program(vector)
def exception_that_cannot_be_printed():
    class Mute(Exception):
        def __repr__(self):
            raise RuntimeError("mute")

    def step(x):
        if x.sum() < 0:
            raise Mute(len(x))
        return x

    return step


@program(vector, graphs=0)
def backward_of_what_needs_no_gradient():
    def step(x):
        x.sum().backward()

    return step


@program(vector, graphs=0)
def backward_twice():
    weight = nn.Parameter(torch.ones(1))

    def step(x):
        loss = (weight * x).exp().sum()
        loss.backward()
        loss.backward()

    return step


@program(vector, graphs=0)
def in_place_write_to_a_leaf():
    weight = nn.Parameter(torch.ones(1))

    def step(x):
        weight.add_(x.sum())

    return step


@program(two_vectors, graphs=0)
def version_counter_catches_a_write():
    weight = nn.Parameter(torch.ones(1))

    def step(a, b):
        y = (weight * a).exp()
        z = y.sum()
        y.mul_(2)
        z.backward()

    return step


@program(lambda call: (torch.randn(2, 3), torch.randn(4 - call % 2, 2)))
def shapes_that_do_not_fit():
    def step(a, b):
        return (a @ b).relu()

    return step


@program(lambda call: (["a", torch.ones(2), None, torch.ones(2)][call % 4],))
def operand_of_a_wrong_type():
    def step(x):
        return x - 1

    return step


@program(lambda call: (torch.ones(2),) if call % 2 else ())
def missing_argument_of_the_step():
    def step(x):
        return x + 1

    return step


@program(lambda call: {"x": torch.ones(2), **({"extra": 1} if call % 3 == 1 else {})})
def unknown_keyword_of_the_step():
    def step(x):
        return x + 1

    return step


@program(vector, graphs=0)
def name_that_does_not_exist():
    def step(x):
        y = x * 2
        return y + undefined_name  # noqa: F821

    return step


@program(vector, graphs=0)
def attribute_that_does_not_exist():
    def step(x):
        return x.relu().no_such_method()

    return step


@program(vector, graphs=0)
def call_of_what_is_no_function():
    def step(x):
        return x(3)

    return step


@program(vector)
def builtin_as_the_step():
    return torch.relu


@program(vector_and_number)
def c_function_as_the_step():
    return operator.mul


@program(lambda call: (call + 1.5,))
def step_without_tensors():
    return math.sqrt


@program(vector)
def class_as_the_step():
    class Result:
        def __init__(self, x):
            self.x = x * 2

    return Result


@program(vector)
def callable_object_as_the_step():
    class Step:
        def __init__(self):
            self.calls = 0

        def __call__(self, x):
            self.calls += 1
            return x * self.calls

    return Step()


@program(matrix)
def module_as_the_step():
    return nn.Sequential(nn.Linear(4, 2), nn.ReLU()).requires_grad_(False)


@program(vector, cpython=NOT_CONVERTED)
def generator_function_as_the_step():
    def step(x):
        yield x
        yield x * 2

    return step


@program(vector, cpython=NOT_CONVERTED)
def coroutine_function_as_the_step():
    async def work(x):
        return x * 2

    def step(x):
        try:
            work(x).send(None)
        except StopIteration as stop:
            return stop.value

    return step


@program(vector, opaque=3)
def another_thread_does_the_work():
    def step(x):
        out = []
        worker = threading.Thread(target=lambda: out.append(x * 2))
        worker.start()
        worker.join()
        return out[0]

    return step


@program(vector, cpython=NOT_CONVERTED)
def frame_is_looked_at():
    def step(x):
        y = x * 2
        names = sorted(sys._getframe().f_locals)
        return y, names, sys._getframe().f_code.co_name

    return step


@program(vector, opaque=3)
def trace_function_is_set():
    events = []

    def step(x):
        previous = sys.gettrace()
        sys.settrace(lambda frame, event, arg: events.append(event))
        try:
            y = (lambda: x * 2)()
        finally:
            sys.settrace(previous)
        return y, len(events)

    return step


@program(vector, cpython=NOT_CONVERTED)
def code_made_and_run_in_the_step():
    def step(x):
        space = {"x": x}
        exec("y = x * 2", space)
        return eval("y + 1", space)

    return step


@program(vector)
def function_made_of_a_code_object():
    def template(x):
        return x * factor  # noqa: F821

    clone = types.FunctionType(template.__code__, {"factor": 4.0})

    def step(x):
        return clone(x)

    return step


@program(matrix, cpython=NOT_CONVERTED)
def tensor_subclass_made_inside():
    class Named(torch.Tensor):
        pass

    def step(x):
        named = x.as_subclass(Named)
        return type(named * 2).__name__, (named * 2).as_subclass(torch.Tensor)

    return step


@program(lambda call: (torch.eye(3) if call % 2 else torch.eye(3).to_sparse(),))
def sparse_argument():
    def step(x):
        return (x @ torch.ones(3, 1)).sum(), x.is_sparse

    return step
