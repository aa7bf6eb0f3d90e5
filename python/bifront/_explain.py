"""What became of a converted function, beside its source."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterable
from typing import Any

import torch  # noqa: F401  (the core's symbols come from torch, so torch goes first)

from bifront import _core


def explain(fn: Any) -> str:
    """Say what became of a converted function: its graphs, and why calls ran in CPython.

    Behind the counts comes the source, each line with what the graphs assume there, what goes one
    way, and what failed or was refused.
    """
    if not isinstance(fn, _core.ConvertedFunction):
        raise TypeError(f"explain takes a function converted by bifront, not {type(fn).__name__}")
    stats = fn.stats
    name = getattr(fn, "__name__", "function")
    forms = f" of {stats['forms']} forms" if stats["forms"] > stats["graphs"] else ""
    lines = [
        f"{name}: {stats['graphs']} graph(s){forms}, {stats['graph_calls']} of {stats['calls']}"
        f" calls ran in a graph, {stats['conversion_seconds']:.3f} s converting"
    ]
    if stats["tape_bytes"]:
        lines.append(f"  on tapes for backward: up to {stats['tape_bytes'] / 1e6:.3g} MB a run")
    reasons = {name: (code, sentence, hint) for name, code, sentence, hint in _core.exit_reasons()}
    for reason, count in stats["exits"].items():
        code, sentence, hint = reasons[reason]
        lines.append(f"  {code} x{count}: {sentence} {hint}")
    remarks = _remarks(fn, reasons)
    own, others = _split(fn, remarks)
    lines += [f"  {place}: {remark}" for place, remark in others]
    if fn.last_error:
        lines.append(f"  last: {fn.last_error}")
    return "\n".join(lines + _annotated(fn, own))


def _remarks(fn: Any, reasons: dict[str, tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Pairs of a place ("file:line", or nothing) and what is to be said there, each once."""
    found = [(place, f"assumed: {condition}") for place, condition in fn.assumptions]
    found += [(place, f"calls in Python: {name}") for place, name in fn.opaque_calls]
    for note in fn.stats["notes"]:
        place, separator, text = note.partition(": ")
        is_place = bool(separator) and place.rpartition(":")[2].isdigit()
        found.append((place, text) if is_place else ("", note))
    for place, reason, message, count in fn.failures:
        code, sentence, hint = reasons[reason]
        found.append((place, f"{code} x{count}: {message} ({sentence} {hint})"))
    return list(dict.fromkeys(found))


def _code(fn: Any) -> Any:
    inner = inspect.unwrap(fn.__wrapped__)
    if not hasattr(inner, "__code__"):  # an object that can be called
        inner = getattr(inner, "forward", None) or type(inner).__call__
    return getattr(inner, "__code__", None)


def _split(
    fn: Any, remarks: Iterable[tuple[str, str]]
) -> tuple[dict[int, list[str]], list[tuple[str, str]]]:
    """What belongs to the function's own lines, and what to those that it calls."""
    code = _code(fn)
    own: dict[int, list[str]] = {}
    others = []
    last = _last_line(code) if code else 0
    for place, remark in remarks:
        file, _, line = place.rpartition(":")
        number = int(line) if line.isdigit() else 0
        if code and file == code.co_filename and code.co_firstlineno <= number <= last:
            own.setdefault(number, []).append(remark)
        else:
            others.append((place or "somewhere", remark))
    return own, others


def _last_line(code: Any) -> int:
    last: int = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    inner = [constant for constant in code.co_consts if hasattr(constant, "co_lines")]
    return max([last, *map(_last_line, inner)])


def _annotated(fn: Any, remarks: dict[int, list[str]]) -> list[str]:
    code = _code(fn)
    if code is None:
        return []
    lines = []
    for number in range(code.co_firstlineno, _last_line(code) + 1):
        source = linecache.getline(code.co_filename, number).rstrip("\n")
        if not source and number not in remarks:
            continue
        lines.append(f"{number:5} | {source}")
        indent = len(source) - len(source.lstrip())
        for remark in remarks.get(number, []):
            first, *rest = remark.splitlines() or [""]
            lines.append(f"      | {' ' * indent}^ {first}")
            lines += [f"      | {' ' * indent}  {line}" for line in rest]
    return [f"{code.co_filename}:", *lines] if lines else []
