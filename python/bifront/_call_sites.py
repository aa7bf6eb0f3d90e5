"""Copies of a function's code whose calls ask first whether they have been made already."""

from __future__ import annotations

import ast
import marshal
import types
from collections.abc import Callable, Iterator
from typing import Any

# A constant that no program has: it holds the place of the callable that is asked.
_MARK = "\0bifront call "

Place = tuple[int, int, int, int]  # the first line and column of a call, and the last


class _Wrap(ast.NodeTransformer):
    """`f(x)` becomes `ask(f)(x)`: what is evaluated, and when, stays as it is."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def visit_Call(self, node: ast.Call) -> ast.Call:
        place = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id == "super":
            return node  # the compiler looks for it
        if isinstance(function, ast.Attribute) and function.lineno != function.end_lineno:
            # Where the compiler says that a method is called.
            node.lineno = function.end_lineno or 0
            node.col_offset = (function.end_col_offset or 0) - len(function.attr)
        mark = ast.copy_location(ast.Constant(_MARK + str(len(self.places))), function)
        node.func = ast.copy_location(ast.Call(mark, [function], []), function)
        self.places.append(place)
        return node


def wrap(node: ast.AST, line_shift: int) -> list[Place]:
    """Change the function's calls; where they are in the file, in the order of their numbers."""
    ast.increment_lineno(node, line_shift)
    wrapping = _Wrap()
    wrapping.visit(node)
    return wrapping.places


def finish(
    compiled: types.CodeType, original: types.CodeType, sites: list[Callable[..., Any]]
) -> types.CodeType:
    """The code as the original's copy, which asks these."""
    nested = iter(_nested(original))
    known = {
        marshal.dumps(constant, 2): constant
        for constant in original.co_consts
        if not isinstance(constant, types.CodeType)
    }

    def constant(value: Any) -> Any:
        if isinstance(value, types.CodeType):
            return finish(value, next(nested), sites)
        if isinstance(value, str) and value.startswith(_MARK):
            return sites[int(value[len(_MARK) :])]
        return known.get(marshal.dumps(value, 2), value)  # the same object, for `is`

    if len(_nested(compiled)) != len(_nested(original)):
        raise ValueError("the copy has other functions in it")
    return compiled.replace(
        co_consts=tuple(constant(value) for value in compiled.co_consts),
        co_filename=original.co_filename,
        co_qualname=original.co_qualname,
    )


def _nested(code: types.CodeType) -> list[types.CodeType]:
    return [value for value in code.co_consts if isinstance(value, types.CodeType)]


def frame_at(
    code: types.CodeType, line: int, names: dict[str, Any]
) -> Callable[[Any, Any, Any], Any]:
    """What calls a function as though that line of the code called it."""
    text = "def caller(call, arguments, keywords):\n return call(*arguments, **keywords)"
    tree = ast.parse(text)
    for node in _located(tree):
        is_def = isinstance(node, ast.FunctionDef)
        node.lineno = code.co_firstlineno if is_def else line
        node.end_lineno = node.lineno
    compiled = compile(tree, code.co_filename, "exec", dont_inherit=True)
    [caller] = _nested(compiled)
    return types.FunctionType(
        caller.replace(co_name=code.co_name, co_qualname=code.co_qualname), names
    )


def _located(tree: ast.AST) -> Iterator[Any]:
    return (node for node in ast.walk(tree) if hasattr(node, "lineno"))
