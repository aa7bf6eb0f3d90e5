"""Programs of processes that use torch.compile too, which changes PyTorch's optimizers."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import bifront, copy, torch
from torch import nn
from torch._dynamo.eval_frame import TorchPatcher

TorchPatcher.patch()  # as the first use of torch.compile does
for cls in (torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop):
    model = nn.Linear(4, 3)
    twin = copy.deepcopy(model)
    steps = []
    for each in (model, twin):
        optimizer = cls(each.parameters(), lr=0.1)
        def step(x, each=each, optimizer=optimizer):
            optimizer.zero_grad()
            loss = each(x).pow(2).sum()
            loss.backward()
            optimizer.step()
            return loss.detach()
        steps.append(step)
    converted = bifront.function(steps[0])
    for _ in range(5):
        x = torch.randn(2, 4)
        torch.testing.assert_close(converted(x), steps[1](x))
    torch.testing.assert_close(model.weight, twin.weight)
    assert converted.stats["graph_calls"] == 4, bifront.explain(converted)
    print(cls.__name__)
"""


def test_optimizers_that_torch_compile_has_wrapped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["SGD", "Adam", "RMSprop"]
