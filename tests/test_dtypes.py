"""Dtypes, their promotion, casts and autocast."""

import itertools

import pytest
import torch
from torch import nn

from tests.same_function import assert_same

DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
]


def values(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    if dtype == torch.bool:
        return torch.rand(shape) > 0.5
    if dtype.is_complex or dtype.is_floating_point:
        return torch.randn(shape, dtype=dtype if dtype.itemsize >= 4 else torch.float32).to(dtype)
    return torch.randint(1, 9, shape).to(dtype)


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    "pair", list(itertools.product(DTYPES, DTYPES)), ids=lambda p: "-".join(map(name_of, p))
)
def test_promotion(pair) -> None:
    def fn(x, y):
        return x + y, x * y

    assert_same(fn, lambda: (values(pair[0], 3, 4), values(pair[1], 3, 4)))


@pytest.mark.parametrize(
    "pair", list(itertools.product(DTYPES, DTYPES)), ids=lambda p: "-".join(map(name_of, p))
)
def test_cast(pair) -> None:
    if pair[0].is_complex and not pair[1].is_complex:
        pytest.skip("eager warns about the dropped imaginary part")
    assert_same(
        lambda x: x.to(pair[1]),
        lambda: (
            values(pair[0], 3, 4).abs().to(pair[0])
            if not pair[0] == torch.bool
            else values(pair[0], 3, 4),
        ),
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "floor_divide", "remainder", "pow"])
def test_arithmetic(dtype: torch.dtype, name: str) -> None:
    function = getattr(torch, name)
    try:
        function(values(dtype, 3), values(dtype, 3))
    except (RuntimeError, NotImplementedError, ZeroDivisionError) as refused:
        pytest.skip(f"eager refuses: {refused}")

    def divisor() -> torch.Tensor:
        return torch.ones(3, 5, dtype=torch.bool) if dtype == torch.bool else values(dtype, 3, 5)

    assert_same(lambda x, y: function(x, y), lambda: (values(dtype, 3, 5), divisor()), loosen=10)


@pytest.mark.parametrize(
    "dtype", [d for d in DTYPES if not d.is_floating_point and not d.is_complex], ids=name_of
)
@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift"])
def test_bits(dtype: torch.dtype, name: str) -> None:
    if dtype == torch.bool and "shift" in name:
        pytest.skip("eager refuses")
    function = getattr(torch, name)
    assert_same(
        lambda x, y: function(x, y),
        lambda: (
            values(dtype, 6),
            values(dtype, 6).clamp(max=3) if dtype != torch.bool else values(dtype, 6),
        ),
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "any", "all", "amax", "argmax", "cumsum"])
def test_reduction(dtype: torch.dtype, name: str) -> None:
    def fn(x):
        function = getattr(x, name)
        return function() if name in ("any", "all") else function(dim=1)

    try:
        fn(values(dtype, 3, 4))
    except RuntimeError as refused:
        pytest.skip(f"eager refuses: {refused}")
    assert_same(fn, lambda: (values(dtype, 3, 4),), loosen=10)


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize(
    "name", ["neg", "abs", "exp", "sqrt", "sign", "sin", "square", "logical_not"]
)
def test_unary(dtype: torch.dtype, name: str) -> None:
    function = getattr(torch, name)
    try:
        function(values(dtype, 3))
    except RuntimeError as refused:
        pytest.skip(f"eager refuses: {refused}")
    assert_same(lambda x: function(x), lambda: (values(dtype, 4, 4),), loosen=10)


def test_integer_overflow_wraps() -> None:
    assert_same(
        lambda x: x * x + x,
        lambda: (torch.tensor([2**31 - 1, -(2**31), 65536, 7], dtype=torch.int32),),
    )
    assert_same(lambda x: x + x, lambda: (torch.tensor([127, -128, 64], dtype=torch.int8),))
    assert_same(lambda x: -x, lambda: (torch.tensor([0, 1, 255], dtype=torch.uint8),))


def test_bfloat16_rounds_between_ops() -> None:
    """Eager rounds after each op; a fused group that kept fp32 inside would differ."""
    assert_same(
        lambda x, y: ((x * y) + x) * y - x,
        lambda: (torch.randn(100).bfloat16(), torch.randn(100).bfloat16()),
    )


def test_complex_gradient() -> None:
    def fn(x):
        return torch.autograd.grad((x * x.conj() + x.exp()).abs().sum(), x)

    assert_same(
        fn, lambda: (torch.randn(3, 4, dtype=torch.complex64, requires_grad=True),), loosen=20
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=name_of)
def test_training_in_other_precisions(dtype: torch.dtype) -> None:
    def fn(x, w, b):
        loss = (torch.nn.functional.linear(x, w, b).relu() ** 2).mean()
        return torch.autograd.grad(loss, [w, b])

    assert_same(
        fn,
        lambda: (
            torch.randn(8, 4).to(dtype),
            torch.randn(3, 4).to(dtype).requires_grad_(),
            torch.randn(3).to(dtype).requires_grad_(),
        ),
        loosen=3,
    )


def test_autocast() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(8, 8)

    def fn(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
            z = y.softmax(-1)
        return y.detach(), z.detach()

    assert_same(fn, lambda: (torch.randn(4, 8),))


def test_autocast_backward() -> None:
    def fn(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(x @ w, torch.arange(4))
        return torch.autograd.grad(loss, [x, w])

    assert_same(
        fn,
        lambda: (torch.randn(4, 8, requires_grad=True), torch.randn(8, 6, requires_grad=True)),
        loosen=3000,
    )


def test_type_of_results_of_factories() -> None:
    def fn(x):
        return (
            torch.zeros(3),
            torch.ones(2, dtype=torch.int32),
            torch.full((2,), 3),
            torch.arange(4),
            torch.linspace(0, 1, 5),
            torch.eye(3),
            torch.zeros_like(x, dtype=torch.bool),
            x.new_ones(2, 2),
            torch.tensor([1.0, 2.0]),
            torch.empty(0),
        )

    assert_same(fn, lambda: (torch.randn(3),))


def test_default_dtype() -> None:
    try:
        torch.set_default_dtype(torch.float64)
        assert_same(lambda x: torch.zeros(3) + x, lambda: (torch.randn(3),))
    finally:
        torch.set_default_dtype(torch.float32)
