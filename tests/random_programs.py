"""Random differentiable programs: loops, branches, recursion, lists; converted, against eager.

`python -m tests.random_programs --count 5000 --seed 0` runs so many, and shrinks each that fails to
a small one; with `--returns` backward goes through what the program returns, with `--generators`
programs have generators and generator expressions too. A program is a nest of statements in which
every name has a value from the start, so that it stays a program whatever is cut off.
"""

from __future__ import annotations

import argparse
import linecache
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import bifront
import torch
from torch import Tensor

CALLS = 8
SIZE = 3
TOLERANCE = 1e-9
MOST_SHRINKING_RUNS = 400

# `{v}` is a vector's name, `{t}` and `{k}` numbers.
EXPRESSIONS = (
    "torch.tanh({v})",
    "{v} + {v}",
    "{v} * torch.sigmoid({v})",
    "{v} - {k} * {v}",
    "torch.sin({v}) * {k}",
    "torch.tanh(w @ {v})",
    "torch.tanh(w.t() @ {v} + {v})",
    "{v}.clone()",
    "{v}.detach() * torch.tanh({v})",
    "{v} / (1 + {v} * {v})",
    "{v}.flip(0)",
    "torch.where({v} > 0, {v}, {k} * {v})",
    "torch.tanh({v} * {v}.sum())",
    "torch.cat([{v}[1:], {v}[:1]])",
    "torch.softmax({v}, 0)",
    "{v} * min(1.0, abs({v}.sum().item()))",
)
CALLS_OF_FUNCTIONS = ("helper({v}, {v}, w)", "descend({v}, n, w)", "descend({v}, 3, w)")
CONDITIONS = (
    "{v}.sum() > {t}",
    "{v}[0] > {v}[1]",
    "n % 2 == 0",
    "n > 2",
    "{v}.sum().item() * {k} < {t}",
    "n > 1 and {v}.max() > {v}.mean() + 0.5",
    "not bool(({v} > {t}).all())",
)
COUNTS = ("n", "2", "n % 3", "3", "n // 2 + 1")
YIELDS = (
    "yield {e}",
    "yield {e}",
    "yield from {g}",
    "yield from ({ey} for {y} in {g})",
    "{o} = {v} * ((yield {e}) is None)",
)
CONSUMERS = (
    "{o} = torch.tanh(sum({g}, {v}))",
    "{o} = torch.tanh(torch.stack([{v}, *{g}]).sum(0))",
    "{o} = torch.tanh(sum(({ey} for {y} in {g}), {v}))",
    "{o} = torch.tanh(sum([{ey} for {y} in {g} if n > 1], {v}))",
    "{o} = torch.tanh(sum({y} * i for i, {y} in enumerate({g})) + {v})",
    "{o} = next(iter({g}), {v})",
    "{o} = {v} * sum({y}.sum().item() > {t} for {y} in {g})",
    "{o} = {v} * any({y}.sum() > {t} for {y} in {g})",
)
SOURCES = ("{g}", "{g}", "({ey} for {y} in {g})", "[{ey} for {y} in {g}]")
WRITES = ("{v} += torch.tanh({v})", "{v}.mul_({k})", "{v}[0] = {v}[1] * {k}")


@dataclass(frozen=True)
class Statement:
    """Lines, a block below them that starts and ends with lines of its own, an `else`, a rest."""

    lines: tuple[str, ...]
    block: tuple[Statement, ...] | None = None
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    orelse: tuple[Statement, ...] | None = None
    rest: tuple[str, ...] = ()

    def text(self) -> Iterator[str]:
        yield from self.lines
        if self.block is not None:
            body = [*self.first, *text_of(self.block), *self.last]
            yield from (f"    {line}" for line in body or ["pass"])
        if self.orelse is not None:
            yield "else:"
            yield from (f"    {line}" for line in text_of(self.orelse) or ["pass"])
        yield from self.rest


Block = tuple[Statement, ...]


def text_of(block: Block) -> list[str]:
    return [line for statement in block for line in statement.text()]


@dataclass(frozen=True)
class RandomProgram:
    helper: Block
    descend: Block
    body: Block
    returns: bool = False  # the loss, through which backward goes outside

    def source(self) -> str:
        def function(head: str, block: Block, end: str) -> str:
            lines = [*text_of(block), end]
            return "\n".join([head, *(f"    {line}" for line in lines)])

        return "\n\n\n".join(
            [
                function("def helper(a, b, w):", self.helper, "return a * b"),
                function(
                    "def descend(a, n, w):\n    b = a\n    if n <= 0:\n        return a.tanh()",
                    self.descend,
                    "return torch.tanh(descend(b, n - 1, w) + a)",
                ),
                function(
                    "def step(a, b, w, n):\n    c, d = a * 1, b * 1",
                    self.body,
                    "loss = (a * b + c.sin() + d * d).sum()\n"
                    + ("" if self.returns else "    loss.backward()\n")
                    + ("    return loss" if self.returns else "    return loss.detach()"),
                ),
            ]
        )


class Generator:
    def __init__(self, seed: int, generators: bool = False) -> None:
        self.random = random.Random(seed)
        self.names = ("a", "b")
        self.own: tuple[str, ...] = ()  # that may be written
        self.next = 0
        self.calls = False
        self.loops = 0  # that the statement stands in
        self.generators = generators
        self.sources = ("({v}, {v})", "w", "reversed([{v}, {v}, {v}])")  # of what loops go over
        self.yields = 0  # generators that the statement stands in

    def program(self) -> RandomProgram:
        helper = self.block(1, 3)
        descend = self.block(1, 2)
        self.names, self.own, self.calls = ("a", "b", "c", "d"), ("c", "d"), True
        return RandomProgram(helper, descend, self.block(3, 6))

    def fill(self, template: str, names: tuple[str, ...] = ()) -> str:
        while "{" in template:
            template = template.replace("{v}", self.random.choice(names or self.names), 1)
            template = template.replace("{k}", str(self.random.choice([0.5, -0.7, 0.9])), 1)
            template = template.replace("{t}", str(self.random.choice([0, -0.5, 0.4])), 1)
        return template

    def fresh(self, stem: str) -> str:
        self.next += 1
        return f"{stem}{self.next}"

    def expression(self) -> str:
        calls = self.calls and self.random.random() < 0.15
        return self.fill(self.random.choice(CALLS_OF_FUNCTIONS if calls else EXPRESSIONS))

    def condition(self) -> str:
        template = self.random.choice(CONDITIONS)
        return self.fill(template if self.calls else template.replace("n ", "2 "))

    def block(self, depth: int, most: int) -> Block:
        made: list[Statement] = []
        sources = self.sources
        for _ in range(self.random.randint(1, most)):
            made += self.statements(depth)
        self.sources = sources
        return tuple(made)

    def loop_block(self, depth: int, most: int) -> Block:
        self.loops += 1
        made = self.block(depth, most)
        self.loops -= 1
        return made

    def statements(self, depth: int) -> Block:
        if self.generators and self.calls and self.random.random() < 0.25:
            kinds = [self.consumer]
            if self.yields:
                kinds += [self.yielding] * 2
            if depth:
                kinds += [self.over_values, self.generator]
            return self.random.choice(kinds)(depth)
        return (self.statement(depth),)

    def statement(self, depth: int) -> Statement:
        kinds = [self.assignment] * 4
        if self.own:
            kinds.append(self.write)
        if depth:
            kinds += [self.branch, self.branch]
        if depth and self.calls:
            kinds += [self.counted, self.while_loop, self.collecting, self.broken_off]
        if self.loops:
            kinds.append(self.leave)
        made = self.random.choice(kinds)
        return made(depth)

    def assignment(self, depth: int) -> Statement:
        target = self.random.choice(self.own or self.names)
        return Statement((f"{target} = {self.expression()}",))

    def write(self, depth: int) -> Statement:
        target = self.random.choice(self.own)
        written = self.random.choice(WRITES).replace("{v}", target, 1)
        return Statement((f"{target} = {target} * 1", self.fill(written)))

    def branch(self, depth: int) -> Statement:
        orelse = self.block(depth - 1, 2) if self.random.random() < 0.6 else None
        return Statement((f"if {self.condition()}:",), self.block(depth - 1, 2), orelse=orelse)

    def counted(self, depth: int) -> Statement:
        head = f"for {self.fresh('i')} in range({self.random.choice(COUNTS)}):"
        return Statement((head,), self.loop_block(depth - 1, 3))

    def leave(self, depth: int) -> Statement:
        value = self.fill("return (({v} * {k}).sum() + {v}.prod()).detach()")
        leaves = self.random.choice(["break", "continue", value])
        return Statement((f"if {self.condition()}:", f"    {leaves}"))

    def broken_off(self, depth: int) -> Statement:
        head = f"for {self.fresh('i')} in range({self.random.choice(COUNTS)}):"
        leaves = self.random.choice(["break", "continue"])
        ends = (f"if {self.condition()}:", f"    {leaves}")
        after = Statement((f"{self.random.choice(self.own)} = {self.expression()}",))
        return Statement((head,), (*self.loop_block(depth - 1, 2), Statement(ends), after))

    def while_loop(self, depth: int) -> Statement:
        k = self.fresh("k")
        head = f"while {k} < 4 and {self.condition()}:"
        return Statement((f"{k} = 0", head), self.loop_block(depth - 1, 2), first=(f"{k} += 1",))

    def collecting(self, depth: int) -> Statement:
        items, x, target = self.fresh("items"), self.fresh("x"), self.random.choice(self.own)
        rest = self.random.choice(
            [
                (f"    {target} = torch.tanh(torch.stack({items}).sum(0))",),
                (f"    {target} = {items}[-1] * {items}[0]",),
                (f"    for {x} in {items}:", f"        {target} = torch.tanh({target} + {x})"),
                (f"    {target} = {target} * 0.5 + torch.cat({items})[-{SIZE}:]",),
                (f"    {target} = torch.tanh(sum({items})) / len({items})",),
            ]
        )
        return Statement(
            (f"{items} = []", f"for {self.fresh('i')} in range({self.random.choice(COUNTS)}):"),
            self.loop_block(depth - 1, 2),
            last=(f"{items}.append({self.expression()})",),
            rest=(f"if {items}:", *rest),
        )

    def with_source(self, template: str, y: str) -> str:
        names = (*self.names, y)
        while "{ey}" in template:
            template = template.replace("{ey}", self.fill(self.random.choice(EXPRESSIONS), names))
        template = template.replace("{g}", self.random.choice(self.sources)).replace("{y}", y)
        template = template.replace("{o}", self.random.choice(self.own))
        return self.fill(template.replace("{e}", self.expression()))

    def consumer(self, depth: int) -> Block:
        return (Statement((self.with_source(self.random.choice(CONSUMERS), self.fresh("y")),)),)

    def yielding(self, depth: int) -> Block:
        return (Statement((self.with_source(self.random.choice(YIELDS), self.fresh("y")),)),)

    def over_values(self, depth: int) -> Block:
        y = self.fresh("y")
        source = self.with_source(self.random.choice(SOURCES), y)
        names, self.names = self.names, (*self.names, y)
        block = self.loop_block(depth - 1, 3)
        self.names = names
        if self.random.random() < 0.7:
            return (Statement((f"for {y} in {source}:",), block),)
        # One that is left goes on where it was.
        values, own = self.fresh("values"), self.random.choice(self.own)
        broken = Statement((f"if {self.condition()}:", "    break"))
        again = (f"for {y} in {values}:", f"    {own} = torch.tanh({own} + {y})")
        return (
            Statement((f"{values} = iter({source})",)),
            Statement((f"for {y} in {values}:",), (*block, broken), rest=again),
        )

    def generator(self, depth: int) -> Block:
        name, outer = self.fresh("values"), (self.loops, self.sources)
        shares = self.random.random() < 0.3
        self.loops, self.yields = 0, self.yields + 1
        block = self.block(depth - 1, 3)
        if self.random.random() < 0.3:
            own = self.random.choice(self.own)
            block = (Statement(("try:",), block, rest=("finally:", f"    {own} = {own} * 0.5")),)
        (last,) = self.yielding(0)
        (self.loops, self.sources), self.yields = outer, self.yields - 1
        self.sources = (*self.sources, *[f"{name}()" if shares else f"{name}(c, d)"] * 2)
        head = f"def {name}():" if shares else f"def {name}(c, d):"
        first = ("nonlocal c, d",) if shares else ()
        made = Statement((head,), block, first=first, last=last.lines)
        return (made, *self.over_values(depth))


class Differs(Exception):
    """What eager and the converted program do not agree about."""


_next_file = 0


def load(program: RandomProgram) -> Any:
    global _next_file
    _next_file += 1
    name, source = f"<random program {_next_file}>", program.source()
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    globals_: dict[str, Any] = {"torch": torch}
    exec(compile(source, name, "exec"), globals_)
    return globals_["step"]


def arguments(call: int) -> tuple[tuple[Tensor, Tensor, Tensor], int]:
    generator = torch.Generator().manual_seed(call)
    a, b = (torch.randn(SIZE, generator=generator, dtype=torch.float64) for _ in range(2))
    w = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    tensors = tuple(tensor.requires_grad_() for tensor in (a, b, w))
    return tensors, (3, 3, 1, 4, 0, 3, 2, 5)[call]  # type: ignore[return-value]


def compare(actual: Tensor | None, expected: Tensor | None, what: str) -> None:
    if (actual is None) != (expected is None):
        raise Differs(f"{what} is {actual}, not {expected}")
    if actual is None or expected is None:
        return
    if actual.stride() != expected.stride() or actual.shape != expected.shape:
        raise Differs(f"{what}: {actual.shape}, strides {actual.stride()}, not {expected.stride()}")
    close = torch.allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if not close:
        raise Differs(f"{what} is {actual.tolist()}, not {expected.tolist()}")


def run(program: RandomProgram) -> dict[str, Any]:
    """The converted step's stats. Raise Differs where a call differs from eager."""
    step, converted = load(program), bifront.function(load(program))
    for call in range(CALLS):
        (mine, n), (theirs, _) = arguments(call), arguments(call)
        outcomes: list[Any] = []
        for function, tensors in ((step, theirs), (converted, mine)):
            try:
                loss = function(*tensors, n)
                if program.returns:
                    loss.backward()
                outcomes.append(loss.detach())
            except Exception as error:
                outcomes.append(f"{type(error).__name__}: {error}")
        expected, actual = outcomes
        if isinstance(expected, str) or isinstance(actual, str):
            if expected != actual:
                raise Differs(f"call {call}: {actual}, not {expected}")
            continue
        compare(actual, expected, f"call {call}: the loss")
        for name, tensor, other in zip("abw", mine, theirs, strict=True):
            compare(tensor.grad, other.grad, f"call {call}: {name}.grad")
    stats: dict[str, Any] = converted.stats
    return stats


def smaller_blocks(block: Block) -> Iterator[Block]:
    for i, statement in enumerate(block):
        yield block[:i] + block[i + 1 :]
        for inside in (statement.block, statement.orelse):
            if inside is not None:
                yield block[:i] + inside + block[i + 1 :]
        for part in ("block", "orelse"):
            inner = getattr(statement, part)
            for less in smaller_blocks(inner or ()):
                yield (*block[:i], replace(statement, **{part: less}), *block[i + 1 :])
        if statement.orelse is not None:
            yield (*block[:i], replace(statement, orelse=None), *block[i + 1 :])


def smaller(program: RandomProgram) -> Iterator[RandomProgram]:
    for part in ("body", "descend", "helper"):
        for less in smaller_blocks(getattr(program, part)):
            yield replace(program, **{part: less})


def fails(program: RandomProgram) -> bool:
    try:
        run(program)
    except Differs:
        return True
    except SyntaxError:  # a break whose loop is cut off
        return False
    return False


def shrink(program: RandomProgram) -> RandomProgram:
    """A program that fails too, and of which nothing can be cut off."""
    runs = 0
    found = True
    while found:
        found = False
        for less in smaller(program):
            runs += 1
            if runs > MOST_SHRINKING_RUNS:
                return program
            if fails(less):
                program, found = less, True
                break
    return program


def describe(seed: int, program: RandomProgram, why: Exception) -> str:
    return f"# program {seed}: {why}\n{program.source()}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--returns", action="store_true", help="backward outside of the program")
    parser.add_argument("--generators", action="store_true", help="programs with generators")
    options = parser.parse_args()
    failed = graphs = 0
    for seed in range(options.seed, options.seed + options.count):
        program = Generator(seed, options.generators).program()
        program = replace(program, returns=options.returns)
        try:
            graphs += run(program)["graph_calls"] > 0
        except Differs:
            failed += 1
            program = shrink(program)
            try:
                run(program)
            except Differs as why:
                print(describe(seed, program, why), flush=True)
        if sys.stderr.isatty():
            print(f"\r{seed - options.seed + 1} run, {failed} failed", end="", file=sys.stderr)
    print(f"{options.count} programs, {graphs} of them in graphs, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
