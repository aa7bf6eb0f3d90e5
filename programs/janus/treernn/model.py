"""A recursive network over binary trees (Socher et al., 2011), which judges every node."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from programs.data.trees import Node


class TreeRNN(nn.Module):
    def __init__(self, vocabulary: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, hidden)
        self.combine = nn.Linear(2 * hidden, hidden)
        self.judge = nn.Linear(hidden, classes)

    def forward(self, node: Node) -> tuple[Tensor, Tensor]:
        """What a node means, of shape (1, hidden), and the loss of all nodes from it down."""
        if node.is_leaf:
            h = torch.tanh(self.embed(torch.tensor([node.word])))
            loss = torch.zeros(())
        else:
            left, left_loss = self(node.left)
            right, right_loss = self(node.right)
            h = torch.tanh(self.combine(torch.cat([left, right], dim=1)))
            loss = left_loss + right_loss
        return h, loss + functional.cross_entropy(self.judge(h), torch.tensor([node.label]))
