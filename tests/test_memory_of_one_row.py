"""What copies many rows and gives one as it lies: a write is seen through both names, or not."""

from __future__ import annotations

from collections.abc import Callable

import bifront
import pytest
import torch
from torch import Tensor

ROWS = [3, 3, 5, 1, 4, 1, 2, 7, 1, 3]
MAKERS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x.t().contiguous(),
    "reshape": lambda x: x.t().reshape(-1),
    "flatten": lambda x: x.t().flatten(),
    "ravel": lambda x: x.t().ravel(),
    "columns": lambda x: x[:, 1:3].contiguous(),
    "columns, reshaped": lambda x: x[:, :2].reshape(-1),
    "permuted": lambda x: x[:, None, :].permute(1, 2, 0).contiguous(),
    "channels last": lambda x: x[None, None].contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("name", MAKERS)
def test_of_an_argument(name: str) -> None:
    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        made = MAKERS[name](x)
        made.add_(1)
        return x * 1, made * 1

    converted = bifront.function(function)
    for rows in ROWS:
        x = torch.randn(rows, 4)
        ours, theirs = x.clone(), x.clone()
        assert all(map(torch.equal, converted(ours), function(theirs))), rows
        assert torch.equal(ours, theirs), rows
    assert converted.stats["graph_calls"] > 3, bifront.explain(converted)


@pytest.mark.parametrize("name", MAKERS)
def test_of_what_a_mask_selects(name: str) -> None:
    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        selected = x[x[:, 0] > 0]
        made = MAKERS[name](selected)
        made.add_(1)
        return selected * 1, made * 1

    converted = bifront.function(function)
    for rows in ROWS:
        x = torch.randn(7, 4)
        x[:, 0] = torch.arange(7) < rows
        assert all(map(torch.equal, converted(x), function(x))), rows
    assert converted.stats["graph_calls"] > 2, bifront.explain(converted)


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_returned_shares_memory_as_in_eager(name: str) -> None:
    converted = bifront.function(MAKERS[name])
    for rows in ROWS:
        x = torch.randn(rows, 4)
        ours, theirs = converted(x), MAKERS[name](x)
        assert torch.equal(ours, theirs), rows
        assert (ours.data_ptr() == x.data_ptr()) == (theirs.data_ptr() == x.data_ptr()), rows
