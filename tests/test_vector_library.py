"""Functions that ATen has from MKL's vector library: in graphs they have its bits, and no step of
their own that could fail between writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: x,
    "of rows": lambda x: x.view(1, -1).expand(3, -1),
    "a column": lambda x: torch.stack([x, x], 1)[:, 0],
    "transposed": lambda x: torch.stack([x, x * 2, x * 3]).t(),
    "part of a table": lambda x: torch.stack([x, x * 2, x * 3])[:, 1:],
}
NUMBERS = (2, 3, 8, 17, 31, 100, 257, 1000, 4097)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_square_roots_have_eagers_bits(layout: str, dtype: torch.dtype) -> None:
    converted = bifront.function(lambda x: torch.sqrt(x))
    bits = torch.int32 if dtype is torch.float32 else torch.int64
    torch.manual_seed(0)
    for number in NUMBERS:
        x = torch.rand(number, dtype=dtype) * 10.0 ** torch.randint(-30, 30, (number,))
        x[0], x[-1] = 1e-40, -1.0
        if number > 8:
            x[1:5] = torch.tensor([0.0, -0.0, float("inf"), float("nan")])
        x = LAYOUTS[layout](x)
        root, expected = converted(x), x.sqrt()
        assert root.stride() == expected.stride()
        assert torch.equal(root.view(bits), expected.view(bits)), number
    assert converted.stats["graph_calls"] >= len(NUMBERS) - 2, bifront.explain(converted)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_write_where_the_parameters_lie(optimizer: str) -> None:
    """No copy of a weight, or of what an optimizer keeps for it, is made and stored."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
    made = OPTIMIZERS[optimizer](model.parameters())

    def step(x: Tensor) -> Tensor:
        made.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        made.step()
        return loss.detach()

    converted = bifront.function(step)
    for _ in range(5):
        converted(torch.randn(16, 64))
    runs = converted.stats["graph_calls"]
    assert runs >= 3, bifront.explain(converted)
    numbers = 8 * len(list(model.parameters()))  # how many steps there were
    assert converted.stats["shadowed_bytes"] <= runs * numbers
