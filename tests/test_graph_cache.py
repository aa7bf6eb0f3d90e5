"""Which graphs a function keeps, and what it says of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor, nn

from tests.same_state import Box, X, same

STATS = {
    "calls",
    "profiled_calls",
    "graph_calls",
    "fallback_calls",
    "conversions",
    "graphs",
    "forms",
    "opaque_calls",
    "shadowed_bytes",
    "tape_bytes",
    "arena_bytes",
    "conversion_seconds",
    "exits",
    "notes",
}


def test_stats_have_these_keys() -> None:
    converted = bifront.function(lambda x: x + 1)
    assert converted.stats.keys() == STATS
    for size in (2, 3, 4):
        converted(torch.ones(size))
    stats = converted.stats
    assert stats.keys() == STATS
    assert (stats["calls"], stats["profiled_calls"], stats["graph_calls"]) == (3, 1, 2)


def test_fits_says_whether_a_graph_may_run_and_runs_none() -> None:
    box = Box(by=2)
    converted = bifront.function(lambda x, *, other=None: x * box.by if other is None else x)
    assert not converted.fits(X)
    for _ in range(3):
        converted(X)
    before = converted.stats
    assert converted.fits(X)
    assert not converted.fits(X, other=X) and not converted.fits(X.double())
    box.by = 3
    assert not converted.fits(X)
    assert converted.stats == before


def test_stats_say_what_was_shadowed() -> None:
    """A write may wait in its own place until assumptions have held, unless another needs it."""
    one, other = torch.ones(3), torch.zeros(3)

    def swapped(x: Tensor) -> None:
        old = one + x
        one.copy_(other)
        other.copy_(old)

    def in_place(x: Tensor) -> None:
        one.add_(x)

    for function, least, most in ((swapped, 12, 24), (in_place, 0, 0)):
        converted = bifront.function(function)
        for _ in range(6):
            converted(torch.ones(3))
        assert converted.stats["graph_calls"] == 5
        assert 5 * least <= converted.stats["shadowed_bytes"] <= 5 * most


def test_what_varies_between_the_first_calls_is_known_at_the_first_conversion() -> None:
    converted = bifront.function(lambda x, n: x * n + x.shape[0])
    for call in range(8):
        n = call % 5
        x = torch.ones(3 + call)
        assert torch.equal(converted(x, n), x * n + x.shape[0])
    assert converted.stats["conversions"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 7


def test_a_more_general_graph_takes_the_place_of_those_that_it_covers() -> None:
    """The number varies first, then the size, and then both do."""
    converted = bifront.function(lambda x, n: x * n)
    for n, size in [(1, 3), (1, 3), (2, 3), (2, 4), (3, 5), (1, 3), (1, 4)]:
        x = torch.ones(size)
        assert torch.equal(converted(x, n), x * n)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["conversions"] <= 3


def test_a_graph_of_the_other_way_is_not_erased() -> None:
    """Ways that end in different objects have a graph each, however many calls one of them runs."""

    def function(x: Tensor, n: int) -> Any:
        return [x * n] if x.sum() > 0 else {"x": x}

    converted = bifront.function(function)
    signs = [1, 1, -1, *[1] * 20, -1, *[1] * 20, -1]
    for call, sign in enumerate(signs):
        x = X * sign
        same(converted(x, call % 3), function(x, call % 3))
    stats = converted.stats
    assert stats["conversions"] <= 4, bifront.explain(converted)
    assert stats["graph_calls"] >= len(signs) - 3, bifront.explain(converted)


def test_a_graph_that_fails_its_own_call_is_made_anew_without_inputs() -> None:
    """An int that outgrows 64 bits is no number of the graph, but a constant may follow from it."""
    converted = bifront.function(lambda x, n: x * (n * n * n % 7))
    for call in range(7):
        n = 10**7 + call
        assert torch.equal(converted(X, n), X * (n * n * n % 7))
    assert converted.stats["graph_calls"] == 6, bifront.explain(converted)


def test_a_number_that_has_to_be_known_leaves_the_sizes_dynamic() -> None:
    names = ["a", "b"]
    converted = bifront.function(lambda x, n: {names[n]: x * x.shape[0]})
    for call in range(12):
        x = torch.ones(3 + call)
        assert torch.equal(converted(x, call % 2)[names[call % 2]], x * x.shape[0])
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 11


def test_a_size_that_has_to_be_known_leaves_the_numbers_inputs() -> None:
    converted = bifront.function(lambda x, n: [row * n for row in x])
    for call in range(12):
        x, n = torch.ones(2 + call % 2, 3), call
        same(converted(x, n), [row * n for row in x])
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    assert converted.stats["graph_calls"] == 11, bifront.explain(converted)


def printed_numbers(program: str, megabytes: str) -> list[int]:
    """Of a process whose functions' graphs may keep so much."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"BIFRONT_GRAPH_MEGABYTES": megabytes},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


def test_graphs_beyond_the_memory_are_dropped() -> None:
    """Of some sizes that each have a graph of their own, the least used one goes."""
    program = """if True:
        import torch, bifront
        def step(x, names):
            for _ in range(3):
                x = torch.softmax(x @ x, 0)
            return {name: x.sum() for name in names}
        converted = bifront.function(step)
        x = torch.rand(700, 700)
        for name in "aabbccddee":
            converted(x, {name: None})
        print(converted.stats["forms"], converted.stats["conversions"])
    """
    counts = {}
    for megabytes in ("", "4"):
        counts[megabytes] = printed_numbers(program, megabytes)[0]
    assert counts["4"] < counts[""], counts


def test_large_graphs_that_run_in_turn_are_kept() -> None:
    """Each has the memory of the other one: dropping that one would win nothing."""
    program = """if True:
        import torch, bifront
        def step(x, names):
            for _ in range(3):
                x = torch.softmax(x, 0)
            return {name: x.sum() for name in names}
        converted = bifront.function(step)
        x = torch.rand(4096, 2560)
        for name in "abababababab":
            converted(x, {name: None})
        print(converted.stats["arena_bytes"], converted.stats["forms"],
              converted.stats["conversions"])
    """
    arenas, forms, conversions = printed_numbers(program, "60")
    assert arenas > 120 << 20
    assert (forms, conversions) == (2, 2)


#  ---- explain ----


def branching(state: Any, x: Tensor) -> Any:
    if x.sum() > 0:
        return [x * state.by]
    return {"x": x}


def test_explain_shows_the_source_with_what_was_assumed_there() -> None:
    converted = bifront.function(branching)
    for sign in (1, 1, 1, -1, 1, -1):
        converted(Box(by=2), X * sign)
    state = Box(by=2)
    for sign in (1, 1, 1, -1, 1, -1):
        converted(state, X * sign)
    text = bifront.explain(converted)
    assert "if x.sum() > 0:" in text
    assert "^ assumed:" in text
    assert "BF031" in text


def test_explain_shows_where_a_function_was_refused() -> None:
    def function(x: Tensor) -> Any:
        y = x + 1
        return y.storage_offset()

    converted = bifront.function(function)
    for _ in range(3):
        converted(X)
    lines = bifront.explain(converted).splitlines()
    line = next(i for i, text in enumerate(lines) if "y.storage_offset()" in text)
    assert "^ BF010" in lines[line + 1], "\n".join(lines)


def test_explain_of_a_module() -> None:
    converted = bifront.function(nn.Linear(3, 2))
    converted(X)
    assert "def forward" in bifront.explain(converted)


#  ---- Threads, re-entrance, fork ----


def test_eight_threads_fail_at_once() -> None:
    """Each with branches, sizes and numbers that differ from thread to thread."""

    def function(x: Tensor, n: int) -> Any:
        y = x * n if x.sum() > 0 else x - n
        return y.relu() + y.shape[0]

    converted = bifront.function(function)
    start = threading.Barrier(8)
    wrong: list[Any] = []

    def work(thread: int) -> None:
        start.wait()
        for call in range(150):
            sign = 1 if (call + thread) % 3 else -1
            x = torch.ones(2 + (call * thread) % 5) * sign
            if not torch.equal(converted(x, call % 4), function(x, call % 4)):
                wrong.append((thread, call))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = converted.stats
    assert not wrong
    assert stats["calls"] == 1200
    assert stats["profiled_calls"] + stats["graph_calls"] + stats["fallback_calls"] == 1200
    assert stats["conversions"] <= 8


def test_a_converted_function_calls_another_and_itself() -> None:
    inner = bifront.function(lambda x: x * 2)

    def outer(x: Tensor, depth: int) -> Any:
        y = inner(x) + 1
        return converted(y, depth - 1) if depth else y

    converted = bifront.function(outer)

    def eager(x: Tensor, depth: int) -> Any:
        y = x * 2 + 1
        return eager(y, depth - 1) if depth else y

    for call in range(12):
        same(converted(X + call, call % 3), eager(X + call, call % 3))


def _in_child(function: Any, queue: Any) -> None:
    results = [function(X + call).tolist() for call in range(5)]
    queue.put((results, function.stats["graph_calls"]))


def test_a_forked_process_goes_on_with_the_graphs() -> None:
    function = bifront.function(lambda x: (x * 2).relu())
    for _ in range(3):
        function(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(function, queue))
    child.start()
    results, graph_calls = queue.get(timeout=60)
    child.join()
    assert child.exitcode == 0
    assert results == [((X + call) * 2).tolist() for call in range(5)]
    assert graph_calls == 7


class Rows(torch.utils.data.Dataset[Tensor]):
    def __init__(self, function: Any) -> None:
        self.function = function

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Tensor:
        result: Tensor = self.function(torch.full((3,), float(index)))
        return result


@pytest.mark.filterwarnings("ignore")
def test_workers_of_a_data_loader() -> None:
    """Forked from a process that trains by a graph; they convert a function of their own too."""
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    @bifront.function
    def step(x: Tensor) -> Any:
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(4):
        step(torch.ones(4, 3))
    rows = Rows(bifront.function(lambda row: row * 2))
    loader = torch.utils.data.DataLoader(
        rows, batch_size=4, num_workers=2, multiprocessing_context="fork"
    )
    for _ in range(2):
        for number, batch in enumerate(loader):
            assert batch[:, 0].tolist() == [8.0 * number + 2 * i for i in range(4)]
            step(batch)
    assert step.stats["graph_calls"] >= 10


def test_a_function_and_its_graphs_are_freed() -> None:
    gc.collect()
    net = nn.Linear(3, 3)
    converted = bifront.function(net)
    with torch.no_grad():
        for size in (2, 3, 4, 4):
            converted(torch.ones(size, 3))
    assert converted.stats["graph_calls"] > 0
    import weakref

    gone = weakref.ref(net)
    del net, converted
    gc.collect()
    assert gone() is None
