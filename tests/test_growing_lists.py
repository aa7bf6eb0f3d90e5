"""Lists of tensors that grow in loops, branches and recursion: one graph, beside CPython."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.same_function import assert_same_value

LENGTHS = (4, 5, 3, 7, 2, 6, 5, 9)


def assert_one_graph(step: Any) -> None:
    """Of one path: another length would lead to another conversion."""
    assert step.stats["graphs"] == 1, bifront.explain(step)
    assert step.stats["conversions"] <= 3, bifront.explain(step)
    assert step.stats["fallback_calls"] == 0, bifront.explain(step)


def compare(
    function: Callable[..., Any], calls: Sequence[Sequence[Any]], graphs: int | None = 1
) -> Any:
    """All calls give what CPython gives, from one graph; `graphs` None: however that is done."""
    step = bifront.function(function)
    for number, arguments in enumerate(calls):
        expected: Any = None
        raised: Exception | None = None
        try:
            expected = function(*copy.deepcopy(arguments))
        except Exception as error:
            raised = error
        if raised is not None:
            with pytest.raises(type(raised)) as caught:
                step(*copy.deepcopy(arguments))
            assert str(caught.value) == str(raised)
        else:
            found = step(*copy.deepcopy(arguments))
            assert_same_value(found, expected, f"call {number}")
    if graphs is not None:
        assert step.stats["graphs"] == graphs, bifront.explain(step)
        assert step.stats["conversions"] <= 3, bifront.explain(step)
        assert step.stats["graph_calls"] >= len(calls) - 3, bifront.explain(step)
    return step


def sequences(lengths: Sequence[int] = LENGTHS) -> list[tuple[Tensor]]:
    return [(torch.randn(length, 3),) for length in lengths]


# --- Loops -----------------------------------------------------------------------------------


def collected(x: Tensor) -> list[Tensor]:
    """In a list of its own, so that each test says what it does with it."""
    outputs = []
    h = torch.zeros(3)
    for row in x:
        h = torch.tanh(row + h)
        outputs.append(h)
    return outputs


READERS: dict[str, Callable[[list[Tensor]], Any]] = {
    "stack": lambda items: torch.stack(items),
    "stack_last": lambda items: torch.stack(items, dim=-1),
    "stack_by_name": lambda items: torch.stack(tensors=items, dim=1),
    "cat": lambda items: torch.cat(items),
    "cat_last": lambda items: torch.cat(items, dim=-1),
    "length": lambda items: len(items) * torch.ones(2),
    "first": lambda items: items[0] * 2,
    "last": lambda items: items[-1] * 2,
    "before_last": lambda items: items[-2] * 2,
    "by_length": lambda items: items[len(items) - 1] * 2,
    "sum": lambda items: sum(items) / len(items),
    "sum_from": lambda items: sum(items, torch.ones(3)),
    "truth": lambda items: torch.stack(items).sum() if items else torch.zeros(()),
    "mean": lambda items: torch.stack(items).sum() / len(items),
}


@pytest.mark.parametrize("name", READERS)
def test_items_of_a_loop(name: str) -> None:
    read = READERS[name]
    compare(lambda x: read(collected(x)), sequences())


def test_the_length_is_that_of_the_loop() -> None:
    def step(x: Tensor, y: Tensor) -> Tensor:
        return functional.mse_loss(torch.stack(collected(x)), y)

    compare(step, [(torch.randn(n, 3), torch.randn(n, 3)) for n in LENGTHS])


def test_a_while_loop() -> None:
    def step(x: Tensor, limit: Tensor) -> Tensor:
        outputs = [x * 1]
        h = x
        while h.sum() < limit:
            h = h * 2
            outputs.append(h)
        return torch.stack(outputs)

    compare(step, [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0)])


def test_no_iteration_at_all() -> None:
    def step(x: Tensor, limit: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        while x.sum() < limit:
            x = x * 2
            outputs.append(x)
        if outputs:
            return torch.stack(outputs).sum(0)
        return x

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0, 20.0)]
    compare(step, calls)


def test_stack_of_nothing_raises() -> None:
    def step(x: Tensor, limit: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        while x.sum() < limit:
            x = x * 2
            outputs.append(x)
        return torch.stack(outputs)

    calls = [(torch.ones(3) * k, torch.tensor(50.0)) for k in (1.0, 2.0, 0.1, 30.0, 5.0, 20.0)]
    compare(step, calls, graphs=None)


def test_break() -> None:
    def step(x: Tensor) -> Tensor:
        outputs = []
        h = torch.zeros(3)
        for row in x:
            h = torch.tanh(row + h)
            if h.sum() > 1.5:
                break
            outputs.append(h)
        return torch.cat([x.sum(0).unsqueeze(0), *[torch.stack(outputs)]]) if outputs else x

    compare(step, sequences((*LENGTHS, 30, 20)), graphs=None)


def test_two_lists_and_two_items_an_iteration() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor, int]:
        twice, once = [], []
        for row in x:
            twice.append(row * 2)
            once.append(row.sum())
            twice.append(row * 3)
        return torch.stack(twice), torch.stack(once), len(twice)

    compare(step, sequences())


def test_a_list_in_a_dict_and_on_an_object() -> None:
    class Trace:
        def __init__(self) -> None:
            self.items: list[Tensor] = []
            self.named: dict[str, list[Tensor]] = {"h": []}

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        trace = Trace()
        for row in x:
            trace.items.append(row * 2)
            trace.named["h"].append(row.exp())
        return torch.stack(trace.items), torch.cat(trace.named["h"])

    compare(step, sequences())


def test_one_list_by_two_names() -> None:
    def step(x: Tensor) -> tuple[Tensor, int, bool]:
        a: list[Tensor] = []
        b = a
        for row in x:
            a.append(row * 2)
            b.append(row * 3)
        return torch.stack(b), len(a), a is b

    compare(step, sequences())


def test_read_while_it_grows() -> None:
    def step(x: Tensor) -> Tensor:
        outputs = [x[0] * 1]
        for row in x:
            outputs.append(torch.stack(outputs).sum(0) * 0.1 + outputs[-1] + row)
        return torch.stack(outputs)

    compare(step, sequences())


def test_attention_over_what_came_before() -> None:
    def step(x: Tensor) -> Tensor:
        states = [x[0].tanh()]
        for row in x:
            past = torch.stack(states)
            weights = torch.softmax(past @ row, 0)
            states.append((weights.unsqueeze(1) * past).sum(0) + row)
        return states[-1] * 1

    compare(step, sequences())


def test_iterating_over_it() -> None:
    def step(x: Tensor) -> Tensor:
        total = torch.zeros(3)
        for item in collected(x):
            total = total * 0.5 + item
        return total

    compare(step, sequences())


def test_loop_in_a_loop() -> None:
    def step(x: Tensor, n: int) -> Tensor:
        rows = []
        for row in x:
            parts = []
            for k in range(n):
                parts.append(row * k)
            rows.append(torch.stack(parts).sum(0))
        return torch.stack(rows)

    compare(step, [(torch.randn(n, 3), m) for n, m in ((4, 2), (5, 3), (3, 6), (7, 5), (4, 4))])


def test_a_branch_that_appends() -> None:
    def step(x: Tensor) -> Tensor:
        kept = [x.sum(0)]
        if x.sum() > 0:
            kept.append(x.mean(0))
        return torch.stack(kept)

    compare(step, [(torch.randn(4, 3),) for _ in range(10)])


def test_a_branch_in_a_loop_that_appends() -> None:
    def step(x: Tensor) -> Tensor:
        kept = [torch.zeros(3)]
        for row in x:
            if row.sum() > 0:
                kept.append(row * 2)
        return torch.stack(kept)

    compare(step, sequences())


def test_another_dtype_on_the_way() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for t, row in enumerate(x):
            outputs.append(row.double() if t == 2 else row)
        return outputs[0] * 1, outputs[-1] * 1

    compare(step, sequences(), graphs=None)


def test_cleared_and_grown_again() -> None:
    def step(x: Tensor) -> tuple[Tensor, int]:
        outputs = collected(x)
        outputs.clear()
        for row in x:
            outputs.append(row * 5)
        return torch.stack(outputs), len(outputs)

    compare(step, sequences())


def test_grown_on_behind_the_loop() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor, int]:
        outputs = collected(x)
        outputs.append(x.sum(0))
        last = outputs[-1]
        for row in x:
            outputs.append(row)
        return torch.stack(outputs), last, len(outputs)

    compare(step, [(x * 1,) for (x,) in sequences()], graphs=None)


COMPREHENSIONS: dict[str, Callable[[Tensor], Any]] = {
    "rows": lambda x: torch.stack([row * 2 for row in x]),
    "range": lambda x: torch.stack([x[t] * t for t in range(x.size(0))]),
    "again": lambda x: torch.stack([h * 2 for h in collected(x)]),
    "length": lambda x: len([row.exp() for row in x]) * torch.ones(2),
    "sum": lambda x: sum([row.exp() for row in x]),
    "in_turn": lambda x: torch.cat([torch.stack([row * k for k in range(2)]) for row in x]),
}


@pytest.mark.parametrize("name", COMPREHENSIONS)
def test_comprehensions(name: str) -> None:
    compare(COMPREHENSIONS[name], sequences())


OTHER_COMPREHENSIONS: dict[str, Callable[[Tensor], Any]] = {
    "parts_of_an_argument": lambda x: len(list(x)) * torch.stack([row[1:] for row in x]),
    "filtered": lambda x: torch.stack([x[0], *[row for row in x if row.sum() > 0]]),
    "numbers": lambda x: sum([row.sum().item() for row in x]),
    "dict": lambda x: {i: row * 2 for i, row in enumerate(x)},
    "returned": lambda x: [row * 2 for row in x],
    "of_functions": lambda x: [f(x) for f in [lambda y, t=t: y * t for t in range(3)]],
    "closure": lambda x: [f() for f in [lambda: row * 2 for row in x]],
}


@pytest.mark.parametrize("name", OTHER_COMPREHENSIONS)
def test_other_comprehensions_are_right(name: str) -> None:
    compare(OTHER_COMPREHENSIONS[name], sequences(), graphs=None)


# --- What may not be seen differently ---------------------------------------------------------


def test_an_item_that_is_written_later() -> None:
    """All items are the one tensor, which holds the last sum."""

    def step(x: Tensor) -> Tensor:
        total = torch.zeros(3)
        sums = []
        for row in x:
            total += row
            sums.append(total)
        return torch.stack(sums)

    compare(step, sequences(), graphs=None)


def test_a_carried_item_that_is_written_later() -> None:
    def step(x: Tensor) -> Tensor:
        h = torch.zeros(3)
        states = []
        for row in x:
            h.mul_(0.5)
            h = h + row
            states.append(h)
        return torch.stack(states)

    compare(step, sequences(), graphs=None)


def test_an_item_that_is_written_behind_the_loop() -> None:
    def step(x: Tensor) -> Tensor:
        states = []
        h = torch.zeros(3)
        for row in x:
            h = h + row
            states.append(h)
        h.zero_()
        return torch.stack(states)

    compare(step, sequences(), graphs=None)


def test_an_item_is_written_through_the_list() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        states = []
        h = torch.zeros(3)
        for row in x:
            h = h + row
            states.append(h)
        states[-1].zero_()
        return torch.stack(states), h * 1

    compare(step, sequences(), graphs=None)


def test_what_stack_gives_is_no_part_of_the_list() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        items = collected(x)
        stacked = torch.stack(items)
        stacked[0] = 7
        joined = torch.cat(items)
        joined.add_(1)
        return torch.stack(items), stacked + joined.sum()

    compare(step, sequences())


def test_whether_an_item_is_a_tensor() -> None:
    def step(x: Tensor) -> bool:
        items, last = [], x.sum(0)
        for row in x:
            last = row * 2
            items.append(last)
        return items[-1] is last

    compare(step, sequences(), graphs=None)


def caught(items: list[Tensor]) -> Tensor:
    try:
        return torch.atleast_1d(items)[0] * 1
    except TypeError:
        return torch.zeros(1)


def json_length(items: list[Tensor]) -> int:
    class Holder:
        def __init__(self) -> None:
            self.items = items

    return len(copy.copy(Holder()).items)


ESCAPES: dict[str, Callable[[list[Tensor]], Any]] = {
    "returned": lambda items: items,
    "returned_in_a_tuple": lambda items: (1, items),
    "an_item": lambda items: items[-1],
    "slice": lambda items: items[1:],
    "copy": lambda items: torch.stack(items.copy()),
    "sum_of_a_copy": lambda items: sum(list(items)),
    "einsum": lambda items: torch.einsum("i,i->i", items[:2]),
    "broadcast": lambda items: torch.broadcast_tensors(*items)[0] * 1,
    "block_diagonal": lambda items: torch.functional.block_diag(*items),
    "at_least": lambda items: torch.atleast_2d(items)[0] * 1,
    "type_error_that_is_caught": lambda items: caught(items),
    "reached_by_an_object": lambda items: json_length(items),
    "pop": lambda items: items.pop() * 1,
    "insert": lambda items: (items.insert(0, items[0] * 2), torch.stack(items)),
    "reversed": lambda items: torch.stack(list(reversed(items))),
    "set": lambda items: (items.__setitem__(0, items[1] * 2), torch.stack(items)),
    "zip": lambda items: [a + b for a, b in zip(items, items, strict=False)],
    "enumerate": lambda items: [item * i for i, item in enumerate(items)],
    "starred": lambda items: torch.stack([*items, items[0]]),
    "unpacked": lambda items: (lambda first, *rest: first * len(rest))(*items),
    "sequence": lambda items: nn.utils.rnn.pad_sequence(items),
    "contains": lambda items: 3 in [len(items)],
    "comparison": lambda items: len(items) > 4,
    "added": lambda items: torch.stack(operator.add(items, [items[0]])),
    "raises": lambda items: items[100] * 1,
    "raises_by_dimension": lambda items: torch.stack(items, dim=5),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_other_uses_are_right(name: str) -> None:
    use = ESCAPES[name]
    compare(lambda x: use(collected(x)), sequences(), graphs=None)


def test_a_list_from_outside() -> None:
    items: list[Tensor] = []

    def step(x: Tensor) -> int:
        for row in x:
            items.append(row * 2)
        return len(items)

    converted = bifront.function(step)
    expected = []
    for (x,) in sequences():
        expected.extend(row * 2 for row in x)
        assert converted(x) == len(expected)
    assert_same_value(items, expected, "items")


# --- Gradients -------------------------------------------------------------------------------


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 4)
        self.judge = nn.Linear(4, 2)


def train(loss_of: Callable[[Cell, Tensor], Tensor], calls: Sequence[Tensor]) -> Any:
    torch.manual_seed(1)
    model = Cell()
    other = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    otherwise = torch.optim.SGD(other.parameters(), 0.01, momentum=0.9)

    def eager(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    @bifront.function
    def step(x: Tensor) -> Tensor:
        otherwise.zero_grad()
        loss = loss_of(other, x)
        loss.backward()
        otherwise.step()
        return loss.detach()

    for number, x in enumerate(calls):
        assert_same_value(step(x), eager(x), f"loss {number}", 10)
        for (name, found), expected in zip(
            other.named_parameters(), model.parameters(), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, msg=name)
    return step


def outputs_of(model: Cell, x: Tensor) -> list[Tensor]:
    h, outputs = torch.zeros(1, 4), []
    for row in x:
        h = torch.tanh(model.inner(row.unsqueeze(0)) + model.outer(h))
        outputs.append(model.judge(h))
    return outputs


LOSSES: dict[str, Callable[[Cell, Tensor], Any]] = {
    "sum": lambda model, x: sum([output.pow(2).sum() for output in outputs_of(model, x)]),
    "comprehension": lambda model, x: torch.stack([model.inner(row) for row in x]).pow(2).sum(),
    "sum_of_items": lambda model, x: sum(outputs_of(model, x), torch.ones(1, 2)).pow(2).sum(),
    "stack": lambda model, x: torch.stack(outputs_of(model, x)).pow(2).mean(),
    "cat": lambda model, x: torch.cat(outputs_of(model, x)).pow(2).sum(),
    "last": lambda model, x: outputs_of(model, x)[-1].pow(2).sum(),
    "first": lambda model, x: outputs_of(model, x)[0].pow(2).sum(),
    "mean": lambda model, x: torch.stack(outputs_of(model, x)).sum() / len(outputs_of(model, x)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_a_loop(name: str) -> None:
    assert_one_graph(train(LOSSES[name], [torch.randn(n, 3) for n in LENGTHS]))


def test_gradients_of_items_by_iteration() -> None:
    def loss_of(model: Cell, x: Tensor) -> Tensor:
        total = torch.zeros(())
        for item in outputs_of(model, x):
            total = total * 0.9 + item.pow(2).sum()
        return total

    assert_one_graph(train(loss_of, [torch.randn(n, 3) for n in LENGTHS]))


def test_gradients_of_losses_that_a_branch_appends() -> None:
    def loss_of(model: Cell, x: Tensor) -> Tensor:
        losses = [model.judge(model.outer(model.inner(x.sum(0)))).sum()]
        for row in x:
            h = model.inner(row)
            if row.sum() > 0:
                losses.append(model.judge(h).pow(2).sum())
        return torch.stack(losses).sum()

    assert_one_graph(train(loss_of, [torch.randn(n, 3) for n in LENGTHS]))


def test_gradients_of_what_is_read_while_it_grows() -> None:
    def loss_of(model: Cell, x: Tensor) -> Tensor:
        states = [model.inner(x[0])]
        for row in x:
            past = torch.stack(states)
            weights = torch.softmax(past @ model.inner(row), 0)
            states.append(torch.tanh(model.outer((weights.unsqueeze(1) * past).sum(0))))
        return model.judge(states[-1]).pow(2).sum()

    assert_one_graph(train(loss_of, [torch.randn(n, 3) for n in LENGTHS]))


def test_items_keep_their_history_where_none_is_recorded() -> None:
    def loss_of(model: Cell, x: Tensor) -> Tensor:
        outputs = []
        for row in x:
            h = model.inner(row)
            with torch.no_grad():
                outputs.append(h)
        return model.judge(torch.stack(outputs)).pow(2).sum() + model.outer(h).sum()

    train(loss_of, [torch.randn(n, 3) for n in LENGTHS])


def test_a_gradient_of_an_item_alone() -> None:
    def step(x: Tensor, w: Tensor) -> Tensor:
        items = []
        h = torch.zeros(3)
        for row in x:
            h = torch.tanh(row * w + h)
            items.append(h)
        (gradient,) = torch.autograd.grad(torch.stack(items).sum() + h.sum(), items[-1])
        return gradient

    w = torch.randn(3, requires_grad=True)
    compare(step, [(x, w) for (x,) in sequences()], graphs=None)


# --- Recursion -------------------------------------------------------------------------------


class Tree:
    def __init__(self, value: Tensor, left: Any = None, right: Any = None) -> None:
        self.value, self.left, self.right = value, left, right


def tree_of(leaves: int) -> Tree:
    if leaves == 1:
        return Tree(torch.randn(1, 3))
    left = int(torch.randint(1, leaves, ()))
    return Tree(torch.randn(1, 3), tree_of(left), tree_of(leaves - left))


TREES = (3, 5, 2, 8, 4, 13, 6)


def visit(tree: Tree, found: list[Tensor]) -> Tensor:
    if tree.left is None:
        h = torch.tanh(tree.value)
    else:
        h = torch.tanh(visit(tree.left, found) - visit(tree.right, found))
    found.append(h)
    return h


def test_recursion_that_appends() -> None:
    def step(tree: Tree) -> tuple[Tensor, Tensor, int]:
        found: list[Tensor] = []
        h = visit(tree, found)
        return torch.stack(found), h * 1, len(found)

    compare(step, [(tree_of(n),) for n in TREES])


def test_recursion_into_a_list_with_items() -> None:
    def step(a: Tree, b: Tree) -> Tensor:
        found = [a.value.exp()]
        visit(a, found)
        found.append(b.value.exp())
        visit(b, found)
        return torch.cat(found)

    compare(step, [(tree_of(n), tree_of(n + 1)) for n in TREES])


def test_recursion_that_reads_the_list() -> None:
    def walk(tree: Tree, found: list[Tensor]) -> Tensor:
        if tree.left is None:
            h = tree.value * 1
        else:
            h = walk(tree.left, found) + walk(tree.right, found) + found[-1]
        found.append(h * len(found))
        return h

    def step(tree: Tree) -> Tensor:
        found: list[Tensor] = []
        walk(tree, found)
        return torch.stack(found)

    compare(step, [(tree_of(n),) for n in TREES])


def test_recursion_that_appends_on_one_way() -> None:
    def walk(tree: Tree, leaves: list[Tensor]) -> Tensor:
        if tree.left is None:
            leaves.append(tree.value.exp())
            return tree.value.tanh()
        return walk(tree.left, leaves) * walk(tree.right, leaves)

    def step(tree: Tree) -> Tensor:
        leaves: list[Tensor] = []
        h = walk(tree, leaves)
        return torch.cat(leaves).sum() * h

    compare(step, [(tree_of(n),) for n in TREES])


def test_recursion_that_returns_lists() -> None:
    def walk(tree: Tree) -> list[Tensor]:
        if tree.left is None:
            return [tree.value.exp()]
        return walk(tree.left) + walk(tree.right)

    compare(lambda tree: torch.cat(walk(tree)), [(tree_of(n),) for n in TREES], graphs=None)


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.leaf, self.inner, self.judge = nn.Linear(3, 4), nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, tree: Tree, losses: list[Tensor]) -> Tensor:
        if tree.left is None:
            h = torch.tanh(self.leaf(tree.value))
        else:
            left, right = self(tree.left, losses), self(tree.right, losses)
            h = torch.tanh(self.inner(torch.cat([left, right], 1)))
        losses.append(self.judge(h).pow(2).sum())
        return h


def test_recursion_that_trains() -> None:
    torch.manual_seed(3)
    model = Judge()
    other = copy.deepcopy(model)
    optimizer = torch.optim.Adagrad(model.parameters(), 0.05)
    otherwise = torch.optim.Adagrad(other.parameters(), 0.05)

    def run(model: Judge, optimizer: torch.optim.Optimizer, trees: list[Tree]) -> Tensor:
        optimizer.zero_grad()
        losses: list[Tensor] = []
        for tree in trees:
            model(tree, losses)
        loss = torch.stack(losses).sum() / len(losses)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = bifront.function(lambda trees: run(other, otherwise, trees))
    for number, leaves in enumerate(TREES):
        trees = [tree_of(leaves + 1), tree_of(leaves + 2)]
        expected = run(model, optimizer, trees)
        assert_same_value(step(trees), expected, f"loss {number}", 10)
        for found, parameter in zip(other.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(found, parameter, rtol=1e-4, atol=1e-5)
    assert_one_graph(step)


# --- The operators ---------------------------------------------------------------------------


def test_a_stack_grows_in_place_and_nobody_sees_it() -> None:
    grow = torch.ops.bifront.grow
    a, b, c, d = torch.randn(4, 2).unbind()
    two = grow(torch.empty(0, 2), [a, b], 2)
    three = grow(two, [c], 3)
    other = grow(two, [d], 3)
    assert three.data_ptr() == two.data_ptr()
    assert other.data_ptr() != two.data_ptr()
    for found, rows in ((two, [a, b]), (three, [a, b, c]), (other, [a, b, d])):
        assert torch.equal(found, torch.stack(rows))
    many = two
    for n in range(3, 40):
        many = grow(many, [c * n], n)
    assert torch.equal(many, torch.stack([a, b, *[c * n for n in range(3, 40)]]))
    copied = torch.ops.bifront.rows(three)
    assert copied.data_ptr() != three.data_ptr() and torch.equal(copied, three)
    assert copied.untyped_storage().nbytes() == copied.numel() * 4
    with pytest.raises(RuntimeError, match="has 3 items, not 4"):
        grow(two, [c], 4)


def test_a_stack_of_items_that_are_not_contiguous() -> None:
    item = torch.randn(3, 2).t()
    found = torch.ops.bifront.grow(torch.empty(0, 2, 3), [item, item * 2], 2)
    assert torch.equal(found, torch.stack([item, item * 2]))


def test_derivatives_of_a_stack() -> None:
    def grown(stack: Tensor, item: Tensor, other: Tensor) -> Tensor:
        rows = torch.ops.bifront.grow(stack, [item, other], 4)
        return torch.ops.bifront.rows(torch.ops.bifront.grow(rows, [], 4)) ** 2

    inputs = [torch.randn(size, dtype=torch.double, requires_grad=True) for size in ((2, 3), 3, 3)]
    assert torch.autograd.gradcheck(grown, inputs)
