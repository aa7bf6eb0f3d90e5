"""Runs a function in eager PyTorch and converted, and compares everything that can be observed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import bifront
import torch
from torch import Tensor

TOLERANCES = {
    torch.float16: (2e-3, 2e-3),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float32: (1e-5, 1e-6),
    torch.complex64: (1e-5, 1e-6),
    torch.float64: (1e-11, 1e-12),
    torch.complex128: (1e-11, 1e-12),
}


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def assert_same_tensor(actual: Tensor, expected: Tensor, where: str, loosen: float = 1.0) -> None:
    assert actual.dtype == expected.dtype, f"{where}: dtype {actual.dtype}, not {expected.dtype}"
    assert actual.shape == expected.shape, f"{where}: shape {actual.shape}, not {expected.shape}"
    assert actual.device == expected.device, where
    assert actual.requires_grad == expected.requires_grad, (
        f"{where}: requires_grad {actual.requires_grad}, not {expected.requires_grad}"
    )
    if expected.numel() > 0:
        assert actual.stride() == expected.stride(), (
            f"{where}: strides {actual.stride()}, not {expected.stride()}"
        )
    rtol, atol = TOLERANCES.get(expected.dtype, (0.0, 0.0))
    torch.testing.assert_close(
        actual.detach(),
        expected.detach(),
        rtol=rtol * loosen,
        atol=atol * loosen,
        equal_nan=True,
        msg=lambda text: f"{where}: {text}",
    )
    if (expected.is_leaf and expected.grad is not None) or (
        actual.is_leaf and actual.grad is not None
    ):
        assert actual.grad is not None, f"{where}: .grad is None"
        assert expected.grad is not None, f"{where}: .grad is not None"
        assert_same_tensor(actual.grad, expected.grad, f"{where}.grad", loosen)


def assert_same_value(actual: Any, expected: Any, where: str, loosen: float = 1.0) -> None:
    assert type(actual) is type(expected), f"{where}: {type(actual)}, not {type(expected)}"
    if isinstance(expected, Tensor):
        assert_same_tensor(actual, expected, where, loosen)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key in expected:
            assert_same_value(actual[key], expected[key], f"{where}[{key!r}]", loosen)
    elif isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected), where
        for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_same_value(a, e, f"{where}[{index}]", loosen)
    elif isinstance(expected, float):
        assert actual == expected or abs(actual - expected) <= 1e-5 * loosen * abs(expected), where
    else:
        assert actual == expected, where


def aliases(tensors: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Which tensors share memory, and which are one object."""
    return [
        (i, j)
        for i, a in enumerate(tensors)
        for j, b in enumerate(tensors[:i])
        if a is b
        or (a.numel() > 0 and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr())
    ]


def assert_same(
    fn: Callable[..., Any],
    make_args: Callable[[], tuple[Any, ...]],
    *,
    calls: int = 4,
    in_graph: bool = True,
    loosen: float = 1.0,
    check_aliases: bool = True,
    dynamic: Sequence[tuple[int | str, int]] = (),
) -> Any:
    """Calls `fn` several times in both ways, with arguments that `make_args` draws."""
    converted = bifront.trace(fn, dynamic=dynamic)
    for call in range(calls):
        torch.manual_seed(call)
        expected_args = make_args()
        torch.manual_seed(1000 + call)
        expected = fn(*expected_args)
        expected_random = torch.get_rng_state()

        torch.manual_seed(call)
        actual_args = make_args()
        torch.manual_seed(1000 + call)
        actual = converted(*actual_args)
        assert torch.equal(torch.get_rng_state(), expected_random), f"call {call}: random stream"
        assert_same_value(actual, expected, f"call {call}: result", loosen)
        assert_same_value(actual_args, expected_args, f"call {call}: argument", loosen)
        if check_aliases:
            assert aliases([*tensors_in(actual), *tensors_in(actual_args)]) == aliases(
                [*tensors_in(expected), *tensors_in(expected_args)]
            ), f"call {call}: which tensors share memory"
    if in_graph:
        assert_in_graph(converted)
    return converted


def assert_in_graph(converted: Any) -> None:
    stats = converted.stats
    assert stats["graph_calls"] >= 1, bifront.explain(converted)
    assert stats["opaque_calls"] == 0, bifront.explain(converted)
    assert stats["graphs"] == 1, bifront.explain(converted)
