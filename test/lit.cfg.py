"""lit's configuration: the tools are those of the build folder that BIFRONT_BUILD names."""

import os
import pathlib

import lit.formats

root = pathlib.Path(__file__).resolve().parent.parent
build = pathlib.Path(os.environ.get("BIFRONT_BUILD", root / "build/dev")).resolve()

config.name = "bifront"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = str(root / "test")
config.test_exec_root = str(build / "test")
config.environment["PATH"] = os.pathsep.join(
    [
        *(str(build / "tools" / tool) for tool in ("bf-opt", "bf-run", "bf-program")),
        "/usr/lib/llvm-22/bin",
        os.environ["PATH"],
    ]
)
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
