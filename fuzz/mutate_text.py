#!/usr/bin/env python3
"""Feeds the tools graphs that are almost right: the lit suite's, with tokens and lines changed.

Whatever the text, `bf-opt` and `bf-program` must answer with a module or a diagnostic. What this
looks for: a crash, a hang, and a module that prints as text that reads back as something else. Each
finding becomes a file in build/fuzz whose first line says how to run it again.

    fuzz/mutate_text.py --seconds 600 --seed 1 --build build/asan
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEPARATOR = "\n// -----\n"
CHUNKS = 100  # in one process of bf-opt, whose start takes longer than a module
COMPILED = 3  # of them, also given to bf-program, which reads one module only
TOKEN = re.compile(r'"[^"\n]*"|[%@#!^][\w$.:-]*|\d+\.\d+(?:e[+-]?\d+)?|\w[\w.$]*|->|::|\s+|.', re.S)
NUMBERS = ["0", "1", "-1", "2", "3", "7", "64", "4294967296", "1.0e38", "0.0"]
NUMBERS += ["-9223372036854775808", "9223372036854775807"]
PASSES = [
    [],
    ["--bf-functionalise"],
    ["--bf-simplify"],
    ["--bf-lower-pointwise", "--bf-fuse-pointwise"],
    ["--bf-pipeline"],
    ["--bf-pipeline", "--bf-pipeline"],
]

# Of the sanitizers, if the build has them: tools/test-asan says why.
ENVIRONMENT = {
    "ASAN_OPTIONS": "allow_user_poisoning=0:detect_container_overflow=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "ASAN_SYMBOLIZER_PATH": "/usr/lib/llvm-22/bin/llvm-symbolizer",
    **os.environ,
}

Finding = tuple[str, str]  # where it happened, what the tool wrote


def corpus() -> list[str]:
    modules = []
    for file in sorted((ROOT / "test").rglob("*.mlir*")):
        for part in re.split(r"^// -----$|^//--- .*$", file.read_text(), flags=re.M):
            lines = [x for x in part.splitlines() if x.strip() and not x.lstrip().startswith("//")]
            if lines:
                modules.append("\n".join(lines))
    return modules


def kind(token: str) -> str:
    if token[0].isdigit():
        return "number"
    return "word" if token[0].isalpha() else token[0]


class Mutator:
    def __init__(self, modules: list[str], choose: random.Random) -> None:
        self.modules = modules
        self.choose = choose
        self.lines = [line for module in modules for line in module.splitlines()]
        self.known: dict[str, list[str]] = collections.defaultdict(list)
        for token in sorted({t for module in modules for t in TOKEN.findall(module)}):
            self.known[kind(token)].append(token)

    def change_line(self, text: str) -> str:
        lines = text.splitlines()
        at, other = self.choose.randrange(len(lines)), self.choose.randrange(len(lines))
        match self.choose.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[other])
            case 2:
                lines.insert(at, self.choose.choice(self.lines))
            case _:
                lines[at], lines[other] = lines[other], lines[at]
        return "\n".join(lines)

    def change_token(self, text: str) -> str:
        tokens = TOKEN.findall(text)
        written = [i for i, token in enumerate(tokens) if not token.isspace()]
        at = self.choose.choice(written)
        same = [i for i in written if kind(tokens[i]) == kind(tokens[at])]
        match self.choose.randrange(7):
            case 0:
                del tokens[at]
            case 1:
                tokens.insert(at, tokens[self.choose.choice(written)])
            case 2:
                other = self.choose.choice(same)
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = tokens[self.choose.choice(same)]
            case 4:
                tokens[at] = self.choose.choice(self.known[kind(tokens[at])])
            case 5:
                numbers = [i for i in written if kind(tokens[i]) == "number"]
                tokens[self.choose.choice(numbers or [at])] = self.choose.choice(NUMBERS)
            case _:
                tokens[at] = self.choose.choice(self.known[self.choose.choice(list(self.known))])
        return "".join(tokens)

    def mutant(self) -> str:
        text = self.choose.choice(self.modules)
        for _ in range(self.choose.choice([1, 1, 1, 2, 3])):
            change = self.change_line if self.choose.random() < 0.25 else self.change_token
            text = change(text) or text
        # A separator that a change put together would shift what is reported.
        return text.replace("// -----", "")


def finding(command: list[str], text: str, seconds: float) -> Finding | None:
    try:
        done = subprocess.run(
            command, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=seconds, env=ENVIRONMENT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "hang", ""
    said = done.stderr.decode(errors="replace")
    # The sanitizers end a process with the status that a diagnostic has.
    if done.returncode not in (0, 1) or "Sanitizer" in said or "runtime error:" in said:
        frames = [x for x in re.findall(r"(?:#\d+ 0x\w+ (?:in )?)(.*)", said) if "bifront" in x]
        return (frames or [f"status {done.returncode}"])[0].strip()[:160], said
    if "round-trip." in said or "roundTrip testing" in said:
        return "does not round-trip", said
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Feeds bf-opt and bf-program mutated modules")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/dev")
    arguments = parser.parse_args()
    opt = str(arguments.build / "tools/bf-opt/bf-opt")
    program = [str(arguments.build / "tools/bf-program/bf-program"), "--pipeline"]
    found_in = ROOT / "build/fuzz"
    found_in.mkdir(parents=True, exist_ok=True)
    choose = random.Random(arguments.seed)
    mutator = Mutator(corpus(), choose)
    findings: dict[str, int] = collections.Counter()
    count = 0

    def keep(command: list[str], text: str, found: Finding) -> None:
        where, said = found
        findings[where] += 1
        if findings[where] <= 3:
            file = found_in / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.mlir"
            file.write_text(f"// RUN: {' '.join(command)} {file}\n{text}\n")
            file.with_suffix(".txt").write_text(said)
            print(f"fuzz: {where}: {file}", flush=True)

    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        chunks = [mutator.mutant() for _ in range(CHUNKS)]
        command = [opt, "--mlir-disable-threading", "--verify-roundtrip", *choose.choice(PASSES)]
        split, text = [*command, "--split-input-file"], SEPARATOR.join(chunks)
        if together := finding(split, text, 120):
            alone = [(chunk, found) for chunk in chunks if (found := finding(command, chunk, 20))]
            for chunk, found in alone:
                keep(command, chunk, found)
            if not alone:
                keep(split, text, together)
        for chunk in choose.sample(chunks, COMPILED):
            if found := finding(program, chunk, 20):
                keep(program, chunk, found)
        count += CHUNKS + COMPILED
    print(f"fuzz: {count} inputs, {sum(findings.values())} findings at {len(findings)} places")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
