"""Shapes and dtypes that capture infers are those of the results."""

import bifront
import pytest
import torch

from tests.same_function import assert_same

# Where the function that Python registers for inference says another dtype than the kernel returns.
CALLS = {
    "pow_of_bools": lambda x: torch.pow(x > 0, True),
    "sum_of_bools": lambda x: (x > 0).sum(),
    "mean": lambda x: x.mean(0),
    "cumsum_of_ints": lambda x: x.to(torch.int32).cumsum(0),
    "in_place": lambda x: (x * 1).clamp_(0, 1).mul_(2),
    "mixed": lambda x: x * torch.ones(4, dtype=torch.float64),
    "zero_dim": lambda x: x * torch.tensor(2.0, dtype=torch.float64),
}


@pytest.mark.parametrize("name", CALLS)
def test_dtype(name: str) -> None:
    assert_same(CALLS[name], lambda: (torch.randn(3, 4),), loosen=10)


def test_conversion_leaves_python_alone() -> None:
    """Common ops are inferred in C++: PyTorch's own inference would run in Python."""
    import sys

    seen = []

    def watch(frame, event, argument):
        if "_meta_registrations" in frame.f_code.co_filename or "_refs" in frame.f_code.co_filename:
            seen.append(frame.f_code.co_name)

    def step(x, w):
        y = torch.addmm(x.sum(0), x, w).sigmoid() * 2 - x.mean()
        return (y.tanh() / (1 + y.abs())).softmax(-1).amax(1)

    converted = bifront.trace(step)
    arguments = torch.randn(4, 4), torch.randn(4, 4)
    converted(*arguments)
    sys.setprofile(watch)
    try:
        converted(*arguments)
    finally:
        sys.setprofile(None)
    assert converted.stats["graphs"] == 1
    assert not seen
