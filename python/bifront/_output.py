"""What the program says, at the end of a run: where it goes, and whether it may wait so long.

What runs code of the program may not: that code could see what the run has done since, or raise.
"""

from __future__ import annotations

import io
import logging
import sys
import types
import warnings
from typing import Any

from bifront._reachable_state import _CONTAINERS, _class_in_library, in_library


def print_to(stream: str, *values: Any, **keywords: Any) -> None:
    print(*values, file=getattr(sys, stream), **keywords)


def call_stream(stream: str, method: str, *arguments: Any) -> None:
    getattr(getattr(sys, stream), method)(*arguments)


def is_stream_of_library(stream: str) -> bool:
    """Whether it takes texts, and says how long they are."""
    now = getattr(sys, stream)
    now = getattr(now, "_guarded", now)  # during a capture
    return isinstance(now, io.TextIOBase) and _class_in_library(type(now))


def logs_by_library(logger: logging.Logger) -> bool:
    """Whether all that hears of its records belongs to libraries."""
    if logging.getLogRecordFactory() is not logging.LogRecord:
        return False
    heard: logging.Logger | None = logger
    while heard is not None:
        if type(heard) not in (logging.Logger, logging.RootLogger):
            return False
        hearers: list[Any] = [*heard.filters, *heard.handlers]
        if not all(_is_of_library(hearer) for hearer in hearers):
            return False
        heard = heard.parent if heard.propagate else None
    return True


def keeps_records(logger: logging.Logger) -> list[Any]:
    """Containers that its records, or what comes of them, are put into."""
    kept: list[Any] = []
    heard: logging.Logger | None = logger
    while heard is not None:
        for handler in heard.handlers:
            state = {name: value for name, value in vars(handler).items() if name != "filters"}
            kept += [value for value in state.values() if isinstance(value, _CONTAINERS)]
        heard = heard.parent if heard.propagate else None
    return kept


def keeps_warnings() -> list[Any]:
    """The same for warnings: `with catch_warnings(record=True)`."""
    show = vars(warnings)["_showwarnmsg_impl"]
    return [] if isinstance(show, types.FunctionType) else [show.__self__]


def _is_of_library(hearer: Any) -> bool:
    if not _class_in_library(type(hearer)):
        return False
    if isinstance(hearer, types.FunctionType):  # a filter
        return in_library(hearer.__code__.co_filename)
    if not isinstance(hearer, logging.Handler):
        return True
    state = vars(hearer)
    parts = [state.get(name) for name in ("formatter", "stream", "target")]
    return all(
        _is_of_library(part) if isinstance(part, logging.Handler) else _class_in_library(type(part))
        for part in [*parts, *hearer.filters]
    )


def warns_without_raising(category: type[Warning]) -> bool:
    """Whether each such warning is shown as Python shows it, or passed over."""
    hooked = vars(warnings)
    show = hooked["_showwarnmsg_impl"]
    if hooked["showwarning"] is not hooked["_showwarning_orig"]:
        return False
    if isinstance(show, types.FunctionType) and not in_library(show.__code__.co_filename):
        return False
    for action, message, filtered, module, line in hooked["filters"]:
        if not issubclass(category, filtered):
            continue
        if action == "error":
            return False
        if message is None and module is None and line == 0:
            return True
    return bool(hooked["defaultaction"] != "error")


def is_plain_category(category: Any) -> bool:
    """Whether making such a warning runs no code of the program."""
    return (
        isinstance(category, type)
        and issubclass(category, Warning)
        and not any(
            name in vars(cls)
            for cls in category.__mro__
            if not _class_in_library(cls)
            for name in ("__new__", "__init__", "__str__")
        )
    )
