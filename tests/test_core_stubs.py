"""The types that mypy reads, python/bifront/_core.pyi, name what the C++ module has."""

import ast
import pathlib

import bifront
from bifront import _core


def declared(body: list[ast.stmt]) -> set[str]:
    names = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return names


def public(names: object) -> set[str]:
    return {name for name in vars(names) if not name.startswith("__")}


def test_stubs_name_what_the_module_has():
    stubs = ast.parse((pathlib.Path(bifront.__file__).parent / "_core.pyi").read_text())
    assert declared(stubs.body) == public(_core)


def test_stubs_name_what_the_converted_function_has():
    stubs = ast.parse((pathlib.Path(bifront.__file__).parent / "_core.pyi").read_text())
    (converted,) = (x for x in stubs.body if isinstance(x, ast.ClassDef))
    members = {name for name in declared(converted.body) if not name.startswith("__")}
    assert members == public(_core.ConvertedFunction)
