"""Containers, and the built-in functions and itertools that people use on them."""

import bisect
import copy
import heapq
import itertools
import math
import statistics
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque

import torch

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)


@program()
def list_is_filled_and_stacked():
    def step(x):
        parts = []
        for value in x:
            parts.append(value * 2)
        return torch.stack(parts)

    return step


@program(vector_and_number)
def list_methods():
    def step(x, n):
        parts = [3, 1]
        parts.extend([n, 2])
        parts.insert(1, 7)
        removed = parts.pop(0)
        parts.remove(2)
        parts.reverse()
        return x * removed, parts, parts.index(7), parts.count(1), parts.copy() is parts

    return step


@program(vector_and_number)
def list_sort_with_a_key():
    def step(x, n):
        names = ["bb", "a", "dddd", "ccc"]
        names.sort(key=len, reverse=n == 1)
        return x * len(names[0]), names

    return step


@program()
def list_kept_between_calls():
    history = []

    def step(x):
        history.append(x.mean())
        return sum(history) / len(history)

    return step


@program(lambda call: ([torch.randn(2) for _ in range(2 + call % 2)],))
def list_argument_is_changed():
    def step(parts):
        parts.append(parts[0] + parts[1])
        parts[0] = None
        return len(parts)

    return step


@program()
def one_list_in_two_places():
    shared = [0]
    table = {"a": shared, "b": [shared]}

    def step(x):
        table["a"].append(len(shared))
        return x * len(table["b"][0]), table["b"][0] is shared

    return step


@program()
def rows_of_a_multiplied_list_are_one():
    def step(x):
        grid = [[0] * 2] * 2
        grid[0][1] = x.sum()
        copied = [row[:] for row in grid]
        copied[0][0] = 1
        return grid, copied, grid[0] is grid[1]

    return step


@program(vector_and_number, opaque=1)
def shallow_and_deep_copies():
    def step(x, n):
        nest = {"x": x, "rows": [[n], [2]]}
        shallow, deep = copy.copy(nest), copy.deepcopy(nest)
        nest["rows"][0].append(9)
        return shallow["rows"][0], deep["rows"][0], shallow["x"] is x, deep["x"] is x

    return step


@program(two_vectors)
def tuples():
    def step(a, b):
        pair = (a, b) + (a,)
        pair *= 2
        return pair[1:4], pair.count(a) if len(a) == 1 else len(pair), (3, 1) < (3, 2)

    return step


@program(vector_and_number)
def dict_methods():
    def step(x, n):
        table = {"a": 1, "b": 2}
        table.update({"c": n}, d=4)
        popped = table.pop("a")
        missing = table.pop("z", -1)
        made = table.setdefault("e", []) is table["e"]
        last = table.popitem()
        return x * popped, table, missing, made, last, table.get("q", "none")

    return step


@program(vector_and_number)
def dict_keeps_insertion_order():
    table = {}

    def step(x, n):
        table.pop(n, None)
        table[n] = x.sum()
        return list(table), [key for key in reversed(table)]

    return step


@program(two_vectors)
def dict_of_tensors():
    def step(a, b):
        batch = {"input": a, "target": b}
        losses = {name: t.pow(2).mean() for name, t in batch.items()}
        total = sum(losses.values())
        return {**losses, "total": total}, batch.keys() & {"input", "x"}

    return step


@program(lambda call: ({f"k{i}": torch.randn(2) for i in range(1 + call % 3)},))
def dict_argument_is_walked():
    def step(table):
        total = torch.zeros(2)
        for i, (key, value) in enumerate(table.items()):
            total = total + value * (i + 1)
        table["total"] = total
        return sorted(table)

    return step


@program(vector_and_number)
def dict_merge_operators():
    def step(x, n):
        base = {"a": 1, "b": 2}
        merged = base | {"b": n}
        base |= {"c": 3}
        return x * merged["b"], merged, base, "c" in merged

    return step


@program(vector_and_number)
def dict_with_keys_of_many_types():
    def step(x, n):
        table = {1: "int", "1": "str", (1, 2): "tuple", None: "none", 2.5: "float"}
        table[True] = "bool"
        return x * n, table, table[1.0], table.get((1, n), "absent")

    return step


@program(vector_and_number)
def dict_changed_while_iterated():
    def step(x, n):
        table = {0: x, 1: x * 2}
        for key in table:
            table[key] = table[key] + key
        for key in list(table):
            if key == n:
                table[key + 5] = table.pop(key)
        return table

    return step


@program(vector_and_number)
def set_methods():
    def step(x, n):
        seen = {1, 2}
        seen.add(n)
        seen.discard(7)
        seen |= {4}
        other = frozenset([2, 4, 6])
        return x * len(seen), seen & other, seen - other, seen ^ other, seen <= {0, 1, 2, 4}

    return step


@program(vector_and_number)
def set_kept_between_calls():
    seen = set()

    def step(x, n):
        fresh = n not in seen
        seen.add(n)
        return x * 2 if fresh else x, len(seen)

    return step


@program(lambda call: (torch.randint(0, 3, (4 + call % 2,)),))
def set_of_tensor_values():
    def step(x):
        return sorted({int(v) for v in x}), len(set(x.tolist()))

    return step


@program()
def deque_as_a_window():
    window = deque(maxlen=3)

    def step(x):
        window.append(x.mean())
        window.rotate(1)
        return torch.stack(list(window)).mean(), len(window)

    return step


@program(vector_and_number)
def deque_as_a_queue():
    def step(x, n):
        queue, visited = deque([0]), []
        while queue:
            node = queue.popleft()
            visited.append(node)
            queue.extend(child for child in (2 * node + 1, 2 * node + 2) if child < 4 + n)
        queue.appendleft(x)
        return visited, queue

    return step


@program(vector_and_number)
def ordered_dict():
    def step(x, n):
        order = OrderedDict(a=1, b=2, c=3)
        order.move_to_end("abc"[n])
        order.move_to_end("b", last=False)
        return x * order["c"], order, order.popitem(last=False)

    return step


@program(vector_and_number)
def default_dict():
    groups = defaultdict(list)

    def step(x, n):
        groups[n % 2].append(x.shape[0])
        return {key: len(values) for key, values in groups.items()}, x * sum(groups[n])

    return step


@program(vector_and_number)
def default_dict_of_tensors():
    def step(x, n):
        sums = defaultdict(lambda: torch.zeros(()))
        for i, value in enumerate(x):
            sums[i % 2] = sums[i % 2] + value
        return sums[0] - sums[1], list(sums), len(sums)

    return step


@program(lambda call: (["a", "b", "a", "c"][: 2 + call % 3], torch.ones(2)))
def counter():
    total = Counter()

    def step(words, x):
        counts = Counter(words)
        total.update(counts)
        return x * counts["a"], counts.most_common(1), total["zz"], counts - Counter("b")

    return step


@program(vector_and_number)
def chain_map():
    defaults = {"rate": 0.1, "scale": 1}

    def step(x, n):
        options = ChainMap({"scale": n} if n else {}, defaults)
        return x * options["scale"] * options["rate"], dict(options)

    return step


@program(vector_and_number)
def range_objects():
    def step(x, n):
        numbers = range(1, 12, 2 + n)
        return x * numbers[-1], len(numbers), 5 in numbers, list(numbers[1:]), numbers.index(1)

    return step


@program(matrix)
def enumerate_with_a_start():
    def step(x):
        return sum(row * i for i, row in enumerate(x, start=1))

    return step


@program(two_vectors)
def zip_stops_at_the_shortest():
    def step(a, b):
        pairs = list(zip(a, b[:-1], range(10)))
        return len(pairs), [p * q + i for p, q, i in pairs]

    return step


@program(lambda call: (torch.randn(3), torch.randn(4 if call % 3 == 1 else 3)))
def zip_strict_raises():
    def step(a, b):
        total = torch.zeros(())
        for p, q in zip(a, b, strict=True):
            total = total + p * q
        return total

    return step


@program(vector_and_number)
def zip_transposes():
    def step(x, n):
        rows = [(1, 2, 3), (4, 5, n)]
        columns = list(zip(*rows))
        return x * columns[2][1], columns

    return step


@program()
def map_and_filter():
    def step(x):
        doubled = map(lambda v: v * 2, x)
        kept = filter(lambda v: v > 1, doubled)
        return list(kept), list(map(torch.add, x, x))

    return step


@program()
def map_is_lazy():
    log = []

    def noted(v):
        log.append(v)
        return v + 1

    def step(x):
        numbers = map(noted, [1, 2, 3])
        log.append("made")
        return x * next(numbers), log[-1]

    return step


@program()
def sorted_by_tensor_values():
    def step(x):
        order = sorted(range(len(x)), key=lambda i: x[i].item())
        return order, x[order]

    return step


@program(vector_and_number)
def sorted_is_stable():
    def step(x, n):
        pairs = [(i % 2, -i) for i in range(n + 3)]
        return x, sorted(pairs, key=lambda p: p[0]), sorted(pairs, reverse=True)[0]

    return step


@program(matrix)
def reversed_sequences():
    def step(x):
        state = torch.zeros(4)
        for row in reversed(x.unbind()):
            state = state * 0.5 + row
        return state, list(reversed([1, 2, 3])), x.flip(0)[0]

    return step


@program(vector_and_number)
def min_and_max_of_numbers():
    def step(x, n):
        values = [4, n, 7]
        longest = max("aa", "b", "cccc"[: n + 1], key=len)
        return x * min(values), max(values, key=lambda v: -v), min([], default=9), longest

    return step


@program()
def min_and_max_of_tensors():
    def step(x):
        return max(x), min(x[0], x[1]), max(x, key=lambda v: (v - 1).abs())

    return step


@program()
def sum_any_all_len_of_a_tensor():
    def step(x):
        return sum(x), any(x > 1), all(x > 0), len(x), abs(x), round(x.sum().item(), 2)

    return step


@program(lambda call: (["a", "", "c"][: 1 + call % 3], torch.ones(1)))
def any_and_all_of_values():
    def step(words, x):
        return x, any(words), all(words), any([]), all([]), sum(map(len, words), start=1)

    return step


@program(vector_and_number)
def itertools_chain_and_islice():
    def step(x, n):
        parts = itertools.chain([x], (x * i for i in range(5)))
        return list(itertools.islice(parts, n, None, 2))

    return step


@program(lambda call: (torch.randn(2 + call % 3),))
def itertools_combinations():
    def step(x):
        pairs = [(a - b).abs() for a, b in itertools.combinations(x, 2)]
        return torch.stack(pairs).max(), len(list(itertools.permutations(range(3), 2)))

    return step


@program(vector_and_number)
def itertools_product_and_repeat():
    def step(x, n):
        grid = [x * (i - j) for i, j in itertools.product(range(2), repeat=2)]
        return grid[n], list(itertools.repeat(n, 2)), list(itertools.starmap(pow, [(2, n)]))

    return step


@program(vector_and_number)
def itertools_accumulate_and_pairwise():
    def step(x, n):
        sums = list(itertools.accumulate(x))
        steps = [b - a for a, b in itertools.pairwise(sums)]
        return sums[-1], steps, list(itertools.accumulate([1, 2, n], lambda a, b: a * b))

    return step


@program(vector_and_number)
def itertools_groupby_and_takewhile():
    def step(x, n):
        groups = {k: len(list(g)) for k, g in itertools.groupby([0, 0, 1, n, n])}
        taken = list(itertools.takewhile(lambda v: v < 3, itertools.count(n)))
        return x, groups, taken, list(itertools.dropwhile(lambda v: v < 2, [1, 2, 1]))

    return step


@program()
def itertools_cycle_kept_between_calls():
    signs = itertools.cycle([1, -1, 0.5])

    def step(x):
        return x * next(signs)

    return step


@program(vector_and_number)
def itertools_zip_longest_and_tee():
    def step(x, n):
        pairs = list(itertools.zip_longest(range(n), "ab", fillvalue="-"))
        left, right = itertools.tee(x.unbind())
        next(right)
        return pairs, [b - a for a, b in zip(left, right)]

    return step


@program(vector_and_number)
def math_functions():
    def step(x, n):
        angle = math.pi * n / 4
        scale = math.sqrt(n + 1) + math.floor(2.7) - math.ceil(0.2) + math.log2(8)
        return x * math.cos(angle), scale, math.isclose(scale, 5.0), math.gcd(12, 8 + n)

    return step


@program()
def math_of_tensor_values():
    def step(x):
        total = x.sum()
        return math.exp(-abs(total)), math.isnan(total), math.prod(x.shape), math.hypot(3, total)

    return step


@program()
def math_domain_error():
    def step(x):
        return x * math.sqrt(x.sum().item())

    return step


@program(lambda call: (torch.randn(5), 1 + call % 3))
def heap_of_scores():
    def step(x, k):
        heap = []
        for i, value in enumerate(x.tolist()):
            heapq.heappush(heap, (value, i))
            if len(heap) > k:
                heapq.heappop(heap)
        return [i for _, i in sorted(heap)], heapq.nlargest(1, [3, 1, 2])

    return step


@program(vector_and_number)
def bisect_and_statistics():
    def step(x, n):
        grades = [0.5, 1.5, 2.5]
        bisect.insort(grades, n)
        return x * bisect.bisect(grades, 1), grades, statistics.median([n, 4, 1])

    return step


@program(matrix)
def nested_structures_of_tensors():
    def step(x):
        nest = {"layers": [(x, {"grad": x * 2}), (x[0], {"grad": None})]}
        for tensor, extra in nest["layers"]:
            extra["norm"] = tensor.norm() if extra["grad"] is not None else 0
        return nest

    return step


@program(vector_and_number)
def string_methods():
    def step(x, n):
        name = "layer.{}.weight".format(n)
        head, _, tail = name.rpartition(".")
        parts = name.split(".")
        text = "-".join(p.upper() for p in parts) + tail * n
        return x, head, text, name.startswith("layer"), parts[1].isdigit(), text.find("W")

    return step


@program(vector)
def list_membership_compares_by_identity_first():
    def step(x):
        items = [x, x + 1]
        return x in items, items.index(x), items.count(x) if len(x) < 2 else None

    return step


@program(matrix)
def unzip_into_columns():
    def step(x):
        pairs = [(row.sum(), row.max()) for row in x]
        sums, peaks = map(torch.stack, zip(*pairs))
        return sums / peaks

    return step


@program(vector_and_number)
def queue_of_fixed_capacity():
    buffer, cursor = [None] * 3, [0]

    def step(x, n):
        buffer[cursor[0]] = x.sum()
        cursor[0] = (cursor[0] + 1) % len(buffer)
        kept = [item for item in buffer if item is not None]
        return torch.stack(kept).mean() + n

    return step
