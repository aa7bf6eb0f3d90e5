"""Writes the schemas of the installed torch as lines of a C++ array, sorted by name."""

import sys

import torch


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(path: str) -> None:
    schemas: dict[str, str] = {}
    for schema in torch._C._jit_get_all_schemas():
        overload = "." + schema.overload_name if schema.overload_name else ""
        schemas[schema.name + overload] = str(schema)
    with open(path, "w", encoding="utf-8") as out:
        for name in sorted(schemas, key=str.encode):
            out.write(f"{{{quoted(name)}, {quoted(schemas[name])}}},\n")


main(sys.argv[1])
