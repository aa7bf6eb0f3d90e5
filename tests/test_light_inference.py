"""Ops whose shapes torch infers in Python are captured without importing torch.compile."""

from __future__ import annotations

from pathlib import Path

from tests.failing_on_purpose import run_program

OPS = [
    "torch.arange(x.size(0))",
    "torch.eye(3)",
    "torch.dot(x[0], x[0])",
    "torch.mv(x, x[0])",
    "torch.fmod(x, 2)",
    "x // 2",
    "x.long() % 2",
    "torch.isnan(x)",
    "F.relu6(x)",
    "F.hardswish(x)",
    "F.huber_loss(x, x + 1)",
    "F.logsigmoid(x)",
    "F.prelu(x, torch.tensor([0.1]))",
    "F.conv_transpose2d(x[None, None], torch.ones(1, 1, 2, 2))",
    "F.pixel_shuffle(x.view(1, 4, 2, 3), 2)",
    "F.grid_sample(x[None, None], torch.zeros(1, 2, 2, 2), align_corners=False)",
    "F.pad(x[None, None], (1, 1, 1, 1), mode='reflect')",
    "torch.cdist(x, x)",
    "torch.logsumexp(x, 0)",
    "torch.std_mean(x)[0]",
    "x.gather(1, x.argsort(1))",
    "x.scatter_add(1, x.argsort(1), x)",
    "x.index_fill(0, torch.tensor([0]), 1)",
    "x.sort().values",
    "torch.diag(x[0])",
    "torch.complex(x, x)",
    "torch.fft.rfft(x).abs()",
    "torch.linalg.solve(x @ x.t() + 9 * torch.eye(4), x)",
]

PROGRAM = """
import sys

import bifront
import torch
import torch.nn.functional as F

torch.manual_seed(0)


@bifront.function
def step(x):
    return [
        {ops},
    ]


calls = [torch.randn(4, 6) for call in range(4)]
results = [step(x) for x in calls]
assert step.stats["graph_calls"] == 3, bifront.explain(step)
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
for x, found in zip(calls, results, strict=True):
    for result, expected in zip(found, step.__wrapped__(x), strict=True):
        torch.testing.assert_close(result, expected)

# What torch.compile leaves alone, it still leaves alone.
from torch._refs import fmod

compiled = torch.compile(lambda x: fmod(x, 2) + 1, backend="eager")
torch.testing.assert_close(compiled(x), x.fmod(2) + 1)
inner = fmod.__wrapped__
while hasattr(inner, "__wrapped__"):
    print(vars(inner).get("__dynamo_disable", "torch.compile's") is inner)
    inner = inner.__wrapped__
import sympy

print(sympy.Symbol("n") + 1)
"""


def test_torch_compile_is_not_imported(tmp_path: Path) -> None:
    printed = run_program(tmp_path, PROGRAM.format(ops=",\n        ".join(OPS)))
    lines = printed.splitlines()
    assert lines[0] == "[]" and lines[-1] == "n + 1"
    assert lines[1:-1] and set(lines[1:-1]) == {"False"}
