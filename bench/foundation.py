"""The costs of a straight-line graph, each beside eager in one run: `python -m bench.foundation`.

Conversions, allocations and memory are measured in processes of their own: cold, and with no
cache of another's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import torch

from bench.memory import peak_bytes_of, resident_bytes
from bench.side_by_side import Comparison, compare, seconds
from programs.foundation import PROGRAMS, TrainingProgram

ROOT = Path(__file__).resolve().parent.parent


def chain_of_adds(x: torch.Tensor) -> torch.Tensor:
    for _ in range(1000):
        x = x + 1
    return x


def chain_of_calls(x: torch.Tensor) -> torch.Tensor:
    """Cumulative sums, which are not fused: each link is a call into ATen."""
    for _ in range(1000):
        x = x.cumsum(0)
    return x


def add_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def functions() -> list[Comparison]:
    x = torch.zeros(1)
    rows = []
    for name, function, rounds, repeats in [
        ("1,000 adds of one element", chain_of_adds, 30, 1),
        ("1,000 calls into ATen", chain_of_calls, 30, 1),
        ("one call of x + 1", add_one, 30, 1000),
    ]:
        converted = bifront.trace(function)
        rows.append(
            compare(name, lambda: function(x), lambda: converted(x), rounds=rounds, repeats=repeats)
        )
    return rows


def training_step(
    name: str, optimizer: str, batch: int, convert: bool
) -> tuple[TrainingProgram, Callable[[], torch.Tensor], Any]:
    program = PROGRAMS[name](0, optimizer)
    step = bifront.trace(program.step) if convert else program.step
    inputs = program.batch(batch, 0)
    return program, lambda: step(*inputs), step


def steps(resnet_batch: int) -> list[Comparison]:
    rows = []
    for name, optimizer, batch, rounds in [
        ("mlp", "adam", 32, 100),
        ("lenet", "adam", 32, 100),
        ("transformer", "adam", 32, 50),
        ("resnet50", "sgd", resnet_batch, 6),
    ]:
        _, eager, _ = training_step(name, optimizer, batch, convert=False)
        _, converted, step = training_step(name, optimizer, batch, convert=True)
        rows.append(compare(f"{name}, {optimizer}, batch {batch}", eager, converted, rounds=rounds))
        if step.stats["graphs"] != 1:
            print(bifront.explain(step), file=sys.stderr)
    return rows


def measure_memory(convert: bool, batch: int) -> dict[str, Any]:
    _, call, _ = training_step("resnet50", "sgd", batch, convert)
    for _ in range(3):
        call()
    before = resident_bytes()
    return {"peak": max(peak_bytes_of(call) for _ in range(3)), "between_steps": before}


def measure_conversion(name: str, batch: int, compiler: str) -> dict[str, Any]:
    """What the second call takes beyond a later one is the conversion, all in."""
    program = PROGRAMS[name](0, "adam" if name == "lenet" else "sgd")
    inputs = program.batch(batch, 0)
    if compiler == "torch.compile":
        program.step(*inputs)
        step: Any = torch.compile(program.step)
    else:
        step = bifront.trace(program.step)
        step(*inputs)
    start = time.perf_counter()
    step(*inputs)
    first = time.perf_counter() - start
    result = {"conversion": first - seconds(lambda: step(*inputs), 3)}
    if compiler == "bifront":
        keys = ("conversion_seconds", "graphs", "opaque_calls")
        result |= {key: step.stats[key] for key in keys}
        result["captured_ops"], result["capture_seconds"] = step.capture_cost
    return result


def measure_capture(name: str) -> dict[str, Any]:
    """What taking ops into the graph costs, in a process that has done nothing else."""
    _, call, step = training_step(name, "adam", 4, convert=True)
    call()
    call()
    ops, spent = step.capture_cost
    return {"ops": ops, "seconds": spent}


def measure_allocations(name: str, convert: bool, calls: int = 10) -> dict[str, Any]:
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    _, call, _ = training_step(name, "adam", 8, convert)
    for _ in range(5):
        call()
    by_us, by_others = ctypes.c_uint64(), ctypes.c_uint64()
    library.allocations_start()
    for _ in range(calls):
        call()
    library.allocations_stop(ctypes.byref(by_us), ctypes.byref(by_others))
    return {"by_bifront": by_us.value / calls, "by_others": by_others.value / calls}


def in_process(function: str, *arguments: Any, preload: str | None = None) -> dict[str, Any]:
    environment = os.environ | {"LD_PRELOAD": preload} if preload else dict(os.environ)
    command = [sys.executable, "-m", "bench.foundation", "--run", function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{function}{arguments} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def allocations(names: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/count_allocations.so"
        source = ROOT / "bench" / "count_allocations.cpp"
        compiler = os.environ.get("CXX", "clang++-22")
        flags = ["-std=c++20", "-O2", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(source), "-o", library, "-ldl"], check=True)
        return {
            name: {
                way: in_process("measure_allocations", name, way == "bifront", preload=library)
                for way in ("eager", "bifront")
            }
            for name in names
        }


def table(rows: list[Comparison]) -> str:
    def time_of(value: float) -> str:
        return f"{value * 1e6:10.2f} us" if value < 1e-3 else f"{value * 1e3:10.2f} ms"

    lines = [f"{'':32}{'eager':>13}{'bifront':>13}{'eager / bifront':>18}{'10%..90%':>16}"]
    for row in rows:
        spread = f"{row.low:.2f}..{row.high:.2f}"
        times = f"{time_of(row.eager)}{time_of(row.bifront)}"
        lines.append(f"{row.name:32}{times}{row.ratio:18.2f}{spread:>16}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resnet-batch", type=int, default=4)
    parser.add_argument("--peers", action="store_true", help="torch.compile beside the conversions")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "foundation.json")
    parser.add_argument("--run", nargs=2, metavar=("FUNCTION", "ARGUMENTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.run:
        print(json.dumps(globals()[options.run[0]](*json.loads(options.run[1]))))
        return

    report: dict[str, Any] = {"torch": torch.__version__, "threads": options.threads}
    rows = functions()
    adds, calls, call = rows
    report["functions"] = [row.as_dict() for row in rows]
    print(table(rows))
    print(
        f"  a link of the chains: {adds.bifront * 1e3:.3f} us (adds), at most 0.8; "
        f"{calls.bifront * 1e3:.3f} us (calls into ATen)"
    )
    print(f"  a call of x + 1: {call.bifront * 1e6:.2f} us, at most 3\n")

    rows = steps(options.resnet_batch)
    report["steps"] = [row.as_dict() for row in rows]
    print(table(rows))

    report["conversion"] = {}
    compilers = ["bifront", "torch.compile"] if options.peers else ["bifront"]
    print(f"\n{'conversion':32}{'seconds':>10}{'graphs':>8}")
    for name, batch, bound in [("lenet", 32, 0.5), ("resnet50", options.resnet_batch, 5.0)]:
        for compiler in compilers:
            result = in_process("measure_conversion", name, batch, compiler)
            report["conversion"][f"{name} {compiler}"] = result
            limit = f"  at most {bound}" if compiler == "bifront" else ""
            print(
                f"{name + ', ' + compiler:32}{result['conversion']:10.3f}"
                f"{result.get('graphs', ''):>8}{limit}"
            )

    report["capture"] = {name: in_process("measure_capture", name) for name in PROGRAMS}
    print(f"\n{'capture':32}{'ops':>10}{'us an op':>10}")
    for name, cost in report["capture"].items():
        print(f"{name:32}{cost['ops']:10}{cost['seconds'] / cost['ops'] * 1e6:10.2f}")
    total = {key: sum(cost[key] for cost in report["capture"].values()) for key in cost}
    average = total["seconds"] / total["ops"] * 1e6
    print(f"{'all':32}{total['ops']:10}{average:10.2f}  at most 5")

    report["allocations"] = allocations(["mlp", "lenet", "transformer"])
    print(f"\n{'heap allocations a step':32}{'by bifront':>12}{'by others':>12}")
    for name, ways in report["allocations"].items():
        for way, counts in ways.items():
            print(f"{name + ', ' + way:32}{counts['by_bifront']:12.1f}{counts['by_others']:12.1f}")

    report["memory"] = {
        way: in_process("measure_memory", way == "bifront", options.resnet_batch)
        for way in ("eager", "bifront")
    }
    print(f"\n{'resnet50: resident':32}{'peak MiB':>12}{'between steps':>16}")
    for way, sizes in report["memory"].items():
        print(f"{way:32}{sizes['peak'] / 2**20:12.0f}{sizes['between_steps'] / 2**20:16.0f}")

    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
