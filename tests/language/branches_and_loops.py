"""Branches, loops, exceptions and context managers, on Python values and on tensors."""

import contextlib

import torch

from tests.language.conformance import matrix, program, two_vectors, vector_and_number


@program()
def if_on_a_tensor():
    def step(x):
        if x.sum() > 0:
            y = x.exp()
        else:
            y = x.abs()
        return y + 1

    return step


@program(vector_and_number)
def elif_chain_on_a_number():
    def step(x, n):
        if n == 0:
            return x
        elif n == 1:
            x = x * 2
        else:
            x = x - 1
        return x.tanh()

    return step


@program()
def if_without_else_changes_a_local():
    def step(x):
        count = 0
        if x.max() > 1:
            x = x.clamp(max=1)
            count = 1
        if x.min() < -1:
            x = x.clamp(min=-1)
            count += 2
        return x, count

    return step


@program(two_vectors)
def nested_branches():
    def step(a, b):
        if a.sum() > 0:
            if b[0] > a[0]:
                return a * b
            out = a - b
        else:
            if b[0] > a[0]:
                out = a + b
            else:
                return a / 2
        return out * 3

    return step


@program()
def pass_in_a_branch():
    def step(x):
        if x.sum() > 0:
            pass
        else:
            x = -x
        return x.sqrt()

    return step


@program(lambda call: (torch.randn(2 + call % 3, 4),))
def for_over_the_rows():
    def step(x):
        state = torch.zeros(4)
        for row in x:
            state = torch.tanh(state + row)
        return state

    return step


@program(lambda call: (torch.randn(3), call % 5))
def for_over_a_range():
    def step(x, n):
        total = x * 0
        for i in range(n):
            total = total + x * i
        return total

    return step


@program(lambda call: (torch.randn(3), call % 3))
def range_with_a_step_down():
    def step(x, n):
        parts = []
        for i in range(6, n, -2):
            parts.append(x * i)
        return torch.stack(parts), i

    return step


@program()
def for_else_without_break():
    def step(x):
        for value in x:
            if value > 1:
                break
        else:
            return x - 1
        return x + value

    return step


@program(lambda call: (torch.full((2,), 1.0 + call % 4),))
def while_on_a_tensor():
    def step(x):
        while x.sum() < 20:
            x = x * 2
        return x

    return step


@program(vector_and_number)
def while_with_else():
    def step(x, n):
        while n < 5:
            x = x + n
            n += 2
            if n == 4:
                break
        else:
            x = -x
        return x, n

    return step


@program(lambda call: (torch.randn(6), call % 3))
def continue_skips_the_rest():
    def step(x, n):
        total = torch.zeros(())
        for i, value in enumerate(x):
            if i % 3 == n:
                continue
            if value < 0:
                continue
            total = total + value
        return total

    return step


@program(lambda call: (torch.randn(4, 4) - 0.5,))
def break_out_of_two_loops_by_a_flag():
    def step(x):
        found = None
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                if x[i, j] > 0.8:
                    found = (i, j)
                    break
            if found is not None:
                break
        return found

    return step


@program(matrix)
def return_from_the_middle_of_a_loop():
    def step(x):
        for index, row in enumerate(x):
            if row.sum() > 0:
                return index, row
        return None

    return step


@program(lambda call: (torch.ones(2), 3 + call % 3))
def while_true_with_break():
    def step(x, limit):
        rounds = 0
        while True:
            x = x * 1.5
            rounds += 1
            if rounds >= limit:
                break
        return x, rounds

    return step


@program(lambda call: (torch.randn(3, 2), call % 4))
def loop_that_may_not_run():
    def step(x, n):
        last = "none"
        for i in range(n):
            last = x[i % 3] * 2
        return last

    return step


@program()
def loop_variable_survives():
    def step(x):
        for i, value in enumerate(x):
            pass
        return i, value

    return step


@program(lambda call: (torch.randn(4, 3), torch.arange(4) % (1 + call % 3)))
def loop_with_tensor_conditions_inside():
    def step(x, kinds):
        out = []
        for row, kind in zip(x, kinds):
            if kind == 0:
                out.append(row.relu())
            elif kind == 1:
                out.append(-row)
            else:
                out.append(row.sigmoid())
        return torch.stack(out)

    return step


@program(vector_and_number)
def try_and_except():
    table = {0: 1.0, 2: 4.0}

    def step(x, n):
        try:
            scale = table[n]
        except KeyError as error:
            return x, error.args[0]
        return x * scale

    return step


@program(vector_and_number)
def try_else_and_finally():
    log = []

    def step(x, n):
        try:
            y = x / (2 // (2 - n))
        except ZeroDivisionError:
            log.append("except")
            y = x
        else:
            log.append("else")
            y = y + 1
        finally:
            log.append("finally")
        return y

    return step


@program(vector_and_number)
def several_except_clauses():
    values = ["1", None, "x"]

    def step(x, n):
        try:
            return x + int(values[n])
        except (TypeError, AttributeError):
            return x * 2
        except ValueError as error:
            return x, str(error)

    return step


@program(vector_and_number)
def finally_overrides_a_return():
    def step(x, n):
        try:
            return x
        finally:
            if n == 1:
                return x * 2

    return step


@program(vector_and_number)
def break_in_finally():
    def step(x, n):
        for i in range(4):
            try:
                x = x + i
                if i == 3:
                    raise ValueError(i)
            finally:
                if i == n + 1:
                    break
        return x

    return step


@program(vector_and_number)
def continue_in_try():
    seen = []

    def step(x, n):
        for i in range(3):
            try:
                if i == n:
                    continue
                x = x * (i + 1)
            finally:
                seen.append(i)
        return x

    return step


@program()
def raise_for_the_caller():
    def step(x):
        if x.sum() < 0:
            raise ValueError(f"{x.numel()} negative numbers")
        return x.log()

    return step


@program(vector_and_number)
def raise_one_from_another():
    def step(x, n):
        try:
            return x / (1 // n)
        except ZeroDivisionError as error:
            raise RuntimeError("no scale") from error

    return step


@program(vector_and_number)
def raise_while_another_is_handled():
    def step(x, n):
        try:
            [x][n]
        except IndexError:
            if n == 2:
                raise KeyError("while handling")
        return x

    return step


@program(vector_and_number)
def raise_it_again():
    log = []

    def step(x, n):
        try:
            if n:
                raise LookupError(n)
        except LookupError:
            log.append(n)
            if n == 2:
                raise
        return x * n

    return step


@program()
def an_exception_class_of_the_user():
    class Diverged(Exception):
        def __init__(self, norm):
            super().__init__("diverged")
            self.norm = norm

    def check(x):
        if x.sum() < 0:
            raise Diverged(x.norm())
        return x

    def step(x):
        try:
            return check(x) * 2
        except Diverged as error:
            return error.norm, str(error)

    return step


@program(lambda call: (torch.randn(2, 3), torch.randn(3 if call % 2 else 4, 2)))
def catch_what_an_operator_raises():
    def step(a, b):
        try:
            return a @ b
        except RuntimeError as error:
            return a.sum(), "cannot be multiplied" in str(error)

    return step


@program()
def exception_name_is_unbound_after_its_clause():
    def step(x):
        error = None
        try:
            raise ValueError("gone")
        except ValueError as error:
            text = str(error)
        try:
            error
        except NameError:
            return x, text
        return x

    return step


@program(lambda call: (torch.randn(3), call % 3))
def exception_group():
    def step(x, n):
        try:
            if n:
                raise ExceptionGroup("many", [ValueError(n), TypeError("t")][:n])
        except* ValueError as group:
            x = x + len(group.exceptions)
        except* TypeError:
            x = x * 2
        return x

    return step


@program()
def no_grad_block():
    weight = torch.nn.Parameter(torch.ones(1))

    def step(x):
        with torch.no_grad():
            y = x * weight
            inside = torch.is_grad_enabled()
        return y, inside, torch.is_grad_enabled()

    return step


@program()
def no_grad_as_a_decorator():
    weight = torch.nn.Parameter(torch.full((1,), 0.5))

    @torch.no_grad()
    def decay(rate):
        weight.mul_(1 - rate)

    def step(x):
        decay(0.1)
        return (x * weight).detach()

    return step


@program(vector_and_number)
def grad_mode_is_set_by_a_value():
    weight = torch.nn.Parameter(torch.ones(1))

    def step(x, n):
        with torch.set_grad_enabled(n > 0):
            y = (x * weight).sum()
        return y.requires_grad, y.detach()

    return step


@program(matrix)
def autocast_block():
    weight = torch.eye(4)

    def step(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ weight
        return y.dtype, y.float() + (x @ weight)

    return step


@program()
def context_manager_of_the_user():
    class Scaled:
        depth = 0

        def __enter__(self):
            self.depth += 1
            return self

        def __exit__(self, kind, value, trace):
            self.depth -= 1
            return False

    scaled = Scaled()

    def step(x):
        with scaled as outer, scaled:
            x = x * outer.depth
        return x + scaled.depth

    return step


@program()
def context_manager_that_swallows():
    class Ignore:
        def __init__(self, kind):
            self.kind = kind

        def __exit__(self, kind, value, trace):
            return kind is not None and issubclass(kind, self.kind)

        def __enter__(self):
            return self

    def step(x):
        y = x
        with Ignore(ArithmeticError):
            y = x * 2
            y = y / (1 // int(x.sum() > 0))
        return y

    return step


@program()
def contextlib_contextmanager():
    log = []

    @contextlib.contextmanager
    def phase(name):
        log.append(f"begin {name}")
        try:
            yield len(log)
        finally:
            log.append(f"end {name}")

    def step(x):
        with phase("a") as n:
            if x.sum() > 0:
                return x * n
        with phase("b"):
            return x

    return step


@program(vector_and_number)
def contextlib_suppress():
    def step(x, n):
        with contextlib.suppress(IndexError):
            x = x + [1.0, 2.0][n]
            x = x * 3
        return x

    return step


@program(vector_and_number)
def contextlib_exit_stack():
    log = []

    def step(x, n):
        with contextlib.ExitStack() as stack:
            for i in range(n + 1):
                stack.callback(log.append, i)
            y = x * n
        return y

    return step


@program()
def contextlib_nullcontext():
    def step(x):
        quiet = torch.no_grad() if x.sum() > 0 else contextlib.nullcontext()
        with quiet:
            weight = torch.ones(1, requires_grad=True)
            y = weight * x
        return y.requires_grad

    return step


@program(vector_and_number)
def return_from_with_in_a_loop():
    log = []

    @contextlib.contextmanager
    def noted(i):
        yield i
        log.append(i)

    def step(x, n):
        for i in range(4):
            with noted(i):
                if i == n:
                    return x * i
        return x

    return step


@program(vector_and_number)
def nested_try():
    def step(x, n):
        try:
            try:
                return x + (1, 2)[n]
            finally:
                x = x * 10
        except IndexError:
            return x

    return step


@program(lambda call: (torch.randn(3, 3), call % 3))
def loop_in_try_in_loop():
    def step(x, n):
        out = []
        for i in range(3):
            try:
                for j in range(3):
                    if (i, j) == (1, n):
                        raise StopIteration(j)
                    out.append(x[i, j])
            except StopIteration as stop:
                out.append(x[i].sum() + stop.value)
        return torch.stack(out)

    return step


@program(lambda call: (torch.linspace(-1, 1, 3 + call % 3),))
def branch_on_each_element():
    def step(x):
        y = x.clone()
        for i in range(len(x)):
            if x[i] < 0:
                y[i] = 0
            elif x[i] == 0:
                y[i] = 9
        return y

    return step


@program(lambda call: (torch.randn(3, 4), ["mean", "sum", "none"][call % 3]))
def branch_on_a_string():
    def step(x, reduction):
        loss = x.pow(2)
        if reduction != "none":
            loss = loss.mean() if reduction == "mean" else loss.sum()
        return loss

    return step


@program(lambda call: (torch.randn(2, 4), call))
def branch_that_turns_after_the_profile():
    def step(x, call):
        if call < 5:
            return x.relu()
        return x.relu() + 1

    return step


@program(lambda call: (torch.randn(1 + call, 3),))
def trip_count_never_seen_before():
    def step(x):
        state = torch.ones(3)
        for i in range(x.shape[0]):
            state = state * 0.5 + x[i]
        return state

    return step


@program(lambda call: (torch.tensor(4 + call % 3),))
def range_over_a_tensor():
    def step(n):
        total = torch.zeros(())
        for i in range(n):
            total = total + i * i
        return total

    return step


@program(lambda call: (torch.tensor(17 + 10 * (call % 3)),))
def collatz_on_an_integer_tensor():
    def step(n):
        steps = 0
        while n != 1 and steps < 50:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return n, steps

    return step


@program(lambda call: (torch.randn(4), torch.randn(4), call % 2 == 0))
def branch_on_a_bool_argument():
    def step(a, b, training):
        if training and a.sum() > b.sum():
            return a - b
        return b * (not training)

    return step


@program(vector_and_number)
def empty_loop_body_over_an_iterator():
    def step(x, n):
        numbers = iter(range(5))
        for i in numbers:
            if i == n:
                break
        return x * sum(numbers)

    return step


@program()
def inference_mode_block():
    def step(x):
        with torch.inference_mode():
            total = (x * 2).sum()
            scale = total.item()
        return x * scale

    return step


@program()
def default_dtype_is_put_back():
    def step(x):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            wide = torch.ones(2)
        finally:
            torch.set_default_dtype(before)
        return wide, torch.ones(2) + x.sum()

    return step
