"""Recursion and objects that differ from call to call: one graph, beside CPython."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn


class Tree:
    def __init__(self, value: Any = None, left: Any = None, right: Any = None) -> None:
        self.value = value
        self.left = left
        self.right = right

    @property
    def is_leaf(self) -> bool:
        return self.left is None and self.right is None


class Slotted:
    __slots__ = ("left", "right", "value")

    def __init__(self, value: Any, left: Any = None, right: Any = None) -> None:
        self.value, self.left, self.right = value, left, right


class Link:
    rest: Link | None = None

    def __init__(self, value: Tensor, rest: Link | None = None) -> None:
        self.value = value
        if rest is not None:
            self.rest = rest


def random_tree(leaves: int, make: Callable[..., Any] = Tree) -> Any:
    if leaves == 1:
        return make(torch.randn(3))
    left = int(torch.randint(1, leaves, ()))
    return make(torch.randn(3), random_tree(left, make), random_tree(leaves - left, make))


def tree_of(call: int) -> Tree:
    tree: Tree = random_tree(2 + call * 7 % 59)
    return tree


def chain_of(length: int) -> Link | None:
    link = None
    for _ in range(length):
        link = Link(torch.randn(2), link)
    return link


def nodes_of(tree: Any) -> list[Any]:
    return [tree, *nodes_of(tree.left), *nodes_of(tree.right)] if tree is not None else []


def assert_same(expected: Any, actual: Any) -> None:
    assert type(actual) is type(expected)
    if isinstance(expected, Tensor):
        torch.testing.assert_close(actual, expected)
    elif isinstance(expected, tuple):
        for one, other in zip(expected, actual, strict=True):
            assert_same(one, other)
    else:
        assert actual == expected


def run_both(step: Callable[..., Any], make: Callable[[int], tuple[Any, ...]], calls: int) -> Any:
    """Each call by CPython and converted; the statistics."""
    converted = bifront.function(step)
    for call in range(calls):
        torch.manual_seed(call)
        arguments = make(call)
        assert_same(step(*arguments), converted(*arguments))
    return converted.stats


def assert_one_graph(step: Callable[..., Any], make: Callable[[int], tuple[Any, ...]]) -> None:
    """One graph that runs all calls but the first, which is observed."""
    calls = 40
    stats = run_both(step, make, calls)
    assert stats["graphs"] == 1
    assert stats["graph_calls"] == calls - 1
    assert stats["fallback_calls"] == 0
    assert stats["exits"].get("AssertionFailed", 0) <= 1


def total(node: Any) -> Tensor:
    if node is None:
        return torch.zeros(3)
    result: Tensor = node.value + total(node.left) + total(node.right)
    return result


def depth(node: Any) -> Any:
    if node is None:
        return 0
    left, right = depth(node.left), depth(node.right)
    return 1 + left + right * 2


# ---- numbers and tensors ----


def power(x: Tensor, n: int) -> Tensor:
    return torch.ones_like(x) if n == 0 else x * power(x, n - 1)


def fibonacci(x: Tensor, n: int) -> Tensor:
    return x * n if n < 2 else fibonacci(x, n - 1) + fibonacci(x, n - 2)


def shrink(x: Tensor, steps: int) -> tuple[Tensor, int]:
    if x.sum() < 1:
        return x * 2, steps
    return shrink(x * 0.6, steps + 1)


def ping(x: Tensor, n: int) -> Tensor:
    return x * 3 if n == 0 else pong(x * 2, n - 1)


def pong(x: Tensor, n: int) -> Tensor:
    return x + 1 if n == 0 else ping(x - 1, n - 1)


@pytest.mark.parametrize(
    ("step", "make"),
    [
        (power, lambda call: (torch.randn(3), 1 + call % 7)),
        (fibonacci, lambda call: (torch.randn(1), 3 + call % 5)),
        (lambda x: shrink(x, 0), lambda call: (torch.rand(2) + 0.1 + call % 5,)),
        (ping, lambda call: (torch.randn(2), 1 + call % 6)),
    ],
    ids=["power", "fibonacci", "shrink", "ping_pong"],
)
def test_numbers_and_tensors_are_parameters(
    step: Callable[..., Any], make: Callable[[int], tuple[Any, ...]]
) -> None:
    assert_one_graph(step, make)


# ---- trees ----


def test_sum_of_a_tree() -> None:
    assert_one_graph(total, lambda call: (tree_of(call),))


def test_slots_of_a_class() -> None:
    assert_one_graph(total, lambda call: (random_tree(2 + call % 9, Slotted),))


def test_tree_rnn() -> None:
    combine = nn.Linear(6, 3)

    def encode(node: Tree) -> Tensor:
        if node.is_leaf:
            return node.value
        both = torch.cat([encode(node.left), encode(node.right)])
        return torch.tanh(combine(both))

    @torch.no_grad()
    def step(root: Tree) -> Tensor:
        return encode(root).exp()

    assert_one_graph(step, lambda call: (tree_of(call),))


def test_tree_lstm_module() -> None:
    class TreeLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaf = nn.Linear(3, 4)
            self.gates = nn.Linear(4, 10)

        def forward(self, node: Tree) -> Any:
            if node.is_leaf:
                return self.leaf(node.value).chunk(2)
            (left_h, left_c), (right_h, right_c) = self(node.left), self(node.right)
            gates = self.gates(torch.cat([left_h, right_h]))
            i, left_f, right_f, o, u = gates.chunk(5)
            cell = i.sigmoid() * u.tanh() + left_f.sigmoid() * left_c + right_f.sigmoid() * right_c
            return o.sigmoid() * cell.tanh(), cell

    model = TreeLSTM()

    @torch.no_grad()
    def step(root: Tree) -> Tensor:
        hidden, cell = model(root)
        return hidden * 2 + cell

    assert_one_graph(step, lambda call: (tree_of(call),))


def test_numbers_come_back() -> None:
    assert_one_graph(lambda root: root.value * depth(root), lambda call: (tree_of(call),))


def test_two_trees_at_once() -> None:
    def similarity(a: Any, b: Any) -> Tensor:
        if a is None or b is None:
            return torch.zeros(())
        below = similarity(a.left, b.left) + similarity(a.right, b.right)
        return (a.value * b.value).sum() + below

    assert_one_graph(similarity, lambda call: (tree_of(call), tree_of(call + 3)))


def test_methods_strings_and_numbers_of_nodes() -> None:
    class Operation:
        def __init__(self, sign: str, weight: float, left: Any = None, right: Any = None) -> None:
            self.sign, self.weight, self.left, self.right = sign, weight, left, right
            self.value = torch.randn(2)

        def evaluate(self) -> Tensor:
            if self.sign == "leaf":
                return self.value * self.weight
            left, right = self.left.evaluate(), self.right.evaluate()
            if self.sign == "+":
                return left + right
            return left - right

    def expression(leaves: int) -> Operation:
        weight = float(torch.rand(()))
        if leaves == 1:
            return Operation("leaf", weight)
        sign = "+" if torch.rand(()) < 0.5 else "-"
        return Operation(sign, weight, expression(leaves // 2), expression(leaves - leaves // 2))

    assert_one_graph(
        lambda root: root.evaluate() + root.weight, lambda call: (expression(9 + call % 20),)
    )


def test_classes_of_nodes_are_told_apart() -> None:
    class Leaf:
        def __init__(self) -> None:
            self.value = torch.randn(2)

    class Pair:
        def __init__(self, first: Any, second: Any) -> None:
            self.first, self.second = first, second

    def nest(leaves: int) -> Any:
        if leaves == 1:
            return Leaf()
        left = int(torch.randint(1, leaves, ()))
        return Pair(nest(left), nest(leaves - left))

    def add(node: Any) -> Tensor:
        if isinstance(node, Leaf):
            return node.value * 1.5
        return add(node.first) - add(node.second)

    assert_one_graph(add, lambda call: (nest(3 + call % 8),))


def test_linked_list() -> None:
    def fold(link: Link | None) -> Tensor:
        if link is None:
            return torch.zeros(2)
        return torch.tanh(link.value + fold(link.rest))

    def step(link: Link) -> Tensor:
        return fold(link) * 2

    assert_one_graph(step, lambda call: (chain_of(1 + call % 9),))


def test_items_of_tuples() -> None:
    class Node:
        def __init__(self, value: Tensor, children: tuple[Any, ...]) -> None:
            self.value, self.children = value, children

    def tree(leaves: int) -> Node:
        if leaves == 1:
            return Node(torch.randn(2), ())
        return Node(torch.randn(2), (tree(leaves // 2), tree(leaves - leaves // 2)))

    def read(node: Node) -> Tensor:
        if not node.children:
            return node.value * 2
        return node.value + read(node.children[0]) * read(node.children[-1])

    assert_one_graph(read, lambda call: (tree(2 + call % 11),))


# ---- what the graph does not know ----


@pytest.fixture
def learnt() -> Any:
    """The sum of a tree, converted, with the graph for trees."""
    converted = bifront.function(total)
    for call in range(6):
        torch.manual_seed(call)
        converted(tree_of(call))
    assert converted.stats["graphs"] == 1
    return converted


def assert_as_cpython(converted: Any, make: Callable[[], Any]) -> None:
    def outcome(function: Any) -> Any:
        torch.manual_seed(0)
        argument = make()
        try:
            return function(argument)
        except Exception as error:
            return type(error), str(error)

    assert_same(outcome(total), outcome(converted))
    # The graph is as good as before.
    before = converted.stats["graph_calls"]
    assert_same(total(tree := tree_of(5)), converted(tree))
    assert converted.stats["graph_calls"] == before + 1


def changed(change: Callable[[Any], None]) -> Callable[[], Any]:
    """A tree with one node, deep inside, that is another than all that were seen."""

    def make() -> Any:
        tree = random_tree(9)
        change(nodes_of(tree)[-2])
        return tree

    return make


def remove_value(node: Any) -> None:
    del node.value


class Other(Tree):
    @property
    def value(self) -> Tensor:  # type: ignore[override]
        return torch.full((3,), 7.0)

    @value.setter
    def value(self, value: Any) -> None:
        pass


def become_other(node: Any) -> None:
    node.__class__ = Other


@pytest.mark.parametrize(
    "change",
    [
        lambda node: setattr(node, "value", 2.5),
        lambda node: setattr(node, "value", torch.ones(1)),
        lambda node: setattr(node, "value", torch.ones(3, dtype=torch.float64)),
        lambda node: setattr(node, "value", torch.ones(3, 2).t()[0]),
        lambda node: setattr(node, "value", nn.Parameter(torch.ones(3))),
        lambda node: setattr(node, "value", None),
        lambda node: setattr(node, "value", "text"),
        lambda node: setattr(node, "left", 3),
        lambda node: setattr(node, "left", Other(torch.ones(3))),
        lambda node: setattr(node, "left", Slotted(torch.ones(3))),
        remove_value,
        become_other,
    ],
)
def test_a_node_is_another_than_all_before(learnt: Any, change: Callable[[Any], None]) -> None:
    assert_as_cpython(learnt, changed(change))


def test_a_cycle_ends_as_in_cpython(learnt: Any) -> None:
    def make() -> Any:
        tree = random_tree(4)
        nodes_of(tree)[-1].left = tree
        return tree

    tree = make()
    with pytest.raises(RecursionError):
        learnt(tree)
    assert_same(total(tree := tree_of(5)), learnt(tree))


def test_a_class_that_changes_between_calls() -> None:
    class Node(Tree):
        pass

    def step(node: Any) -> Any:
        if node is None:
            return torch.zeros(3)
        return node.value + step(node.left) + step(node.right)

    converted = bifront.function(step)
    for call in range(6):
        torch.manual_seed(call)
        tree = random_tree(3 + call, Node)
        assert_same(step(tree), converted(tree))
    Node.left = property(lambda self: None, lambda self, value: None)
    assert_same(step(tree), converted(tree))
    del Node.left
    assert_same(step(tree), converted(tree))
    tree.right.__dict__["left"] = None
    assert_same(step(tree), converted(tree))


def test_a_deep_list_falls_back() -> None:
    def fold(link: Any) -> Tensor:
        if link is None:
            return torch.zeros(2)
        return torch.tanh(link.value + fold(link.rest))

    converted = bifront.function(fold)
    for length in range(1, 8):
        link = chain_of(length)
        assert_same(fold(link), converted(link))
    long = chain_of(100_000)
    with pytest.raises(RecursionError):
        fold(long)
    with pytest.raises(RecursionError):
        converted(long)
    while long is not None:  # so that no long chain of deallocations follows
        long, rest = long.rest, long
        rest.__dict__.pop("rest", None)


def test_nodes_that_are_written_stay_in_cpython() -> None:
    def annotate(node: Any) -> Any:
        if node.is_leaf:
            node.total = node.value
        else:
            annotate(node.left)
            annotate(node.right)
            node.total = node.left.total + node.right.total
        return node.total * 2

    converted = bifront.function(annotate)
    for call in range(8):
        torch.manual_seed(call)
        first, second = tree_of(call), None
        torch.manual_seed(call)
        second = tree_of(call)
        assert_same(annotate(first), converted(second))
        for one, other in zip(nodes_of(first), nodes_of(second), strict=True):
            assert_same(one.total, other.total)


def test_a_tensor_of_a_node_is_written() -> None:
    def scale(node: Any) -> Any:
        if node is None:
            return torch.zeros(3)
        node.value.mul_(2)
        return node.value + scale(node.left) + scale(node.right)

    converted = bifront.function(scale)
    for call in range(8):
        torch.manual_seed(call)
        first = tree_of(call)
        torch.manual_seed(call)
        second = tree_of(call)
        assert_same(scale(first), converted(second))
        for one, other in zip(nodes_of(first), nodes_of(second), strict=True):
            assert_same(one.value, other.value)


def test_the_graph_writes_what_a_node_has() -> None:
    """A node's tensor is a view of the parameter that the step changes before it reads the node."""
    weight = torch.zeros(3)

    def step(root: Any) -> Tensor:
        weight.add_(1)
        return total(root) * 1

    converted = bifront.function(step)
    for call in range(8):
        torch.manual_seed(call)
        tree = tree_of(call)
        if call > 4:
            nodes_of(tree)[-1].value = weight
        weight.zero_()
        expected = step(tree)
        weight.zero_()
        assert_same(expected, converted(tree))
        assert_same(torch.ones(3), weight)


def test_an_object_is_returned_or_kept() -> None:
    kept: dict[str, Any] = {}

    def step(root: Any) -> Any:
        kept["left"] = root.left
        return root.right, root

    converted = bifront.function(step)
    for call in range(6):
        tree = tree_of(call)
        right, root = converted(tree)
        assert right is tree.right
        assert root is tree
        assert kept["left"] is tree.left


def test_nodes_are_released() -> None:
    converted = bifront.function(total)
    for call in range(6):
        converted(tree_of(call))
    tree = tree_of(3)
    before = [sys.getrefcount(node) for node in nodes_of(tree)]
    converted(tree)
    assert [sys.getrefcount(node) for node in nodes_of(tree)] == before


class TreeNet(nn.Module):
    """Leaves and inner nodes have weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.leaf = nn.Linear(3, 4)
        self.inner = nn.Linear(8, 4)

    def forward(self, node: Tree) -> Tensor:
        if node.is_leaf:
            return torch.tanh(self.leaf(node.value))
        return torch.tanh(self.inner(torch.cat([self(node.left), self(node.right)])))


def train_both(
    make_net: Callable[[], nn.Module],
    loss_of: Callable[[nn.Module, Any], Tensor],
    make: Callable[[int], Any],
    calls: int = 20,
    rate: float = 0.05,
) -> Any:
    """Twenty steps of SGD with momentum, by CPython and converted, with the same seeds: losses,
    parameters, `.grad` and momenta; the statistics."""

    def train(convert: bool) -> Any:
        torch.manual_seed(0)
        net = make_net()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)

        def step(data: Any) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(net, data)
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = bifront.function(step) if convert else step
        outcomes: list[Any] = []
        for call in range(calls):
            torch.manual_seed(call)
            data = make(call)
            try:
                outcomes.append(run(data))
            except RuntimeError as error:
                outcomes.append(str(error))
            outcomes.append([p.grad is None for p in net.parameters()])
        outcomes += [p.detach().clone() for p in net.parameters()]
        outcomes += [None if p.grad is None else p.grad.clone() for p in net.parameters()]
        outcomes += [
            optimizer.state[p]["momentum_buffer"] for p in net.parameters() if p in optimizer.state
        ]
        return run, outcomes

    expected, actual = train(False)[1], train(True)
    for one, other in zip(expected, actual[1], strict=True):
        assert_same(one, other)
    return actual[0]


def root_loss(net: nn.Module, root: Any) -> Tensor:
    loss: Tensor = net(root).square().sum()
    return loss


def test_a_tree_net_trains() -> None:
    step = train_both(TreeNet, root_loss, tree_of)
    assert step.stats["graphs"] == 1 and step.stats["graph_calls"] == 19, step.stats


def test_a_tree_that_leaves_weights_out() -> None:
    """A tree of one leaf: the optimizer passes over the inner weights, which have no `.grad`."""
    step = train_both(TreeNet, root_loss, lambda call: random_tree(1 if call == 9 else 2 + call))
    assert step.stats["exits"]["AssertionFailed"] >= 1
    assert "comes to" in step.last_error or step.stats["graphs"] > 1


def test_gradients_through_what_calls_hand_down() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 2)

        def read(self, link: Link | None, h: Tensor) -> Tensor:
            if link is None:
                return h
            return self.read(link.rest, torch.tanh(self.cell(torch.cat([link.value, h]))))

        def forward(self, link: Link) -> Tensor:
            return self.read(link, torch.zeros(2))

    step = train_both(Reader, root_loss, lambda call: chain_of(2 + call * 7 % 11))
    assert step.stats["graphs"] == 1, step.stats


def test_a_result_without_a_history_is_not_differentiated() -> None:
    """Only inner nodes have weights: backward of a leaf is an error, as in CPython."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 3)

        def forward(self, node: Tree) -> Tensor:
            if node.is_leaf:
                value: Tensor = node.value
                return value
            return torch.tanh(self.inner(torch.cat([self(node.left), self(node.right)])))

    train_both(Inner, root_loss, lambda call: random_tree(1 if call == 6 else 2 + call))


def test_several_trees_and_losses_on_the_way() -> None:
    class Judge(TreeNet):
        def __init__(self) -> None:
            super().__init__()
            self.judge = nn.Linear(4, 1)

        def visit(self, node: Tree) -> tuple[Tensor, Tensor]:
            if node.is_leaf:
                h = torch.tanh(self.leaf(node.value))
                return h, torch.zeros(())
            left, left_loss = self.visit(node.left)
            right, right_loss = self.visit(node.right)
            h = torch.tanh(self.inner(torch.cat([left, right])))
            return h, left_loss + right_loss + self.judge(h).square().sum()

        def forward(self, roots: list[Tree]) -> Tensor:
            loss = torch.zeros(())
            for root in roots:
                loss = loss + self.visit(root)[1]
            return loss

    def loss_of(net: nn.Module, roots: Any) -> Tensor:
        loss: Tensor = net(roots)
        return loss

    # At a higher rate the loss explodes, and any two orders of sums part ways.
    step = train_both(Judge, loss_of, lambda call: [tree_of(call + k) for k in range(3)], rate=1e-3)
    assert step.stats["graphs"] == 1, step.stats


def test_a_tensor_of_what_a_node_has() -> None:
    class Word:
        def __init__(self, word: int) -> None:
            self.word = word

    def embed(table: Tensor, node: Word) -> Tensor:
        return table[torch.tensor([node.word])] * torch.tensor([[1, node.word], [2, 3]]).sum()

    table = torch.randn(50, 4)
    assert_one_graph(embed, lambda call: (table, Word(call)))


@pytest.mark.parametrize(
    "make",
    [
        lambda k: torch.tensor(k),
        lambda k: torch.tensor([k]),
        lambda k: torch.tensor([[1, k], [k + 1, 2]]),
        lambda k: torch.tensor((k, 2.5)),
        lambda k: torch.tensor([k > 2, False]),
        lambda k: torch.tensor([k, 1], dtype=torch.float64),
        lambda k: torch.as_tensor([k * 0.5, True]),
        lambda k: torch.tensor([torch.tensor(1.5), k]),
    ],
)
def test_tensors_of_numbers_that_vary(make: Callable[[Any], Tensor]) -> None:
    stats = run_both(lambda x, k: (make(k), make(k) * x), lambda call: (torch.ones(2), call), 6)
    assert stats["graphs"] == 1 and stats["graph_calls"] == 5, stats


def test_gradients_of_many_calls_in_a_row() -> None:
    """Where the sum of a weight's gradients lies is followed through all calls."""
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    v = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def descend(x: Tensor, n: int) -> Tensor:
        if n <= 0:
            return torch.tanh(x + v)
        return torch.tanh(w @ descend(x, n - 1)) + descend(x * v, n - 2)

    def step(x: Tensor, n: int) -> Tensor:
        loss = x.sum() * 0
        for turn in range(24):
            loss = loss + descend(x * (turn + 1), n).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    converted = bifront.function(step)
    for n in (2, 3, 1, 4, 2, 3):
        x = torch.randn(3, dtype=torch.float64)
        gradients = []
        for called in (converted, step):
            w.grad = v.grad = None
            loss = called(x, n)
            gradients.append((loss, w.grad, v.grad))
        for ours, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert converted.stats["graph_calls"] >= 2, bifront.explain(converted)
