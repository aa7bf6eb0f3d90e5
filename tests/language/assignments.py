"""Every form of assignment, and the expressions that decide what is assigned."""

import torch

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)

calls_seen = 0
last_scale = 1.0
running = {"sum": 0.0, "calls": 0}


@program()
def one_value_to_several_names():
    def step(x):
        a = b = x.relu()
        a = a + 1
        return a, b, a is b

    return step


@program()
def swap_without_a_temporary():
    def step(x):
        low, high = x.min(), x.max()
        if x.sum() < 0:
            low, high = high, low
        return low - high

    return step


@program(lambda call: (torch.randn(2 + call % 3, 3),), graphs=2)
def unpack_the_rows_with_a_star():
    def step(x):
        first, *rest = x
        return first, len(rest), sum(rest, first * 0)

    return step


@program(lambda call: (torch.randn(3 + call % 3, 2),), graphs=3)
def star_in_the_middle():
    def step(x):
        first, *middle, last = x.unbind()
        return [last - first, *middle]

    return step


@program(two_vectors)
def nested_unpacking():
    def step(a, b):
        (low, high), [left, (right, extra)] = (a, b), [a * 2, (b * 3, 1)]
        return low + left + high * right + extra

    return step


@program(matrix)
def unpack_a_shape():
    def step(x):
        rows, columns = x.shape
        return x.reshape(columns, rows) * rows - columns

    return step


@program(lambda call: ([torch.randn(2) for _ in range(2 + (call % 3 == 1))],))
def the_wrong_number_of_values():
    def step(parts):
        left, right = parts
        return left * right

    return step


@program()
def in_place_addition_is_seen_through_an_alias():
    def step(x):
        y = x
        y += 1
        return y is x

    return step


@program()
def addition_makes_another_tensor():
    def step(x):
        y = x
        y = y + 1
        return y is x, y

    return step


@program(vector_and_number)
def every_augmented_operator_on_a_tensor():
    def step(x, n):
        y = x.clone()
        y -= n
        y *= n + 1
        y /= 2
        y **= 2
        y //= 1
        y %= 5
        return y

    return step


@program(vector_and_number)
def augmented_operators_on_an_int():
    def step(x, n):
        n += 3
        n <<= 2
        n ^= 5
        n |= 2
        n &= 30
        n >>= 1
        n //= 2
        n %= 7
        return x * n, n

    return step


@program(lambda call: (torch.randn(2, 3), torch.randn(3, call % 3 + 1)))
def augmented_matrix_product():
    def step(a, b):
        a @= torch.eye(3)
        c = a
        c = c @ b
        return c

    return step


@program()
def augmented_list_is_the_same_list():
    def step(x):
        parts = [x]
        alias = parts
        parts += [x * 2]
        parts *= 2
        return len(alias), alias is parts, torch.cat(alias)

    return step


@program()
def augmented_attribute_evaluates_its_object_once():
    class Box:
        total = 0.0

    box = Box()
    asked = []

    def get():
        asked.append(len(asked))
        return box

    def step(x):
        get().total += x.sum()
        return get().total * 2

    return step, (box, asked)


@program(vector_and_number)
def augmented_item_evaluates_its_index_once():
    counts = [0, 0, 0]
    asked = []

    def index(n):
        asked.append(n)
        return n

    def step(x, n):
        counts[index(n)] += 1
        return x * counts[n]

    return step


@program()
def delete_a_local():
    def step(x):
        y = x * 2
        z = y + 1
        del y
        try:
            return y  # noqa: F821
        except UnboundLocalError as error:
            return z, str(error)

    return step


@program(vector_and_number)
def delete_items_and_slices():
    def step(x, n):
        parts = [x + i for i in range(5)]
        del parts[n]
        del parts[1:3]
        table = {"a": x, "b": x * 2, "c": 3}
        del table["b"]
        return parts, table

    return step


@program()
def delete_an_attribute():
    class Cell:
        pass

    cell = Cell()

    def step(x):
        had = hasattr(cell, "hidden")
        if had:
            x = x + cell.hidden
            del cell.hidden
        else:
            cell.hidden = x.sum()
        return x, had

    return step


@program()
def global_counter():
    def step(x):
        global calls_seen
        calls_seen += 1
        return x * calls_seen

    return step


@program()
def global_that_is_made_and_deleted():
    def step(x):
        global made_inside
        made_inside = x.mean()
        y = x - made_inside
        del made_inside
        return y, "made_inside" in globals()

    return step


@program()
def global_dict_of_statistics():
    def step(x):
        running["sum"] = running["sum"] * 0.9 + x.sum().item()
        running["calls"] += 1
        return x / running["calls"]

    return step


@program()
def global_read_before_it_is_changed():
    def step(x):
        global last_scale
        y = x * last_scale
        last_scale = 2.0 if x.sum() > 0 else 0.5
        return y

    return step


@program()
def nonlocal_running_mean():
    mean = torch.zeros(())

    def step(x):
        nonlocal mean
        mean = 0.9 * mean + 0.1 * x.mean()
        return x - mean

    return step


@program()
def walrus_in_a_condition():
    def step(x):
        if (total := x.sum()) > 0:
            return x / total
        return x - total

    return step


@program(lambda call: (torch.full((4,), 20.0 + 10 * (call % 3)),))
def walrus_in_a_loop():
    def step(x):
        halvings = 0
        while (norm := x.norm()) > 5:
            x = x / 2
            halvings += 1
        return norm, halvings

    return step


@program()
def walrus_in_a_comprehension_is_a_local():
    def step(x):
        squares = [last := row * row for row in x]
        return torch.stack(squares).sum() + last

    return step


@program(vector_and_number)
def conditional_expression_on_a_number():
    def step(x, n):
        return x.exp() if n == 0 else x.sin() if n == 1 else x.cos()

    return step


@program()
def conditional_expression_on_a_tensor():
    def step(x):
        scale = 2.0 if x.mean() > 0 else 3
        return x * scale, type(scale).__name__

    return step


@program(lambda call: (torch.randn(3), [None, 0, 2.5][call % 3]))
def or_gives_an_operand():
    def step(x, scale):
        scale = scale or 1.5
        return x * scale, scale

    return step


@program(lambda call: (torch.randn(3), [[], [1], [2, 3]][call % 3]))
def and_gives_an_operand():
    def step(x, extra):
        found = extra and extra[-1]
        return x, found

    return step


@program()
def short_circuit_leaves_effects_out():
    log = []

    def noted(name, value):
        log.append(name)
        return value

    def step(x):
        positive = x.sum().item() > 0
        if noted("left", positive) and noted("right", x.numel() > 3):
            return x * 2
        if noted("or", not positive) or noted("last", x.numel() > 3):
            return x * 3
        return x

    return step


@program()
def boolean_operators_of_tensors():
    def step(x):
        total, peak = x.sum() > 0, x.max() > 1
        both, either = total and peak, total or peak
        return both, either, not total, both is peak

    return step


@program(lambda call: (torch.randn(3), call % 4 - 1.0))
def chained_comparison():
    def step(x, n):
        if 0 <= n < 2 != 5:
            return x * n
        return x - n

    return step


@program()
def chained_comparison_of_tensors():
    def step(x):
        middle = x.mean()
        inside = x.min() <= middle <= x.max() and -1 < middle < 1
        return x if inside else x * 0

    return step


@program(lambda call: (torch.arange(12.0).reshape(3, 4), call % 3))
def read_slices_of_all_kinds():
    def step(x, n):
        return x[n], x[n:], x[:, ::2], x[..., -1], x[None, n, 1:3], x[-1:, : n + 1]

    return step


@program(lambda call: (torch.zeros(4, 5), call % 3))
def write_slices_of_all_kinds():
    def step(x, n):
        x[n] = 1
        x[n + 1 :, 0] = torch.arange(3.0 - n)
        x[..., -1] += n
        x[1:3, 1:3] *= 2
        x[:, [0, 2]] -= 0.5
        return x.sum()

    return step


@program(vector_and_number)
def slices_of_a_list_are_assigned():
    def step(x, n):
        parts = list(range(6))
        parts[n : n + 2] = [x, x, x]
        parts[::4] = ["a", "b"]
        window = slice(1, None, 2)
        return parts, parts[window]

    return step


@program(vector_and_number)
def formatted_strings():
    def step(x, n):
        width = 8
        name = f"layer{n:02d}"
        return f"{name!r:>12}|{x.sum().item():{width}.3f}|{n=}|{{}}|{len(x):x}"

    return step


@program(lambda call: (torch.randn(2), ["relu", "tanh", "other"][call % 3]))
def match_a_literal():
    def step(x, name):
        match name:
            case "relu":
                return x.relu()
            case "tanh" | "sigmoid":
                return x.tanh()
            case _:
                return x

    return step


@program(lambda call: ([torch.randn(2) for _ in range(call % 4)],), graphs=2)
def match_a_sequence():
    def step(parts):
        match parts:
            case []:
                return None
            case [only]:
                return only
            case [first, second]:
                return first - second
            case [first, *rest]:
                return first, len(rest)

    return step


@program(lambda call: ({"kind": ["scale", "shift", "none"][call % 3], "by": 2.0, "x": 1},))
def match_a_mapping():
    def step(order):
        x = torch.arange(3.0)
        match order:
            case {"kind": "scale", "by": by, **rest}:
                return x * by, rest
            case {"kind": "shift", "by": float(by)}:
                return x + by
            case {"kind": str() as kind}:
                return x, kind

    return step


@program(lambda call: (torch.randn(3), call % 3))
def match_a_class():
    class Scale:
        __match_args__ = ("factor",)

        def __init__(self, factor):
            self.factor = factor

    class Shift:
        def __init__(self, by):
            self.by = by

    orders = [Scale(2.0), Shift(1.0), Scale(0.0)]

    def step(x, n):
        match orders[n]:
            case Scale(0.0):
                return x * 0
            case Scale(factor):
                return x * factor
            case Shift(by=amount):
                return x + amount

    return step


@program(lambda call: ((call % 3, torch.randn(2)),))
def match_with_a_guard():
    def step(pair):
        match pair:
            case (0, x):
                return x
            case (n, x) if x.sum() > 0:
                return x * n
            case (int(n), torch.Tensor() as x):
                return x - n

    return step


@program(lambda call: ([1, 2.5, "text", None, True, torch.ones(2)][call % 6],), graphs=6)
def match_builtin_types():
    def step(value):
        match value:
            case bool():
                return "bool"
            case int(n):
                return torch.ones(2) * n
            case float():
                return torch.ones(2) * value
            case str() | None:
                return value
            case other:
                return other + 1

    return step


@program(lambda call: (torch.randn(3), call % 2))
def match_a_dotted_name():
    class Mode:
        FAST = 0
        SLOW = 1

    def step(x, mode):
        match mode:
            case Mode.FAST:
                return x * 2
            case Mode.SLOW:
                return x / 3

    return step


@program()
def assert_that_sometimes_fails():
    def step(x):
        assert x.sum() > 0, f"{len(x)} values are negative"
        return x.log()

    return step


@program(lambda call: (torch.full((3,), float(call % 3)), torch.tensor(call % 2)), graphs=1)
def assert_in_a_branch_of_the_graph():
    def step(x, way):
        if way.item():
            x = x + 1
            assert x.sum() > 0
            x = x * 2
        return x

    return step


@program(lambda call: (torch.full((3,), float(call % 2)),), graphs=2)
def assert_that_the_program_catches():
    def step(x):
        try:
            assert x.sum() > 1, "too little"
        except AssertionError as error:
            return x - 1, str(error)
        return x * 2, ""

    return step


@program(vector_and_number)
def assert_without_a_message():
    def step(x, n):
        assert n < 2
        return x + n

    return step


@program()
def annotated_assignment():
    def step(x):
        scale: float = 2.0
        shift: int
        total: torch.Tensor = x * scale
        try:
            return total + shift  # noqa: F821
        except UnboundLocalError:
            return total

    return step


@program(two_vectors)
def subscripted_targets_are_assigned_in_order():
    def step(a, b):
        parts = [a, b, None]
        i = 0
        i, parts[i] = 1, a + b
        parts[i], i = a * b, 2
        return parts, i

    return step


@program()
def unpack_into_attributes_and_items():
    class Slot:
        pass

    slot, table = Slot(), {}

    def step(x):
        slot.low, table["high"], *table["rest"] = x.sort().values
        return slot.low + table["high"]

    return step


@program()
def star_in_a_display():
    def step(x):
        head = (x, x + 1)
        both = [*head, *reversed(head)]
        table = {"a": 1, **{"b": 2, "a": 3}}
        return torch.stack(both), {*table, "c"} == {"a", "b", "c"}, table

    return step


@program()
def name_bound_on_one_path_only():
    def step(x):
        if x.sum() > 0:
            bonus = x.max()
        try:
            return x + bonus
        except NameError as error:
            return type(error).__name__, str(error)

    return step


@program(vector)
def boolean_mask_is_assigned():
    def step(x):
        x[x < 0.5] = 0.0
        y = torch.zeros_like(x)
        y[x > 1] = x[x > 1] * 2
        return y

    return step


@program()
def identity_and_membership():
    def step(x):
        y = x.view(-1)
        z = x.contiguous()
        found = any(item is x for item in [y, z])
        return y is x, z is x, z is not y, found, len(x) in (3, 4)

    return step


@program(vector_and_number)
def arithmetic_of_ints_follows_python():
    def step(x, n):
        n = n - 2
        big = (n * 7 - 1) ** 21
        return x, -7 // 2 + n, n % 3, divmod(n * 5, 3), 2**-1, big, ~n, n // -3

    return step


@program(lambda call: (torch.randn(2), 1.5 * call - 4))
def arithmetic_of_floats_follows_python():
    def step(x, f):
        return f % 3, f // 2, -f % 2.5, round(f), round(f / 3, 2), abs(f) ** 0.5, x * (f**2)

    return step


@program()
def division_of_a_number_by_zero():
    def step(x):
        positives = int((x > 0).sum())
        return x.sum() / (10 // positives)

    return step
