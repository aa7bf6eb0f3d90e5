"""What a traced function says: a graph leaves nothing of it out, and CPython says it once."""

import logging
import sys
import warnings
from typing import Any

import bifront
import pytest
import torch

from tests.same_function import assert_in_graph

X = torch.ones(2)


def writes(x):
    sys.stdout.write("here\n")
    return x * 2


def writes_an_error(x):
    sys.stderr.write("here\n")
    return x * 2


def logs(x):
    logging.getLogger("bifront.tests").warning("here")
    return x * 2


@pytest.mark.parametrize("fn", [writes, writes_an_error, logs])
def test_each_call_says_it_once(fn: Any, capsys, caplog) -> None:
    converted = bifront.trace(fn)
    for _ in range(8):
        converted(X)
    said = capsys.readouterr()
    assert len([*said.out.splitlines(), *said.err.splitlines(), *caplog.records]) == 8
    assert "the function" in converted.last_error


def warns() -> None:
    warnings.warn("here", stacklevel=1)


def test_a_warning_is_shown_as_often_as_by_cpython() -> None:
    for action, shown in (("default", 1), ("module", 1), ("once", 1), ("always", 5), ("ignore", 0)):
        converted = bifront.trace(lambda x: (x * 2, warns())[0])
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("ignore")
            converted(X)  # so that the first that shows it is the capture
            globals().get("__warningregistry__", {}).clear()
            warnings.simplefilter(action)
            for _ in range(5):
                converted(X)
        assert len(seen) == shown, action


def test_a_warning_that_the_function_keeps_is_no_effect() -> None:
    def fn(x):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            warns()
        return x * 2

    converted = bifront.trace(fn)
    for _ in range(4):
        converted(X)
    assert_in_graph(converted)
