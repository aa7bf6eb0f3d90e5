"""What the environment variables of docs/options.md do, each in a process of its own."""

import os
import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import torch
    import bifront

    @bifront.trace
    def doubled(x):
        return (x * 2).relu()

    for size in (3, 3, 4):
        doubled(torch.ones(size))
    stats = doubled.stats
    print(stats["calls"], stats["graph_calls"], stats["graphs"])
    """
)


def run(**variables):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )


def test_silent_by_default():
    done = run()
    assert (done.stdout, done.stderr) == ("3 2 1\n", "")


def test_enabled_leaves_every_call_to_cpython():
    assert run(BIFRONT_ENABLED="0").stdout == "3 0 0\n"


def test_log_says_a_line_for_each_conversion_and_exit():
    lines = run(BIFRONT_LOG="1").stderr.splitlines()
    assert [line.split(" ")[:2] for line in lines] == [["bifront:", "doubled"]] * 3
    assert all("(<string>:5)" in line for line in lines)
    converted, mismatch, again = lines
    assert "converted in" in converted and "converted in" in again
    assert "BF002" in mismatch


def test_dumps_show_the_graph():
    dumped = run(BIFRONT_DUMP_BEFORE="functionalise", BIFRONT_DUMP_AFTER="fuse-pointwise").stderr
    assert dumped.count("// before functionalise") == dumped.count("// after fuse-pointwise") == 2
    assert "aten::relu" in dumped and "bf.pointwise" in dumped


def test_disabled_passes_are_left_out():
    variables = {"BIFRONT_DUMP_AFTER": "all"}
    assert "// after fuse-pointwise" in run(**variables).stderr
    assert (
        "// after fuse-pointwise"
        not in run(**variables, BIFRONT_DISABLE_PASSES="fuse-pointwise").stderr
    )
