"""Pointwise functions: alone, broadcast, in chains, with gradients."""

import pytest
import torch
from torch.nn import functional

from tests.same_function import assert_same

UNARY = """
abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1
floor frac isfinite isinf isnan lgamma log log10 log1p log2 logical_not logit nan_to_num neg
positive rad2deg reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square
tan tanh trunc i0 angle conj_physical
""".split()

ACTIVATIONS = """
celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu6 selu silu
softplus softshrink softsign tanhshrink
""".split()

BINARY = """
add sub mul div true_divide floor_divide remainder fmod pow atan2 maximum minimum fmax fmin eq ne
lt le gt ge logical_and logical_or logical_xor copysign hypot nextafter logaddexp logaddexp2 xlogy
heaviside ldexp
""".split()

NOT_DIFFERENTIABLE = set(
    "isfinite isinf isnan logical_not signbit eq ne lt le gt ge logical_and logical_or logical_xor "
    "heaviside floor_divide nextafter sgn".split()
)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    function = getattr(torch, name)
    assert_same(lambda x: function(x), lambda: (torch.rand(3, 7) * 0.9 + 0.05,), loosen=10)


@pytest.mark.parametrize("name", UNARY)
def test_unary_outside_its_domain(name: str) -> None:
    """Infinities, NaNs, signed zeros and large values come out as in eager."""
    function = getattr(torch, name)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 100.0, -100.0, 1e30, 1e-40]
    special = torch.tensor([*values, float("inf"), -float("inf"), float("nan")])
    assert_same(lambda x: function(x), lambda: (special.clone(),), loosen=10)


@pytest.mark.parametrize("name", [name for name in UNARY if name not in NOT_DIFFERENTIABLE])
def test_unary_gradient(name: str) -> None:
    function = getattr(torch, name)

    def fn(x, seed):
        return torch.autograd.grad(function(x), x, seed)

    assert_same(
        fn,
        lambda: ((torch.rand(3, 7) * 0.9 + 0.05).requires_grad_(), torch.randn(3, 7)),
        loosen=20,
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_with_gradient(name: str) -> None:
    function = getattr(functional, name)

    def fn(x, seed):
        y = function(x)
        return y.detach(), torch.autograd.grad(y, x, seed)[0]

    assert_same(fn, lambda: (torch.randn(5, 9, requires_grad=True), torch.randn(5, 9)), loosen=20)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (1, 5)), ((3,), ())])
def test_binary(name: str, shapes) -> None:
    function = getattr(torch, name)
    assert_same(
        lambda x, y: function(x, y),
        lambda: (torch.rand(shapes[0]) + 0.5, torch.rand(shapes[1]) + 0.5),
        loosen=10,
    )


@pytest.mark.parametrize("name", [name for name in BINARY if name not in NOT_DIFFERENTIABLE])
def test_binary_gradient_with_broadcasting(name: str) -> None:
    function = getattr(torch, name)

    def fn(x, y, seed):
        return torch.autograd.grad(function(x, y), [x, y], seed, allow_unused=True)

    assert_same(
        fn,
        lambda: (
            (torch.rand(4, 5) + 0.5).requires_grad_(),
            (torch.rand(5) + 0.5).requires_grad_(),
            torch.randn(4, 5),
        ),
        loosen=20,
    )


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "remainder", "eq", "lt"])
@pytest.mark.parametrize("number", [2, 0.5, True, -3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_tensor_with_python_number(name: str, number, dtype: torch.dtype) -> None:
    function = getattr(torch, name)
    base = torch.tensor([1, 2, 3, 4]).to(dtype)
    try:
        function(base, number)
    except RuntimeError as refused:
        pytest.skip(f"eager refuses: {refused}")
    assert_same(lambda x: function(x, number), lambda: (base.clone(),))


TERNARY = {
    "addcmul": lambda x, y, z: torch.addcmul(x, y, z, value=0.5),
    "addcdiv": lambda x, y, z: torch.addcdiv(x, y, z + 3, value=2),
    "lerp": lambda x, y, z: torch.lerp(x, y, z),
    "lerp_number": lambda x, y, z: torch.lerp(x, y, 0.25),
    "where": lambda x, y, z: torch.where(x > 0, y, z),
    "where_number": lambda x, y, z: torch.where(x > 0, y, 0.0),
    "clamp": lambda x, y, z: x.clamp(-0.5, 0.5),
    "clamp_min": lambda x, y, z: x.clamp(min=0.1),
    "clamp_tensor": lambda x, y, z: x.clamp(torch.minimum(y, z), torch.maximum(y, z)),
    "masked_fill": lambda x, y, z: x.masked_fill(y > 0, 3.0),
    "add_alpha": lambda x, y, z: torch.add(x, y, alpha=2.5) - z,
    "rsub": lambda x, y, z: 3.0 - x,
    "chain": lambda x, y, z: ((x * y + z).tanh() * 0.5 - x.sigmoid()).relu() / (y * y + 1),
    "reused": lambda x, y, z: (x * y, (x * y).exp(), (x * y).exp() + z),
    "threshold": lambda x, y, z: functional.threshold(x, 0.1, -1.0),
    "glu": lambda x, y, z: functional.glu(x[:, :4]) + y[:, :2] * z[:, :2],
    "prelu": lambda x, y, z: functional.prelu(x, y[0, :1]),
    "mse": lambda x, y, z: functional.mse_loss(x, y, reduction="none") * z,
    "huber": lambda x, y, z: functional.huber_loss(x, y, delta=0.3) + z.sum(),
    "smooth_l1": lambda x, y, z: functional.smooth_l1_loss(x, y, beta=0.7) + z.sum(),
    "polar": lambda x, y, z: torch.polar(x.abs(), y),
    "bce": lambda x, y, z: functional.binary_cross_entropy_with_logits(
        x, y.sigmoid(), z.detach().exp()
    ),
    "rounding": lambda x, y, z: (
        torch.div(x, y, rounding_mode="trunc") + torch.div(x, z, rounding_mode="floor")
    ),
}


@pytest.mark.parametrize("name", TERNARY)
def test_ternary(name: str) -> None:
    assert_same(
        TERNARY[name], lambda: (torch.randn(4, 5), torch.randn(4, 5), torch.randn(4, 5)), loosen=10
    )


@pytest.mark.parametrize("name", TERNARY)
def test_ternary_gradient(name: str) -> None:
    def fn(x, y, z):
        result = TERNARY[name](x, y, z)
        if isinstance(result, tuple):
            result = sum(part.sum() for part in result)
        if result.is_complex():
            result = torch.view_as_real(result)
        return torch.autograd.grad(result.sum(), [x, y, z], allow_unused=True)

    assert_same(
        fn, lambda: tuple(torch.randn(4, 5, requires_grad=True) for _ in range(3)), loosen=20
    )


def test_scalars_of_tensors() -> None:
    assert_same(
        lambda x, y: x.sum() * 2 + y.mean() ** 2 - torch.tensor(3.0),
        lambda: (torch.randn(4, 5), torch.randn(7)),
    )


@pytest.mark.parametrize("size", [0, 1, 2, 3, 15, 16, 17, 1000, 40000])
def test_sizes(size: int) -> None:
    assert_same(lambda x, y: (x * y + 1).relu(), lambda: (torch.randn(size), torch.randn(size)))


LAYOUTS = {
    "transposed": lambda x: x.t(),
    "strided": lambda x: x[:, ::2],
    "offset": lambda x: x[1:, 1:],
    "expanded": lambda x: x[:, :1].expand(8, 8),
    "reversed": lambda x: x.flip(0),
    "diagonal": lambda x: x.diagonal(),
}


@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("inside", [True, False])
def test_layouts(first: str, inside: bool) -> None:
    view = LAYOUTS[first]
    if inside:
        assert_same(lambda x: view(x).exp() + 1, lambda: (torch.randn(8, 8),))
    else:
        assert_same(lambda x: x.exp() + 1, lambda: (view(torch.randn(8, 8)),))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 6])
def test_many_dimensions(ranks: int) -> None:
    shape = [2, 3, 4, 2, 3, 2][:ranks]
    assert_same(
        lambda x, y: x.sin() * y,
        lambda: (torch.randn(shape), torch.randn([s if i % 2 else 1 for i, s in enumerate(shape)])),
    )


def test_channels_last() -> None:
    assert_same(
        lambda x: (x * 2).relu(),
        lambda: (torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),),
    )
