"""Programs that run in turn have their memory in turn: what the larger one needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import json, sys
import bifront, torch
from bench.memory import resident_bytes

torch.set_num_threads(1)
weight = torch.randn(256, 256, requires_grad=True)
rows = 12288 if sys.argv[1] == "same" else (12288, 12224, 12160)

def train(x, finish):
    weight.grad = None
    for _ in range(8):
        x = torch.sin(x @ weight)
    loss = finish(x)
    loss.backward()
    return loss.detach()

first = bifront.function(lambda x: train(x, lambda y: y.sum()))
second = bifront.function(lambda x: train(x, lambda y: y.square().mean()))
kept = []
for function in (first, second, first, second):
    for call in range(5):
        function(torch.randn(rows if isinstance(rows, int) else rows[call % 3], 256))
    kept.append(resident_bytes())
print(json.dumps([kept, first.stats["fallback_calls"] + second.stats["fallback_calls"]]))
"""


def kept_memory(sizes: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, sizes], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept, fallbacks = json.loads(done.stdout)
    assert fallbacks == 0
    return [int(each) for each in kept]


ONE = 8 * 12288 * 256 * 4
"""Bytes of what one of the programs keeps for its gradients."""


def test_of_programs_of_one_size() -> None:
    kept = kept_memory("same")
    assert max(kept) - kept[0] < ONE, [size >> 20 for size in kept]


def test_of_programs_of_many_sizes() -> None:
    kept = kept_memory("others")
    assert max(kept) - kept[0] < ONE, [size >> 20 for size in kept]
