"""The text of functions that the standard library's `dataclasses` makes, told from their code.

They are compiled from texts that nobody keeps. What is told here may be wrong: who asks compiles it
and compares the code.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from itertools import groupby

_COMPARISONS = {"__eq__": "==", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}


def texts_of(code: types.CodeType) -> list[str]:
    """Texts of a `def`, one of which may be the function's."""
    if code.co_name == "__init__":
        return [_text(code, _lines_of_init(code))]
    if code.co_name in _COMPARISONS:
        return [_text(code, lines) for lines in _comparisons(code)]
    if code.co_name == "__hash__":
        return [_text(code, [f"return hash({_tuple_of('self', _fields(code, 'hash'))})"])]
    if code.co_name == "__repr__":
        shown = ", ".join(f"{name}={{self.{name}!r}}" for name in _fields(code, "__qualname__"))
        return [_text(code, [f'return self.__class__.__qualname__ + f"({shown})"'])]
    return []


def _text(code: types.CodeType, lines: list[str]) -> str:
    positional = list(code.co_varnames[: code.co_argcount])
    named = list(code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount])
    parameters = ", ".join([*positional, *(["*"] if named else []), *named])
    body = "\n".join(f"  {line}" for line in lines or ["pass"])
    return f"def {code.co_name}({parameters}):\n{body}\n"


def _fields(code: types.CodeType, *others: str) -> list[str]:
    return [name for name in code.co_names if name not in ("__class__", "NotImplemented", *others)]


def _tuple_of(owner: str, fields: list[str]) -> str:
    return "(" + "".join(f"{owner}.{name}," for name in fields) + ")"


def _comparisons(code: types.CodeType) -> Iterator[list[str]]:
    fields, operator = _fields(code), _COMPARISONS[code.co_name]
    same_class = "if other.__class__ is self.__class__:"
    both = operator.join(_tuple_of(owner, fields) for owner in ("self", "other"))
    yield [same_class, f"  return {both}", "return NotImplemented"]
    if operator == "==":  # since 3.13
        each = " and ".join(f"self.{name}==other.{name}" for name in fields) or "True"
        identity = ["if self is other:", "  return True"]
        yield [*identity, same_class, f"  return {each}", "return NotImplemented"]


def _lines_of_init(code: types.CodeType) -> list[str]:
    instructions = [
        one for one in dis.get_instructions(code) if one.positions and one.positions.lineno
    ]
    lines = groupby(instructions, key=lambda one: one.positions and one.positions.lineno)
    stored = (_line_of_init(code, list(line)) for _, line in lines)
    return [line for line in stored if line]


def _line_of_init(code: types.CodeType, line: list[dis.Instruction]) -> str:
    """What sets one attribute, or calls `__post_init__`."""
    instance = code.co_varnames[0]
    loaded: list[str] = []  # in order, the instance left out
    for one in line:
        names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        if "LOAD_FAST" in one.opname:
            loaded += [name for name in names if name != instance]
    cells = [one.argval for one in line if one.opname in ("LOAD_DEREF", "LOAD_CLASSDEREF")]
    attributes = [one.argval for one in line if one.opname in ("LOAD_ATTR", "LOAD_METHOD")]
    stored = [one.argval for one in line if one.opname == "STORE_ATTR"]
    if "__post_init__" in attributes:
        return f"{instance}.__post_init__({','.join(loaded)})"
    frozen = "__setattr__" in attributes
    texts = [one.argval for one in line if one.opname == "LOAD_CONST" and type(one.argval) is str]
    if not stored and not (frozen and texts):
        return ""
    setter = cells.pop(0) if frozen and cells else "__dataclass_builtins_object__"
    calls = sum(one.opname == "CALL" for one in line) - frozen
    value = _value_of_field(loaded, cells, calls > 0)
    if frozen:
        return f"{setter}.__setattr__({instance},{texts[0]!r},{value})"
    return f"{instance}.{stored[0]}={value}"


def _value_of_field(loaded: list[str], cells: list[str], is_called: bool) -> str:
    defaults = [name for name in cells if "HAS_DEFAULT_FACTORY" not in name]
    marks = [name for name in cells if "HAS_DEFAULT_FACTORY" in name]
    if marks and defaults and loaded:
        return f"{defaults[0]}() if {loaded[0]} is {marks[0]} else {loaded[0]}"
    if defaults:
        return defaults[0] + "()" * is_called
    return loaded[0] if loaded else "None"
