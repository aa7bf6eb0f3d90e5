"""Gradients of large weights in loops, recursion and unrolled loops: one product (decision 024)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import bifront
import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """A weight that is used twice in an iteration, on some iterations only, and behind the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(256, 256)

    def forward(self, xs: Tensor) -> Tensor:
        h = torch.zeros(2, 256)
        for x in xs:
            h = torch.tanh(self.cell(h) + x)
            if h.sum() > 0:
                h = torch.sin(self.cell(h))
        return self.cell(h).pow(2).mean()


@dataclass
class Node:
    value: Tensor
    left: Node | None = None
    right: Node | None = None


class Tree(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.leaf = nn.Linear(256, 256)
        self.inner = nn.Linear(512, 256)

    def visit(self, node: Node) -> Tensor:
        if node.left is None or node.right is None:
            return torch.tanh(self.leaf(node.value))
        both = torch.cat([self.visit(node.left), self.visit(node.right)], dim=1)
        return torch.tanh(self.inner(both))

    def forward(self, node: Node) -> Tensor:
        return self.visit(node).pow(2).mean()


def tree(leaves: int) -> Node:
    if leaves == 1:
        return Node(torch.randn(1, 256))
    return Node(torch.zeros(0), tree(leaves // 2), tree(leaves - leaves // 2))


def compare(model: nn.Module, inputs: list[Any]) -> str:
    twin = copy.deepcopy(model)

    def step(model: nn.Module, given: Any) -> Tensor:
        model.zero_grad()
        loss: Tensor = model(given)
        loss.backward()
        return loss.detach()

    converted = bifront.function(step)
    for given in inputs:
        assert torch.allclose(converted(model, given), step(twin, given), rtol=1e-5)
        for a, b in zip(model.parameters(), twin.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    assert converted.stats["graph_calls"] >= len(inputs) - 3
    return str(converted.graph_texts[-1])


def test_a_loop() -> None:
    torch.manual_seed(0)
    text = compare(Recurrent(), [torch.randn(n, 2, 256) for n in (4, 5, 9, 1, 2, 12)])
    assert "bf.pop_rows" in text


def test_a_tree() -> None:
    torch.manual_seed(0)
    text = compare(Tree(), [tree(n) for n in (3, 4, 2, 7, 5, 9)])
    assert "bf.pop_rows" in text


class Unrolled(nn.Module):
    """Of as many rows at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(1024, 1024)

    def forward(self, xs: Tensor) -> Tensor:
        h = xs[0]
        for x in xs[1:]:
            h = torch.tanh(self.cell(h) + x)
        return h.pow(2).mean()


def test_an_unrolled_loop() -> None:
    torch.manual_seed(0)
    text = compare(Unrolled(), [torch.randn(4, 3, 1024) for _ in range(5)])
    assert "tensor<9x1024xf32>" in text
    assert text.count('"aten::mm"(') + text.count('"aten::addmm_"(') == 3  # two of h's gradients
