"""`bifront.function`, and `bifront.trace`, which knows straight-line steps only."""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import torch  # noqa: F401  (the core's symbols come from torch, so torch goes first)

from bifront import _core, _foreign_random, _reachable_state, _trace_hooks

ConvertedFunction = _core.ConvertedFunction

# The thread that compiles needs an interpreter, and does not survive a fork.
atexit.register(_core.stop_compiler)
os.register_at_fork(before=_core.wait_for_compiler, after_in_child=_core.forget_compiler)

P = ParamSpec("P")
R = TypeVar("R")

_core.set_capture_hooks(
    _trace_hooks.enter,
    _trace_hooks.exit,
    _reachable_state.reachable,
    _foreign_random.states,
    _foreign_random.restore,
)


def _converted(
    fn: Callable[..., Any] | None,
    dynamic: list[tuple[int | str, int]],
    profile_calls: int,
    max_graphs: int,
    walked: bool,
) -> Any:
    if fn is None:  # called with options, to decorate
        return functools.partial(
            _converted,
            dynamic=dynamic,
            profile_calls=profile_calls,
            max_graphs=max_graphs,
            walked=walked,
        )
    converted = _core.ConvertedFunction(fn, dynamic, profile_calls, max_graphs, walked)
    functools.update_wrapper(converted, fn)
    return converted


@overload
def trace(
    fn: Callable[P, R],
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Callable[P, R]: ...


@overload
def trace(
    fn: None = None,
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def trace(
    fn: Callable[..., Any] | None = None,
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Any:
    """Convert `fn`, whose Python code must do the same at every call, into one graph.

    The first `profile_calls` calls run in CPython. The next is captured, compiled and run as a
    graph, and so are those after it, as long as their arguments look the same; any other call runs
    in CPython and may lead to another, more general graph.

    `dynamic` names dimensions that vary: pairs of an argument (its position or keyword) and a
    dimension. A dimension that is seen to vary becomes dynamic by itself at the next conversion.

    Tensors that `fn` reaches on its own - parameters, buffers, optimizer state - are inputs of the
    graph. Plain Python values that it reaches are constants of it. They are watched: when one has
    changed, the graph does not run, and another is made.
    """
    return _converted(fn, list(dynamic), profile_calls, max_graphs, walked=False)


@overload
def function(
    fn: Callable[P, R],
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Callable[P, R]: ...


@overload
def function(
    fn: None = None,
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def function(
    fn: Callable[..., Any] | None = None,
    *,
    dynamic: Sequence[tuple[int | str, int]] = (),
    profile_calls: int = 1,
    max_graphs: int = 8,
) -> Any:
    """Convert `fn`, an imperative function, into graphs, each for what its calls have in common.

    The first `profile_calls` calls run in CPython. At the next, the function and every Python
    function that it calls are walked; what they compute becomes one graph, and what they read of
    Python's values is guarded. Later calls for which the guards hold run the graph; any other runs
    in CPython, or leads to another graph. `dynamic` names dimensions that vary, as pairs of an
    argument (its position or keyword) and a dimension; one that is seen to vary becomes so by
    itself.
    """
    return _converted(fn, list(dynamic), profile_calls, max_graphs, walked=True)
