"""Functions: how they are made, called, decorated, passed around, and what they close over."""

import functools
import inspect
import operator
from functools import lru_cache, partial, reduce, wraps

import torch
import torch.nn.functional as F

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)


def scaled(x, factor=2.0):
    return x * factor


def ping(x, n):
    return x if n == 0 else pong(x + 1, n - 1)


def pong(x, n):
    return x if n == 0 else ping(x * 2, n - 1)


def module_level_with_early_return(x):
    if x.sum() < 0:
        return -x
    return x.sqrt()


@program()
def call_a_function_of_the_module():
    def step(x):
        return scaled(x) + scaled(x, 3.0) + scaled(factor=4.0, x=x)

    return step


@program()
def callee_with_two_returns():
    def step(x):
        return module_level_with_early_return(x) + module_level_with_early_return(-x)

    return step


@program()
def nested_function_reads_a_local():
    def step(x):
        shift = x.mean()

        def center(y):
            return y - shift

        return center(x) + center(x * 2)

    return step


@program()
def nested_function_sees_a_later_assignment():
    def step(x):
        def scale():
            return x * factor

        factor = 2
        first = scale()
        factor = x.sum()
        return first, scale()

    return step


@program(vector_and_number)
def nested_function_writes_with_nonlocal():
    def step(x, n):
        total = x * 0

        def add(y):
            nonlocal total, n
            total = total + y
            n += 1

        add(x)
        add(x * 2)
        return total, n

    return step


@program()
def closures_made_in_a_loop_share_a_variable():
    def step(x):
        functions = [lambda y: y * i for i in range(3)]
        return [f(x) for f in functions]

    return step


@program()
def closures_with_a_value_bound_by_default():
    def step(x):
        functions = []
        for i in range(3):
            functions.append(lambda y, i=i: y * i)
        return sum(f(x) for f in functions)

    return step


@program()
def two_closures_over_one_cell():
    def make():
        count = 0

        def increase():
            nonlocal count
            count += 1
            return count

        def read():
            return count

        return increase, read

    increase, read = make()

    def step(x):
        increase()
        return x * read()

    return step


@program()
def closure_is_returned():
    def step(x):
        mean = x.mean()

        def center(y):
            return y - mean

        return center

    return step


@program(vector_and_number)
def lambda_chosen_at_run_time():
    def step(x, n):
        activation = [lambda t: t.relu(), torch.tanh, F.silu][n]
        return activation(x)

    return step


@program(vector_and_number)
def lambda_in_a_dict_of_functions():
    table = {0: lambda x: x + 1, 1: lambda x: x * 2, 2: lambda x: x.abs()}

    def step(x, n):
        return table[n](x)

    return step


@program()
def default_is_evaluated_once():
    made = []

    def default():
        made.append(1)
        return 2.0

    def step(x):
        def scale(y, factor=default()):
            return y * factor

        return scale(x) + scale(x, 1.0)

    return step


@program()
def mutated_default_argument():
    def remember(value, history=[]):
        history.append(value)
        return len(history)

    def step(x):
        return x * remember(x.sum().item())

    return step


@program()
def mutated_default_dict_of_the_step():
    def step(x, cache={}):
        key = x.shape[0]
        cache[key] = cache.get(key, 0) + 1
        return x * cache[key]

    return step


@program(two_vectors)
def keyword_only_arguments():
    def blend(a, *, other, weight=0.5):
        return a * weight + other * (1 - weight)

    def step(a, b):
        return blend(a, other=b) - blend(b, weight=0.25, other=a)

    return step


@program()
def positional_only_arguments():
    def clip(x, /, low=-1, *, high=1):
        return x.clamp(low, high)

    def step(x):
        try:
            return clip(x=x)
        except TypeError as error:
            return clip(x, high=0.5), str(error)

    return step


@program(lambda call: tuple(torch.randn(3) for _ in range(1 + call % 3)), graphs=3)
def step_with_star_arguments():
    def step(*tensors):
        return sum(tensors), len(tensors)

    return step


@program(lambda call: {name: torch.randn(2) for name in "abc"[: 1 + call % 3]}, graphs=3)
def step_with_keyword_arguments():
    def step(**tensors):
        return {name: t * 2 for name, t in tensors.items()}

    return step


@program(vector_and_number)
def arguments_are_spread():
    def combine(a, b=1, *rest, scale=1.0, **named):
        return a * b * scale, len(rest), sorted(named)

    def step(x, n):
        args = (x, 2, *range(n))
        named = {"scale": 0.5, "extra": n}
        return combine(*args, **named), combine(x, *[3], other=1, **{})

    return step


@program(vector_and_number)
def missing_argument_raises():
    def needs_two(a, b):
        return a + b

    def step(x, n):
        return needs_two(*[x, x][: 2 if n else 1])

    return step


@program()
def unexpected_keyword_raises():
    def step(x):
        try:
            return scaled(x, scale=3)
        except TypeError as error:
            return str(error)

    return step


@program()
def decorator_of_the_user():
    def doubled(function):
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return wrapper

    @doubled
    def shifted(x, by=1):
        return x + by

    def step(x):
        return shifted(x) + shifted(x, by=3)

    return step


@program(vector_and_number)
def decorator_with_arguments():
    def repeat(times):
        def decorate(function):
            @wraps(function)
            def wrapper(x):
                for _ in range(times):
                    x = function(x)
                return x

            return wrapper

        return decorate

    @repeat(3)
    def halve(x):
        """Halves."""
        return x / 2

    def step(x, n):
        return halve(x) * n, halve.__name__, halve.__doc__

    return step


@program()
def decorator_that_counts_calls():
    def counted(function):
        @wraps(function)
        def wrapper(x):
            wrapper.calls += 1
            return function(x)

        wrapper.calls = 0
        return wrapper

    @counted
    def double(x):
        return x * 2

    def step(x):
        return double(double(x)) / double.calls

    return step


@program()
def stacked_decorators():
    order = []

    def tag(name):
        def decorate(function):
            def wrapper(x):
                order.append(name)
                return function(x)

            return wrapper

        return decorate

    @tag("outer")
    @tag("inner")
    def identity(x):
        return x

    def step(x):
        return identity(x) + len(order)

    return step


@program()
def decorator_made_inside_the_step():
    def step(x):
        def twice(function):
            return lambda y: function(function(y))

        @twice
        def grow(y):
            return y * 1.5 + x

        return grow(x)

    return step


@program(lambda call: (torch.randn(3), 2 + call % 4))
def recursion_on_a_number():
    def power(x, n):
        if n == 0:
            return torch.ones_like(x)
        return x * power(x, n - 1)

    def step(x, n):
        return power(x, n)

    return step


@program(lambda call: (torch.randn(2), 1 + call % 5))
def mutual_recursion():
    def step(x, n):
        return ping(x, n)

    return step


@program(lambda call: (torch.rand(2) + 0.1 + call % 3,))
def recursion_on_a_tensor():
    def shrink(x, depth):
        if x.sum() < 1:
            return x, depth
        return shrink(x * 0.6, depth + 1)

    def step(x):
        return shrink(x, 0)

    return step


@program(lambda call: (torch.randn(1), 5 + call % 3))
def recursion_with_two_calls():
    def fib(x, n):
        return x * n if n < 2 else fib(x, n - 1) + fib(x, n - 2)

    def step(x, n):
        return fib(x, n)

    return step


@program(lambda call: (torch.randn(2), [1, [2, [3, 4]], [[call % 3]]]))
def recursion_over_a_nested_list():
    def total(x, nest):
        if isinstance(nest, list):
            return sum((total(x, part) for part in nest), x * 0)
        return x * nest

    def step(x, nest):
        return total(x, nest)

    return step


@program(vector_and_number)
def nested_function_calls_itself():
    def step(x, n):
        def down(k):
            return x if k <= 0 else down(k - 1) + k

        return down(n + 2)

    return step


@program()
def function_takes_functions():
    def compose(*functions):
        def composed(x):
            for function in functions:
                x = function(x)
            return x

        return composed

    def step(x):
        return compose(torch.abs, torch.sqrt, lambda y: y + 1)(x)

    return step


@program(vector_and_number)
def functools_partial():
    half = partial(scaled, factor=0.5)

    def step(x, n):
        shift = partial(torch.add, x)
        return half(x), shift(n), half.keywords["factor"], half(x, factor=3)

    return step


@program(lambda call: ([torch.randn(2) for _ in range(1 + call % 3)],))
def functools_reduce():
    def step(parts):
        product = reduce(operator.mul, parts)
        return product, reduce(lambda a, b: a - b, parts, torch.ones(2))

    return step


@program(vector_and_number)
def functools_lru_cache():
    @lru_cache(maxsize=2)
    def table(n):
        return [float(i * n) for i in range(3)]

    def step(x, n):
        return x.sum() * torch.tensor(table(n)), table(n) is table(n)

    return step


@program()
def functools_cached_property():
    class Statistics:
        def __init__(self, x):
            self.x = x
            self.computed = 0

        @functools.cached_property
        def norm(self):
            self.computed += 1
            return self.x.norm()

    def step(x):
        found = Statistics(x)
        return found.norm * found.norm, found.computed, "norm" in vars(found)

    return step


@program(lambda call: ([torch.ones(2), 3, 2.0, "ab"][call % 4],), graphs=4)
def functools_singledispatch():
    @functools.singledispatch
    def double(value):
        return value + value

    @double.register
    def _(value: int):
        return torch.tensor(value * 2)

    @double.register(float)
    def _(value):
        return torch.full((2,), value)

    def step(value):
        return double(value)

    return step


@program()
def attributes_of_a_function():
    def scale(x):
        scale.uses += 1
        return x * scale.factor

    scale.uses, scale.factor = 0, 0.5

    def step(x):
        y = scale(x)
        if scale.uses % 3 == 0:
            scale.factor *= 2
        return y

    return step


@program()
def bound_method_is_kept():
    def step(x):
        parts = []
        push = parts.append
        push(x)
        push(x.relu())
        multiply = x.mul
        return torch.stack(parts), multiply(2)

    return step


@program(vector_and_number)
def builtin_functions_as_values():
    def step(x, n):
        function = (max, min, sum)[n]
        return function([1, 5, 3]) * x, [f(-2.5) for f in (abs, int, round, str)]

    return step


@program()
def immediately_called_lambda():
    def step(x):
        return (lambda y, *, k=2: y * k)(x) + (lambda: x.sum())()

    return step


@program(vector_and_number)
def rebound_global_function():
    def step(x, n):
        global scaled
        before = scaled
        if n == 2:
            scaled = lambda x, factor=1.0: x + factor
        y = scaled(x)
        scaled = before
        return y

    return step


@program()
def several_results_are_unpacked():
    def statistics(x):
        return x.mean(), x.std(), {"n": len(x)}

    def step(x):
        mean, std, info = statistics(x)
        return (x - mean) / (std + 1), info["n"]

    return step


@program()
def function_without_return():
    def fill(target, value):
        target.fill_(value)

    def step(x):
        nothing = fill(x, 2.0)
        return nothing, x + 1

    return step


@program(lambda call: (torch.randn(3), torch.nn.functional.relu if call % 2 else torch.sigmoid))
def function_passed_to_the_step():
    def step(x, activation):
        return activation(x) * 2

    return step


@program(matrix)
def callback_stops_a_loop():
    def run(x, callback):
        for i, row in enumerate(x):
            if callback(i, row):
                return i
        return -1

    def step(x):
        seen = []

        def stop(i, row):
            seen.append(i)
            return row.sum() > 1

        return run(x, stop), seen

    return step


@program(opaque=1)
def signature_is_inspected():
    def step(x):
        names = list(inspect.signature(scaled).parameters)
        return x * len(names), names, scaled.__defaults__

    return step


@program(vector_and_number)
def curried_function():
    def add(a):
        return lambda b: lambda c: a + b * c

    def step(x, n):
        return add(x)(n)(x)

    return step


@program()
def argument_is_rebound_in_the_callee():
    def normalise(x):
        x = x - x.mean()
        x /= 2
        return x

    def step(x):
        y = normalise(x)
        return x, y

    return step


@program()
def argument_is_mutated_in_the_callee():
    def clip(x, log):
        x.clamp_(-0.5, 0.5)
        log.append(x.sum().item())

    log = []

    def step(x):
        clip(x, log)
        return x * len(log)

    return step


@program(two_vectors)
def order_of_evaluation_of_arguments():
    order = []

    def noted(name, value):
        order.append(name)
        return value

    def step(a, b):
        y = torch.add(noted("first", a), noted("second", b), alpha=noted("third", 2))
        return y, order[-3:]

    return step


@program()
def map_over_optional_callbacks():
    hooks = [None, torch.abs, None, lambda x: x + 1]

    def step(x):
        for hook in filter(None, hooks):
            x = hook(x)
        hooks.append(hooks.pop(0))
        return x

    return step


@program(vector)
def locals_and_vars():
    def step(x):
        scale = 2
        names = sorted(locals())
        return x * scale, names

    return step


@program()
def operator_module():
    def step(x):
        get = operator.itemgetter(0, -1)
        first, last = get(x)
        shape = operator.attrgetter("shape")(x)
        return operator.sub(last, first), shape, operator.methodcaller("relu")(x)

    return step
