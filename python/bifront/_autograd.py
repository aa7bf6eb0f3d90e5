"""What the walk of a program has CPython do for torch.autograd.Function and torch.manual_seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch


def subclass(function: Any, methods: dict[str, Callable[..., Any]]) -> Any:
    """A class that autograd takes for `function`, with other methods."""
    body: dict[str, Any] = {name: staticmethod(method) for name, method in methods.items()}
    body.update(__module__=function.__module__, __qualname__=function.__qualname__)
    return type(function)(function.__name__, (function,), body)


def bound_arguments(
    forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """As torch.autograd.Function.apply binds them where there is a setup_context."""
    bound = inspect.signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args, bound.kwargs


def seed_graph(seed: Any) -> Iterator[Any]:
    """As torch.manual_seed does; the generator, which it returns, may not leave the call."""
    torch.ops.bifront.manual_seed(seed)
    return iter(())
