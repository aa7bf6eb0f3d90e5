"""A TreeLSTM over binary trees (Tai et al., 2015), which judges every node."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.trees import Node


class TreeLSTM(nn.Module):
    def __init__(self, vocabulary: int, embedded: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedded)
        self.leaf = nn.Linear(embedded, 3 * hidden)
        self.inner = nn.Linear(2 * hidden, 5 * hidden)
        self.judge = nn.Linear(hidden, classes)

    def forward(self, node: Node, losses: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The state of a node, (1, hidden) each; the losses of all nodes go into `losses`."""
        if node.is_leaf:
            x = self.embed(torch.tensor([node.word]))
            i, o, g = self.leaf(x).chunk(3, dim=1)
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            left_h, left_c = self(node.left, losses)
            right_h, right_c = self(node.right, losses)
            gates = self.inner(torch.cat([left_h, right_h], dim=1))
            i, o, g, forget_left, forget_right = gates.chunk(5, dim=1)
            c = (
                torch.sigmoid(i) * torch.tanh(g)
                + torch.sigmoid(forget_left) * left_c
                + torch.sigmoid(forget_right) * right_c
            )
        h = torch.sigmoid(o) * torch.tanh(c)
        losses.append(functional.cross_entropy(self.judge(h), torch.tensor([node.label])))
        return h, c
