"""What a converted function says waits for the end of the run, unless somebody could tell.

Prints, the standard streams, logging and warnings: docs/decisions/029.
"""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any

import bifront
import torch
from torch import Tensor

from tests.same_function import assert_same_value

CALLS = 8
Step = Callable[..., Any]


class Said:
    """What a step can write to, one of it for each side."""

    def __init__(self) -> None:
        self.buffer = io.StringIO()
        self.logger = logging.Logger("said")
        self.logger.addHandler(logging.StreamHandler(self.buffer))
        self.log: list[Any] = []
        self.filters: Any = None

    def state(self) -> list[Any]:
        return [self.buffer.getvalue(), self.log]


def check(
    make: Callable[[Said], Step],
    *,
    argument: Callable[[int], Any] = lambda call: torch.randn(3 + call % 2) + call,
    fallbacks: int = 1,
    opaque: int = 0,
    converts: bool = True,
) -> Any:
    """Run the step eager and converted; compare results, texts, records and warnings."""
    sides = [Said(), Said()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for call in range(CALLS):
        outcomes = []
        for side, run in zip(sides, (step, converted), strict=True):
            random.seed(call)
            torch.manual_seed(call)
            out, err = io.StringIO(), io.StringIO()
            with (
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                warnings.catch_warnings(record=True) as warned,
            ):
                warnings.simplefilter("always")
                try:
                    result = run(argument(call))
                except Exception as error:
                    result = (type(error), str(error))
            shown = [(w.category.__name__, str(w.message), w.filename, w.lineno) for w in warned]
            outcomes.append([result, out.getvalue(), err.getvalue(), shown, side.state()])
        assert_same_value(outcomes[1], outcomes[0], f"call {call}")
    stats = converted.stats
    assert (stats["graph_calls"] > 0) == converts, bifront.explain(converted)
    if converts:
        assert stats["fallback_calls"] <= fallbacks, bifront.explain(converted)
        assert stats["opaque_calls"] <= opaque, bifront.explain(converted)
    return converted


def test_the_streams_are_written_in_order_with_prints() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            print("one")
            sys.stdout.write(f"two {len(x)}\n")
            print("three", file=sys.stderr, flush=True)
            sys.stderr.writelines(["four\n", "five\n"])
            sys.stdout.flush()
            print("six", x.round(), x.shape)
            return x * 2

        return step

    check(make)


def test_the_length_that_a_write_returns() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> tuple[Tensor, int, int]:
            known = sys.stdout.write("abc")
            return x * known, known, sys.stdout.write(f"{x.sum().item():.3f}")

        return step

    check(make)


def test_a_stream_that_is_put_in_the_place_of_stdout() -> None:
    """Once each print went where the last of them did."""

    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            sys.stdout = said.buffer
            print("inside")
            sys.stdout = sys.__stdout__
            return x * 2

        return step

    before = sys.stdout
    try:
        check(make)
    finally:
        sys.stdout = before


def test_a_write_behind_a_print_stays_behind_it() -> None:
    """What a name holds when something is said is not what it holds at the end."""

    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            said.filters = 1
            print(said.filters)
            said.filters = 2
            print(said.filters)
            return x * said.filters

        return step

    check(make)


def test_a_stream_that_is_kept_or_compared() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            said.log.append(sys.stdout is sys.stderr)
            return x * 2

        return step

    check(make, converts=False)


def test_a_stream_that_is_returned() -> None:
    converted = bifront.function(lambda x: (x * 2, sys.stdout))
    for _ in range(4):
        assert converted(torch.ones(2))[1] is sys.stdout


def test_a_stream_of_the_program_is_written_by_cpython() -> None:
    """Its code could see what the run has done since."""

    class Tee:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def write(self, text: str) -> None:
            self.texts.append(text)

    tee = Tee()

    def step(x: Tensor) -> tuple[Tensor, int]:
        sys.stdout.write("line")
        return x * 2, len(tee.texts)

    converted = bifront.function(step)
    before = sys.stdout
    try:
        sys.stdout = tee  # type: ignore[assignment]
        seen = [converted(torch.ones(2))[1] for _ in range(6)]
    finally:
        sys.stdout = before
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_file_of_the_program() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            print("to the buffer", len(x), file=said.buffer)
            return x * 2

        return step

    check(make)


def test_what_is_said_between_opaque_calls_is_said_there() -> None:
    """They could not follow what waits: the prints are opaque calls too, and in order."""

    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            print("before", len(x))
            said.buffer.seek(0, 2)
            print("after")
            return x * 2

        return step

    check(make, opaque=3, fallbacks=4)


def test_records_of_numbers_and_tensors() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            said.logger.info("mean %.3f of %d", x.mean(), len(x))
            x.mul_(0)
            said.logger.warning("behind")
            print("and a print", file=said.buffer)
            return x

        return step

    check(make)


def test_a_record_names_the_line_that_logs() -> None:
    def make(said: Said) -> Step:
        formatter = logging.Formatter("%(funcName)s %(lineno)d %(filename)s %(message)s")
        said.logger.handlers[0].setFormatter(formatter)

        def inner(x: Tensor) -> None:
            said.logger.error("from inside %d", len(x))

        def step(x: Tensor) -> Tensor:
            inner(x)
            return x + 1

        return step

    check(make)


def test_a_handler_of_the_program_sees_what_cpython_shows_it() -> None:
    def make(said: Said) -> Step:
        class Counts(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                said.log.append((record.getMessage(), len(said.log)))

        said.logger.addHandler(Counts())

        def step(x: Tensor) -> tuple[Tensor, int]:
            said.log.append("before")
            said.logger.error("here")
            return x * 2, len(said.log)

        return step

    check(make, converts=False)


def test_a_handler_of_the_program_that_is_added_later() -> None:
    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(len(state))

    logger, kept, state = logging.Logger("later"), [], []  # type: ignore[var-annotated]
    logger.addHandler(logging.NullHandler())

    def step(x: Tensor) -> Tensor:
        logger.error("here")
        state.append(1)
        return x * 2

    converted = bifront.function(step)
    for _ in range(4):
        converted(torch.ones(2))
    assert converted.stats["graph_calls"] > 0
    logger.addHandler(Keeps())
    converted(torch.ones(2))
    assert kept == [4]


def test_a_warning_names_the_line_that_warns() -> None:
    def make(said: Said) -> Step:
        class Unsure(UserWarning):
            pass

        def inner(x: Tensor) -> None:
            warnings.warn(f"{len(x)} values", Unsure, stacklevel=2)

        def step(x: Tensor) -> Tensor:
            inner(x)
            warnings.warn("here")
            return x + 1

        return step

    check(make)


def test_a_warning_is_shown_as_often_as_by_cpython() -> None:
    def step(x: Tensor) -> Tensor:
        warnings.warn("here", stacklevel=1)
        return x * 2

    for action, shown in (("default", 1), ("once", 1), ("always", 7), ("ignore", 0)):
        converted = bifront.function(step)
        globals().get("__warningregistry__", {}).clear()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter(action)  # type: ignore[arg-type]
            for _ in range(7):
                converted(torch.ones(2))
        assert converted.stats["graph_calls"] > 0, action
        assert len(seen) == shown, action


def test_a_warning_that_becomes_an_error_is_raised_where_it_is() -> None:
    log: list[str] = []

    def step(x: Tensor) -> Tensor:
        log.append("before")
        warnings.warn("here", stacklevel=1)
        log.append("behind")
        return x * 2

    converted = bifront.function(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            converted(torch.ones(2))
    assert converted.stats["graph_calls"] > 0
    log.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            try:
                converted(torch.ones(2))
            except UserWarning:
                log.append("raised")
    assert log == ["before", "raised"] * 3


def test_torchs_own_warning_names_the_line_of_the_program() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> Tensor:
            return torch.nn.functional.mse_loss(x, x[None])

        return step

    check(make, argument=lambda call: torch.randn(2))


def test_who_shows_warnings_may_be_the_programs() -> None:
    said: list[int] = []

    def show(*_: Any, **__: Any) -> None:
        said.append(len(said))

    def step(x: Tensor) -> tuple[Tensor, int]:
        warnings.warn("here", stacklevel=1)
        return x * 2, len(said)

    converted = bifront.function(step)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        seen = [converted(torch.ones(2))[1] for _ in range(6)]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_warnings_that_the_program_records() -> None:
    def make(said: Said) -> Step:
        def step(x: Tensor) -> tuple[Tensor, int, list[str]]:
            with warnings.catch_warnings(record=True) as recorded:
                warnings.simplefilter("always")
                warnings.warn("here", stacklevel=1)
                return x * 2, len(recorded), [str(one.message) for one in recorded]

        return step

    sides = [Said(), Said()]
    step, converted = make(sides[0]), bifront.function(make(sides[1]))
    for _ in range(CALLS):
        x = torch.randn(3)
        assert_same_value(converted(x), step(x), "recorded")


def test_warnings_that_the_caller_records_and_the_step_reads() -> None:
    now: list[Any] = [None]

    def step(x: Tensor) -> tuple[Tensor, int]:
        warnings.warn("here", stacklevel=1)
        return x * 2, len(now[0])

    converted = bifront.function(step)
    for _ in range(CALLS):
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always")
            now[0] = recorded
            assert converted(torch.ones(2))[1] == 1


def test_records_that_the_step_reads() -> None:
    handler = logging.handlers.BufferingHandler(100)
    logger = logging.Logger("keeps")
    logger.addHandler(handler)

    def step(x: Tensor) -> tuple[Tensor, int]:
        logger.error("here")
        return x * 2, len(handler.buffer)

    converted = bifront.function(step)
    assert [converted(torch.ones(2))[1] for _ in range(CALLS)] == list(range(1, CALLS + 1))
