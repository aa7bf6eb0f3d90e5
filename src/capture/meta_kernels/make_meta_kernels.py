"""Writes C++ that boxes the meta kernels which the installed torch has compiled in.

PyTorch registers Python functions over many of them; those take 50 to 500 us a call, these one or two.
Usage: make_meta_kernels.py TORCH_DIR OUT... ; the kernels are spread over the files.
"""

import pathlib
import re
import subprocess
import sys

FUNCTION = re.compile(r"^TORCH_API (.+?) ?(\w+)\((.*)\);$", re.MULTILINE)
OPERATOR = re.compile(
    r"struct TORCH_API (\w+) \{\s*using schema = ([^\n]+?) ?\(([^\n]*)\);"
    r'.*?name = "aten::(\w+)";.*?overload_name = "(\w*)";',
    re.DOTALL,
)


def split(parameters: str) -> list[str]:
    """At the commas that are outside of angle brackets and parentheses."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(parameters):
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append(parameters[start:i].strip())
            start = i + 1
    last = parameters[start:].strip()
    return [*parts, last] if last else parts


def type_of(parameter: str) -> str:
    """`const at::Scalar & alpha=1`: without the name and the default."""
    return re.sub(r"\s*\w+$", "", parameter.split("=")[0].strip())


def compact(text: str) -> str:
    return re.sub(r"\s+", "", text)


def defined(library: pathlib.Path) -> set[tuple[str, int]]:
    """Names and numbers of parameters of the functions in at::meta: some are only declared."""
    listing = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--demangle", str(library)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {
        (name, len(split(parameters)))
        for name, parameters in re.findall(r" T at::meta::(\w+)\((.*)\)$", listing, re.MULTILINE)
    }


def kernels(ops: pathlib.Path, library: pathlib.Path) -> list[tuple[str, str, str, str]]:
    """(header's stem, operator's name, its struct, its function) for all that are not `out=`."""
    found = []
    exported = defined(library)
    for header in sorted(ops.glob("*_meta_dispatch.h")):
        stem = header.name.removesuffix("_meta_dispatch.h")
        declared = {
            (name, compact(result), tuple(compact(type_of(p)) for p in split(parameters)))
            for result, name, parameters in FUNCTION.findall(header.read_text())
        }
        text = (ops / f"{stem}_ops.h").read_text()
        for struct, result, parameters, base, overload in OPERATOR.findall(text):
            types = tuple(compact(p) for p in split(parameters))
            for function in (base, base + "_symint"):
                known = (function, compact(result), types) in declared
                if known and (function, len(types)) in exported:
                    name = f"aten::{base}.{overload}" if overload else f"aten::{base}"
                    found.append((stem, name, struct, function))
    return found


def main(torch: str, *outputs: str) -> None:
    root = pathlib.Path(torch)
    found = kernels(root / "include/ATen/ops", root / "lib/libtorch_cpu.so")
    if len(found) < 300:
        sys.exit(f"make_meta_kernels: only {len(found)} kernels; the headers' form is not known")
    for part, path in enumerate(outputs):
        own = found[part :: len(outputs)]
        lines = ['#include "capture/meta_kernels/meta_kernels.h"', ""]
        for stem in sorted({stem for stem, *_ in own}):
            lines += [
                f"#include <ATen/ops/{stem}_meta_dispatch.h>",
                f"#include <ATen/ops/{stem}_ops.h>",
            ]
        lines += ["", f"void bifront::addMetaKernels{part}(MetaKernels &kernels) {{"]
        for _, name, struct, function in own:
            op = f"at::_ops::{struct}"
            lines.append(
                f'  kernels.emplace("{name}", boxedMetaKernel<{op}::schema,'
                f" static_cast<{op}::ptr_schema>(&at::meta::{function})>());"
            )
        pathlib.Path(path).write_text("\n".join([*lines, "}", ""]), encoding="utf-8")


main(*sys.argv[1:])
