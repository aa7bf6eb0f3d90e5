"""Recursion over trees and linked objects that differ from call to call."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tests.language.conformance import program


class Tree:
    def __init__(self, value=None, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right

    @property
    def is_leaf(self):
        return self.left is None and self.right is None


class Node:
    def __init__(self, value, children=()):
        self.value = value
        self.children = list(children)


class Link:
    def __init__(self, value, rest=None):
        self.value = value
        self.rest = rest


@dataclass
class Number:
    value: Any


@dataclass
class Operation:
    sign: str
    left: Any
    right: Any


def random_tree(leaves):
    if leaves == 1:
        return Tree(torch.randn(3))
    left = int(torch.randint(1, leaves, ()))
    return Tree(torch.randn(3), random_tree(left), random_tree(leaves - left))


def tree(call):
    return (random_tree(2 + call % 4),)


def bush(call, depth=2):
    width = (call + depth) % 3 if depth else 0
    return Node(torch.randn(2), [bush(call + i, depth - 1) for i in range(width)])


def chain(call):
    link = None
    for _ in range(1 + call % 4):
        link = Link(torch.randn(2), link)
    return (link,)


def expression(call, depth=2):
    if depth == 0 or call % 5 == 4:
        return Number(torch.randn(2))
    left, right = expression(call + 1, depth - 1), expression(call + 2, depth - 1)
    return Operation("+-*"[call % 3], left, right)


@program(tree)
def tree_sum():
    def total(node):
        if node is None:
            return torch.zeros(3)
        return node.value + total(node.left) + total(node.right)

    def step(root):
        return total(root)

    return step


@program(tree)
def tree_rnn():
    combine = nn.Linear(6, 3)

    def encode(node):
        if node.is_leaf:
            return node.value
        both = torch.cat([encode(node.left), encode(node.right)])
        return torch.tanh(combine(both))

    def step(root):
        return encode(root).detach()

    return step


@program(tree)
def tree_rnn_trains():
    combine, head = nn.Linear(6, 3), nn.Linear(3, 1)
    parameters = [*combine.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)

    def encode(node):
        if node.is_leaf:
            return node.value
        return torch.tanh(combine(torch.cat([encode(node.left), encode(node.right)])))

    def step(root):
        optimizer.zero_grad()
        loss = head(encode(root)).pow(2).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@program(tree)
def tree_lstm_module():
    class TreeLSTM(nn.Module):
        def __init__(self):
            super().__init__()
            self.leaf = nn.Linear(3, 4)
            self.gates = nn.Linear(4, 10)

        def forward(self, node):
            if node.is_leaf:
                return self.leaf(node.value).chunk(2)
            (left_h, left_c), (right_h, right_c) = self(node.left), self(node.right)
            gates = self.gates(torch.cat([left_h, right_h]))
            i, left_f, right_f, o, u = gates.chunk(5)
            cell = i.sigmoid() * u.tanh() + left_f.sigmoid() * left_c + right_f.sigmoid() * right_c
            return o.sigmoid() * cell.tanh(), cell

    model = TreeLSTM()

    def step(root):
        model.zero_grad()
        hidden, _ = model(root)
        hidden.sum().backward()
        return hidden.detach()

    return step


@program(tree)
def method_of_the_node_recurses():
    class Visitor:
        def depth(self, node):
            if node is None:
                return 0
            return 1 + max(self.depth(node.left), self.depth(node.right))

    def step(root):
        return root.value * Visitor().depth(root)

    return step


@program(tree)
def early_return_when_found():
    def find(node, threshold):
        if node is None:
            return None
        if node.value.sum() > threshold:
            return node.value
        found = find(node.left, threshold)
        if found is not None:
            return found
        return find(node.right, threshold)

    def step(root):
        return find(root, 1.0)

    return step


@program(tree)
def collects_into_a_list_on_the_way():
    def walk(node, out, depth):
        if node is None:
            return
        walk(node.left, out, depth + 1)
        out.append(node.value * depth)
        walk(node.right, out, depth + 1)

    def step(root):
        out = []
        walk(root, out, 1)
        return torch.stack(out)

    return step


@program(tree)
def writes_into_the_nodes():
    def annotate(node):
        if node.is_leaf:
            node.total = node.value
        else:
            annotate(node.left)
            annotate(node.right)
            node.total = node.left.total + node.right.total

    def step(root):
        annotate(root)
        return root.total

    return step


@program(tree)
def mirrors_the_tree_in_place():
    def mirror(node):
        if node is not None:
            node.left, node.right = node.right, node.left
            mirror(node.left)
            mirror(node.right)

    def step(root):
        mirror(root)
        return root

    return step


@program(tree)
def builds_another_tree():
    def scaled(node, factor):
        if node is None:
            return None
        left, right = scaled(node.left, factor * 0.5), scaled(node.right, factor * 0.5)
        return Tree(node.value * factor, left, right)

    def step(root):
        return scaled(root, 2.0)

    return step


@program(lambda call: (random_tree(3 + call % 2), random_tree(3)))
def two_trees_at_once():
    def similarity(a, b):
        if a is None or b is None:
            return torch.zeros(())
        below = similarity(a.left, b.left) + similarity(a.right, b.right)
        return (a.value * b.value).sum() + below

    def step(a, b):
        return similarity(a, b)

    return step


@program(tree)
def the_same_subtree_is_reached_twice():
    def total(node, seen):
        if node is None or id(node) in seen:
            return torch.zeros(3)
        seen.add(id(node))
        return node.value + total(node.left, seen) + total(node.right, seen)

    def step(root):
        root.right = root.left
        return total(root, set())

    return step


@program(tree)
def stack_in_place_of_recursion():
    def step(root):
        total, stack = torch.zeros(3), [root]
        while stack:
            node = stack.pop()
            if node.left is not None:
                stack += [node.left, node.right]
            total = total * 0.9 + node.value
        return total

    return step


@program(lambda call: (bush(call),))
def any_number_of_children():
    def total(node):
        result = node.value
        for child in node.children:
            result = result + total(child) * 0.5
        return result

    def step(root):
        return total(root)

    return step


@program(lambda call: (bush(call),))
def child_sum_tree_lstm():
    gate, update = nn.Linear(2, 2), nn.Linear(2, 2)

    def encode(node):
        states = [encode(child) for child in node.children]
        below = torch.stack(states).sum(0) if states else torch.zeros(2)
        forget = sum((gate(s).sigmoid() * s for s in states), torch.zeros(2))
        return torch.tanh(update(node.value + below)) + forget

    def step(root):
        return encode(root).detach()

    return step


@program(lambda call: (bush(call),))
def mutual_recursion_over_levels():
    def even(node):
        return node.value + sum((odd(child) for child in node.children), torch.zeros(2))

    def odd(node):
        return node.value * -1 + sum((even(child) for child in node.children), torch.zeros(2))

    def step(root):
        return even(root)

    return step


@program(lambda call: (bush(call),))
def generator_walks_the_tree():
    def walk(node):
        yield node.value
        for child in node.children:
            yield from walk(child)

    def step(root):
        values = list(walk(root))
        return torch.stack(values).mean(0), len(values)

    return step


@program(lambda call: (bush(call),))
def state_is_threaded_through():
    cell = nn.RNNCell(2, 2)

    def read(node, hidden):
        hidden = cell(node.value[None], hidden)
        for child in node.children:
            hidden = read(child, hidden)
        return hidden

    def step(root):
        return read(root, torch.zeros(1, 2)).detach()

    return step


@program(lambda call: (bush(call),))
def attention_over_children():
    def encode(node):
        if not node.children:
            return node.value
        states = torch.stack([encode(child) for child in node.children])
        weights = torch.softmax(states @ node.value, 0)
        return weights @ states

    def step(root):
        return encode(root)

    return step


@program(chain)
def linked_list_by_recursion():
    def fold(link):
        if link is None:
            return torch.zeros(2)
        return torch.tanh(link.value + fold(link.rest))

    def step(link):
        return fold(link)

    return step


@program(chain)
def linked_list_by_a_loop():
    def step(link):
        total, count = torch.zeros(2), 0
        while link is not None:
            total = total + link.value
            link = link.rest
            count += 1
        return total / count

    return step


@program(tree)
def asserts_what_it_finds():
    def leftmost(node):
        if node.is_leaf:
            return node.value
        assert node.left is not None, "a node has two children or none"
        return torch.tanh(leftmost(node.left)) + node.value

    def step(root):
        assert isinstance(root, Tree)
        return leftmost(root)

    return step


@program(chain)
def linked_list_is_reversed_in_place():
    def step(link):
        back = None
        while link:
            link.rest, back, link = back, link, link.rest
        return back

    return step


@program(chain)
def linked_list_grows_inside():
    def step(link):
        for i in range(3):
            link = Link(link.value * i, link)
        tail = link
        while tail.rest:
            tail = tail.rest
        return link.value, tail.value

    return step


@program(lambda call: (torch.randn(2), call % 3))
def list_kept_and_linked_on():
    kept = {"head": None}

    def step(x, n):
        kept["head"] = Link(x, kept["head"] if n else None)
        total, link = torch.zeros(2), kept["head"]
        while link:
            total, link = total + link.value, link.rest
        return total

    return step


@program(lambda call: (expression(call),))
def interpreter_of_expressions():
    def evaluate(node):
        if isinstance(node, Number):
            return node.value
        left, right = evaluate(node.left), evaluate(node.right)
        if node.sign == "+":
            return left + right
        elif node.sign == "-":
            return left - right
        return left * right

    def step(node):
        return evaluate(node)

    return step


@program(lambda call: (expression(call),))
def interpreter_by_pattern_matching():
    def evaluate(node):
        match node:
            case Number(value):
                return value
            case Operation("+", left, right):
                return evaluate(left) + evaluate(right)
            case Operation("-", left, right):
                return evaluate(left) - evaluate(right)
            case Operation(_, Number(value), right):
                return value * evaluate(right)
            case Operation(left=left, right=right):
                return evaluate(left) * evaluate(right)

    def step(node):
        return evaluate(node)

    return step


@program(lambda call: ([1.0, [2.0, [call % 3 + 0.5]], (3.0, {"deep": [4.0]})],))
def nest_of_plain_containers():
    def total(nest):
        if isinstance(nest, dict):
            return total(list(nest.values()))
        if isinstance(nest, (list, tuple)):
            return sum(map(total, nest))
        return torch.tensor(nest)

    def step(nest):
        return total(nest)

    return step


@program(lambda call: (torch.randn(2 ** (call % 3 + 1)),))
def divide_and_conquer():
    def merge_sort(x):
        if len(x) == 1:
            return x
        middle = len(x) // 2
        left, right = merge_sort(x[:middle]), merge_sort(x[middle:])
        out, i, j = [], 0, 0
        while i < len(left) or j < len(right):
            if j == len(right) or (i < len(left) and left[i] <= right[j]):
                out.append(left[i])
                i += 1
            else:
                out.append(right[j])
                j += 1
        return torch.stack(out)

    def step(x):
        return merge_sort(x)

    return step


@program(lambda call: (torch.randn(2 ** (1 + call % 3)),))
def recursive_fourier_transform():
    def transform(x):
        n = x.shape[0]
        if n == 1:
            return x.to(torch.complex64)
        even, odd = transform(x[::2]), transform(x[1::2])
        turn = torch.exp(-2j * torch.pi * torch.arange(n // 2) / n) * odd
        return torch.cat([even + turn, even - turn])

    def step(x):
        return transform(x)

    return step


@program(lambda call: (torch.randn(2), 2 + call % 3))
def memo_shared_by_the_calls():
    def step(x, n):
        memo = {}

        def ways(k):
            if k not in memo:
                memo[k] = x * (k + 1) if k < 2 else ways(k - 1) + ways(k - 2)
            return memo[k]

        return ways(n + 2), sorted(memo)

    return step


@program(lambda call: (torch.randn(2), 40 + 30 * (call % 3)))
def deep_recursion():
    def down(x, n):
        if n == 0:
            return x
        return down(x * 0.99, n - 1) + 0.01

    def step(x, n):
        return down(x, n)

    return step


@program(lambda call: (torch.randn(3), 1 + call % 3))
def recursive_module():
    class Fractal(nn.Module):
        def __init__(self, depth):
            super().__init__()
            self.here = nn.Linear(3, 3)
            self.below = Fractal(depth - 1) if depth else None

        def forward(self, x, levels):
            y = torch.tanh(self.here(x))
            if self.below is None or levels == 0:
                return y
            return (y + self.below(x, levels - 1)) / 2

    model = Fractal(2)

    def step(x, levels):
        return model(x, levels).detach()

    return step


@program(lambda call: (torch.randn(4), torch.randn(())))
def recursion_that_a_tensor_ends():
    def bisect(x, low, high, depth):
        middle = (low + high) / 2
        if depth == 6 or (high - low) < 0.1:
            return middle, depth
        if (x.tanh() - middle).sum() > 0:
            return bisect(x, middle, high, depth + 1)
        return bisect(x, low, middle, depth + 1)

    def step(x, shift):
        return bisect(x + shift, -1.0, 1.0, 0)

    return step


@program(tree)
def exception_ends_a_recursion():
    class Found(Exception):
        pass

    def search(node):
        if node.value.max() > 1:
            raise Found(node.value.argmax().item())
        if not node.is_leaf:
            search(node.left)
            search(node.right)

    def step(root):
        try:
            search(root)
        except Found as found:
            return found.args[0]
        return None

    return step


@program(lambda call: (torch.randn(3), [0, 3, 9][call % 3]))
def tail_calls_between_methods():
    class Machine:
        def __init__(self):
            self.trace = []

        def start(self, x, n):
            self.trace.append("s")
            return self.work(x + 1, n - 1) if n > 0 else x

        def work(self, x, n):
            self.trace.append("w")
            return self.start(x * 0.5, n - 2)

    def step(x, n):
        machine = Machine()
        return machine.start(x, n), "".join(machine.trace)

    return step


@program(tree)
def parent_pointers_make_cycles():
    def adopt(node, parent):
        if node is None:
            return
        node.parent = parent
        adopt(node.left, node)
        adopt(node.right, node)

    def step(root):
        adopt(root, None)
        node, hops = root, 0
        while node.left is not None:
            node = node.left
        while node.parent is not None:
            node, hops = node.parent, hops + 1
        return node is root, hops, root.value * hops

    return step


@program(lambda call: (torch.rand(3, 3), (call % 3, (call + 1) % 3)))
def flood_fill():
    def fill(x, seen, i, j):
        if not (0 <= i < 3 and 0 <= j < 3) or (i, j) in seen or x[i, j] < 0.4:
            return torch.zeros(())
        seen.add((i, j))
        total = x[i, j]
        for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            total = total + fill(x, seen, i + di, j + dj)
        return total

    def step(x, start):
        seen = set()
        return fill(x, seen, *start), len(seen)

    return step
