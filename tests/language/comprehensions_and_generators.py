"""Comprehensions, generator expressions, generators and iterators."""

import itertools

import torch

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)


def rows_of(x):
    for row in x:
        yield row


@program(matrix)
def list_comprehension():
    def step(x):
        return torch.stack([row * 2 for row in x])

    return step


@program(matrix)
def comprehension_with_a_condition_on_a_tensor():
    def step(x):
        kept = [row.sum() for row in x if row[0] > 0]
        return kept, len(kept)

    return step


@program(lambda call: (torch.randn(2), call % 4))
def comprehension_with_two_loops():
    def step(x, n):
        return [x * (10 * i + j) for i in range(n) for j in range(i) if i + j != 2]

    return step


@program(vector_and_number)
def nested_comprehension():
    def step(x, n):
        table = [[x.sum() * i * j for j in range(2)] for i in range(n + 1)]
        return torch.stack([torch.stack(row) for row in table])

    return step


@program()
def dict_comprehension():
    def step(x):
        table = {f"p{i}": value for i, value in enumerate(x.unbind())}
        return {key: value for key, value in table.items() if key != "p1"}

    return step


@program(vector_and_number)
def set_comprehension():
    def step(x, n):
        kinds = {i % (n + 1) for i in range(6)}
        return x * len(kinds), sorted(kinds)

    return step


@program()
def generator_expression_in_sum():
    def step(x):
        return sum(value * i for i, value in enumerate(x))

    return step


@program()
def generator_expression_in_any_and_all():
    def step(x):
        return any(v > 1.5 for v in x), all(v < 2 for v in x), max(v.item() for v in x)

    return step


@program()
def generator_expression_is_lazy():
    log = []

    def noted(i):
        log.append(i)
        return i

    def step(x):
        lazy = (noted(i) for i in range(5))
        first = next(lazy)
        log.append("between")
        return x * (first + next(lazy))

    return step


@program(vector_and_number)
def comprehension_variable_does_not_leak():
    def step(x, n):
        i = n
        parts = [x + i for i in range(3)]
        return parts, i

    return step


@program(two_vectors)
def comprehension_over_zip():
    def step(a, b):
        return torch.stack([p * q for p, q in zip(a, b)]).sum()

    return step


@program(vector_and_number)
def comprehension_with_a_conditional_expression():
    def step(x, n):
        return [x if i < n else -x if i == n else None for i in range(4)]

    return step


@program(lambda call: (torch.randn(call % 4, 3),))
def comprehension_that_may_be_empty():
    def step(x):
        sums = [row.sum() for row in x]
        return torch.stack(sums) if sums else torch.zeros(0)

    return step


@program(matrix)
def comprehension_closes_over_locals():
    def step(x):
        mean = x.mean(0)

        def centered():
            return [row - mean for row in x]

        return sum(centered())

    return step


@program(matrix)
def generator_in_a_for():
    def step(x):
        total = torch.zeros(4)
        for row in rows_of(x):
            total = total + row
        return total

    return step


@program(lambda call: (torch.randn(3), call % 4))
def generator_in_list():
    def growing(x, n):
        for i in range(n):
            x = x * 1.1 + i
            yield x

    def step(x, n):
        return list(growing(x, n))

    return step


@program()
def generator_in_tuple_unpacking():
    def moments(x):
        yield x.mean()
        yield x.var()
        yield x.pow(3).mean()

    def step(x):
        mean, variance, third = moments(x)
        return mean + variance * third

    return step


@program(two_vectors)
def generators_in_zip():
    def scaled(x, k):
        while True:
            yield x * k
            k += 1

    def step(a, b):
        return [p - q for p, q, _ in zip(scaled(a, 1), scaled(b, 2), range(3))]

    return step


@program()
def generator_with_next_and_default():
    def positives(x):
        for value in x:
            if value > 0:
                yield value

    def step(x):
        found = positives(x)
        return next(found, None), next(found, "none")

    return step


@program(vector_and_number)
def generator_left_half_way():
    log = []

    def numbers(x):
        try:
            for i in range(5):
                yield x + i
        finally:
            log.append("closed")

    def step(x, n):
        for i, y in enumerate(numbers(x)):
            if i == n:
                return y

    return step


@program()
def yield_from_a_generator():
    def pairs(x):
        yield from (x, x * 2)
        count = yield from inner(x)
        yield count

    def inner(x):
        yield x.relu()
        return 3

    def step(x):
        return list(pairs(x))

    return step


@program(lambda call: (torch.randn(2), [1, [2, [call % 3]], []]))
def recursive_generator():
    def leaves(nest):
        for part in nest:
            if isinstance(part, list):
                yield from leaves(part)
            else:
                yield part

    def step(x, nest):
        return sum(x * leaf for leaf in leaves(nest))

    return step


@program(matrix)
def send_to_a_generator():
    def averager():
        total, count, mean = 0.0, 0, None
        while True:
            value = yield mean
            total = total + value
            count += 1
            mean = total / count

    def step(x):
        average = averager()
        next(average)
        return [average.send(row) for row in x]

    return step


@program(vector_and_number)
def throw_into_a_generator():
    def guarded(x):
        while True:
            try:
                yield x
            except ValueError as error:
                x = x * error.args[0]

    def step(x, n):
        values = guarded(x)
        first = next(values)
        return first, values.throw(ValueError(n))

    return step


@program()
def close_a_generator():
    log = []

    def resource():
        log.append("open")
        try:
            yield 1
            yield 2
        except GeneratorExit:
            log.append("exit")
            raise

    def step(x):
        source = resource()
        y = x * next(source)
        source.close()
        return y, next(source, "closed")

    return step


@program(vector_and_number)
def return_value_of_a_generator():
    def counted(n):
        for i in range(n):
            yield i
        return "done"

    def step(x, n):
        source = counted(n)
        while True:
            try:
                x = x + next(source)
            except StopIteration as stop:
                return x, stop.value

    return step


@program()
def generator_kept_between_calls():
    def schedule():
        rate = 1.0
        while True:
            yield rate
            rate *= 0.5

    rates = schedule()

    def step(x):
        return x * next(rates)

    return step


@program()
def exhausted_generator_is_empty():
    def step(x):
        values = (value * 2 for value in x)
        return sum(values), list(values)

    return step


@program()
def generator_raises_while_consumed():
    def checked(x):
        for value in x:
            if value < 0:
                raise ArithmeticError("negative")
            yield value.sqrt()

    def step(x):
        return torch.stack(list(checked(x)))

    return step


@program(vector_and_number)
def generator_reads_a_variable_late():
    def step(x, n):
        scale = 1
        parts = (x * scale for _ in range(2))
        scale = n
        return list(parts)

    return step


@program()
def outermost_iterable_is_evaluated_at_once():
    def step(x):
        source = [1, 2]
        parts = (x * i for i in source)
        source = [5]
        return list(parts), source

    return step


@program()
def pipeline_of_generators():
    def lines(x):
        yield from x.unbind()

    def positive(values):
        return (v for v in values if v > 0.5)

    def logs(values):
        for v in values:
            yield v.log()

    def step(x):
        return list(logs(positive(lines(x))))

    return step


@program(vector_and_number)
def iterator_class_of_the_user():
    class Halvings:
        def __init__(self, x, n):
            self.x, self.n = x, n

        def __iter__(self):
            return self

        def __next__(self):
            if self.n == 0:
                raise StopIteration
            self.n -= 1
            self.x = self.x / 2
            return self.x

    def step(x, n):
        return [value for value in Halvings(x, n)]

    return step


@program()
def iterable_by_getitem():
    class Window:
        def __init__(self, x):
            self.x = x

        def __getitem__(self, i):
            if i >= 2:
                raise IndexError(i)
            return self.x[i : i + 2]

    def step(x):
        return [part.sum() for part in Window(x)]

    return step


@program(matrix)
def data_loader_of_the_user():
    class Loader:
        def __init__(self, data, size):
            self.data, self.size = data, size

        def __iter__(self):
            for start in range(0, len(self.data), self.size):
                yield self.data[start : start + self.size]

        def __len__(self):
            return -(-len(self.data) // self.size)

    def step(x):
        loader = Loader(x, 2)
        return sum(part.mean() for part in loader) / len(loader)

    return step


@program()
def iter_with_a_sentinel():
    def step(x):
        values = [3, 1, 0, 2]
        taken = [x * v for v in iter(lambda: values.pop(0), 0)]
        return taken, values

    return step


@program()
def star_of_a_generator_expression():
    def step(x):
        return torch.stack([*(v * 2 for v in x)]), max(*(len(x) * i for i in range(3)))

    return step


@program(matrix)
def generator_with_tensor_state():
    def exponential(x, decay):
        mean = x[0]
        for row in x[1:]:
            mean = decay * mean + (1 - decay) * row
            yield mean

    def step(x):
        return torch.cat([m for m in exponential(x, 0.9)] + [x[0]])

    return step


@program(vector_and_number)
def two_consumers_of_one_generator():
    def step(x, n):
        numbers = iter([x + i for i in range(5)])
        pairs = list(zip(numbers, numbers))
        return pairs[n % 2], next(numbers, "empty")

    return step


@program(matrix)
def generator_drives_an_early_exit():
    def norms(x):
        for row in x:
            yield row.norm()

    def step(x):
        total = torch.zeros(())
        for i, norm in enumerate(norms(x)):
            total = total + norm
            if total > 4:
                break
        return i, total

    return step


@program(vector_and_number)
def comprehension_calls_a_method_that_counts():
    class Encoder:
        def __init__(self):
            self.calls = 0

        def encode(self, x):
            self.calls += 1
            return x * self.calls

    encoder = Encoder()

    def step(x, n):
        return [encoder.encode(x) for _ in range(n)]

    return step


@program()
def generator_method_of_an_object():
    class Model:
        def __init__(self):
            self.weights = [torch.full((1,), float(i)) for i in range(3)]

        def named(self):
            for i, weight in enumerate(self.weights):
                yield f"w{i}", weight

    model = Model()

    def step(x):
        return {name: (weight * x).sum() for name, weight in model.named()}

    return step


@program()
def infinite_generator_with_islice():
    def powers(x):
        y = torch.ones_like(x)
        while True:
            yield y
            y = y * x

    def step(x):
        return sum(itertools.islice(powers(x), 1, 4))

    return step


@program(vector_and_number)
def lambda_in_a_comprehension():
    def step(x, n):
        stages = [(lambda t, k=k: t + k) for k in range(n)]
        for stage in stages:
            x = stage(x)
        return x

    return step


@program(vector)
def walrus_filters_a_comprehension():
    def step(x):
        return [(i, y) for i, v in enumerate(x) if (y := v * 2) > 1]

    return step


@program(vector)
def comprehension_in_a_class_body():
    def step(x):
        class Table:
            sizes = [n * 2 for n in range(3)]
            total = sum(sizes)

        return x * Table.total, Table.sizes

    return step


@program(vector)
def zip_of_generators_in_a_variable():
    def numbers(count):
        for number in range(count):
            yield number

    def step(x):
        pairs = zip(numbers(3), numbers(5))
        for i, k in pairs:
            x = x + i * k
        return x

    return step


@program(vector)
def generators_that_are_left_within_others():
    ended = []

    def inner(count):
        try:
            for number in range(count):
                yield number
        finally:
            ended.append("inner")

    def outer(count):
        numbers = inner(count)
        try:
            yield from numbers
        finally:
            ended.append("outer")

    def step(x):
        ended.clear()
        first = next(outer(4)) + next(enumerate(outer(3), start=2))[0]
        for i, k in zip(outer(2), map(abs, outer(3))):
            x = x * (i + 1) + k
        return x + first, list(ended)

    return step


@program(vector)
def exceptions_thrown_through_yield_from():
    def inner(log):
        while True:
            try:
                yield len(log)
            except ValueError as error:
                log.append(str(error))
                if len(log) > 2:
                    return "done"
            finally:
                log.append("inner")

    def outer(log):
        try:
            result = yield from inner(log)
            log.append(result)
            yield from [10, 20]
        except KeyError as error:
            log.append(repr(error))
            yield -1

    def step(x):
        log = []
        numbers = outer(log)
        total = next(numbers) + numbers.throw(ValueError("first"))
        total += numbers.throw(ValueError("second")) + numbers.throw(KeyError("list"))
        numbers.close()
        other = outer(log)
        next(other)
        try:
            other.throw(TypeError("not caught"))
        except TypeError as error:
            log.append(str(error))
        return x * total, log

    return step
