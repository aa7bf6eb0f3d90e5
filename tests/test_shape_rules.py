"""What capture infers of an op without running it: sizes, strides and dtypes of its results.

The first call of a traced function runs the kernel, the second is captured; both write down what
they see of the results. PyTorch's meta kernels are asked too.
"""

import types
from typing import Any

import bifront
import pytest
import torch
from torch import Tensor

aten = torch.ops.aten


def look(results: Any) -> list[Any]:
    results = results if isinstance(results, (tuple, list)) else (results,)
    return [
        None if r is None else (tuple(r.shape), r.stride() if r.numel() else None, r.dtype)
        for r in results
    ]


def assert_inferred(fn: Any, *arguments: Any, meta: bool = True) -> None:
    seen = types.ModuleType("seen")  # out of sight of what captures undo
    seen.value = []  # type: ignore[attr-defined]

    def watched(*tensors: Tensor) -> None:
        seen.value.append(look(fn(*tensors)))

    tensors = [a for a in arguments if isinstance(a, Tensor)]
    converted = bifront.trace(watched)
    with torch.no_grad():
        converted(*tensors)
        converted(*tensors)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    real, inferred = seen.value
    assert inferred == real
    if meta:
        assert inferred == look(fn(*(t.to("meta") for t in tensors)))


def dense(*sizes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*sizes, dtype=torch.float64).to(dtype)


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "sliced": lambda x: torch.cat([x, x], -1)[..., : x.shape[-1]],
}
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding", "dilation", "groups"),
    [
        (4, 3, 1, 1, 1, 1),
        (4, 3, 2, 0, 1, 1),
        (4, 1, 1, 0, 1, 2),
        (1, 3, 2, 2, 2, 1),
        (6, 5, 3, 2, 1, 3),
    ],
)
def test_convolution(
    channels: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    layout: str,
    dtype: torch.dtype,
) -> None:
    x = LAYOUTS[layout](dense(2, channels, 9, 11, dtype=dtype))
    w = dense(6, channels // groups, kernel, kernel, dtype=dtype)
    rest = [[stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups]
    assert_inferred(lambda x, w: aten.convolution(x, w, None, *rest), x, w, meta=False)
    y = aten.convolution(x, w, None, *rest)
    for mask in ([True, True, True], [False, True, False]):
        assert_inferred(
            lambda g, x, w, mask=mask: aten.convolution_backward(g, x, w, [6], *rest, mask),
            torch.randn_like(y),
            x,
            w,
            meta=False,
        )


@pytest.mark.parametrize("size", [(3, 4, 8), (2, 4, 5, 6), (2, 4, 5, 6, 3)])
def test_convolution_ranks(size: tuple[int, ...]) -> None:
    rank = len(size) - 2
    x, w, b = dense(*size), dense(5, 4, *[3] * rank), dense(5)
    rest = [[1] * rank, [1] * rank, [1] * rank, False, [0] * rank, 1]
    assert_inferred(lambda x, w, b: aten.convolution(x, w, b, *rest), x, w, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_batch_norm(layout: str, training: bool, dtype: torch.dtype) -> None:
    x = LAYOUTS[layout](dense(2, 4, 5, 6, dtype=dtype))
    w, b, m = (dense(4, dtype=dtype) for _ in range(3))
    v = m.abs() + 1
    assert_inferred(
        lambda x, w, b, m, v: aten.native_batch_norm(x, w, b, m, v, training, 0.1, 1e-5),
        *(x, w, b, m, v),
        meta=False,
    )
    _, mean, deviation = aten.native_batch_norm(x, w, b, m, v, training, 0.1, 1e-5)
    for mask in ([True, True, True], [True, False, False]):
        assert_inferred(
            lambda g, x, w, m, v, mean, deviation, mask=mask: aten.native_batch_norm_backward(
                g, x, w, m, v, mean, deviation, training, 1e-5, mask
            ),
            *(torch.randn_like(x), x, w, m, v, mean, deviation),
            meta=False,
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalized", [[6], [5, 6]])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced"])
def test_layer_norm(layout: str, normalized: list[int], dtype: torch.dtype) -> None:
    x = LAYOUTS[layout](dense(2, 5, 6, dtype=dtype))
    w, b = dense(*normalized, dtype=dtype), dense(*normalized, dtype=dtype)
    assert_inferred(
        lambda x, w, b: aten.native_layer_norm(x, normalized, w, b, 1e-5), x, w, b, meta=False
    )
    _, mean, deviation = aten.native_layer_norm(x, normalized, w, b, 1e-5)
    for mask in ([True, True, True], [True, False, False]):
        assert_inferred(
            lambda g, x, mean, deviation, w, b, mask=mask: aten.native_layer_norm_backward(
                g, x, normalized, mean, deviation, w, b, mask
            ),
            *(torch.randn_like(x), x, mean, deviation, w, b),
            meta=False,
        )


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int32, torch.bool])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_one_tensor(layout: str, dtype: torch.dtype) -> None:
    x = LAYOUTS[layout](dense(2, 4, 5, 6, dtype=dtype))
    assert_inferred(lambda x: aten.sum(x), x)
    assert_inferred(lambda x: aten.sum(x, dtype=torch.float64), x)
    if dtype is not torch.bool:
        assert_inferred(lambda x: aten.relu(x), x)
        assert_inferred(lambda x: aten.relu_(x.clone()), x)
    assert_inferred(lambda x: aten.zero_(x.clone()), x)
    assert_inferred(lambda x: aten.fill_(x.clone(), 1), x)
    if dtype.is_floating_point:
        assert_inferred(lambda x: aten.mean(x), x)
        assert_inferred(lambda x: aten._safe_softmax(x, 1), x, meta=False)
        assert_inferred(lambda x: aten.bernoulli_(x.clone(), 0.5), x)
        assert_inferred(lambda x: aten.uniform_(x.clone()), x)
        assert_inferred(lambda x: aten.normal_(x.clone()), x)
        assert_inferred(lambda x: aten.add_(x.clone(), 2).sub_(1).mul_(3).div_(2.5), x)
        assert_inferred(lambda x: aten.abs(x), x)


def indices(*sizes: int, below: int) -> Tensor:
    return torch.randint(0, below, sizes)


def attention(*sizes: int) -> list[Tensor]:
    """Operands as attention layers make them: heads split off the last dimension."""
    batch, heads, length, width = sizes
    return [dense(batch, length, heads * width).view(batch, length, heads, width).transpose(1, 2)
            for _ in range(3)]  # fmt: skip


def attention_gradient(g: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Any:
    out, statistics = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    return backward(g, q, k, v, out, statistics, 0.0, False)


def group_norm_gradient(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Any:
    _, mean, deviation = aten.native_group_norm(x, w, b, 2, 4, 30, 2, 1e-5)
    masks = [[True, True, True], [True, False, True]]
    return [
        r
        for mask in masks
        for r in aten.native_group_norm_backward(g, x, mean, deviation, w, 2, 4, 30, 2, mask)
    ]


X, Y, WEIGHT = dense(2, 4, 5, 6), dense(2, 4, 5, 6), dense(4)
PROBABILITY = torch.rand(3, 4)
LIKE: list[tuple[Any, ...]] = [
    (X,),
    (indices(3, 4, below=9),),
    (X.transpose(0, 1),),
    (X.contiguous(memory_format=torch.channels_last),),
    (torch.ones(()).expand(3, 4),),
    (dense(2, 1, 5).expand(2, 4, 5),),
    (dense(5, 2).t()[:, None].expand(2, 4, 5),),
    (dense(2, 6, 5).transpose(0, 2)[:, 1:4],),
    (dense(3, 4, 2).permute(1, 2, 0),),
    (dense(4, 1, 6).transpose(0, 2)[:, :, ::2],),
]


# What each rule is tried on: a function and its arguments. The rest of this file tries the others.
def ctc_gradient(x: Tensor) -> Tensor:
    lengths = torch.tensor([5, 5]), torch.tensor([2, 1])
    losses, alpha = aten._ctc_loss.Tensor(x, torch.tensor([[1, 2], [3, 0]]), *lengths)
    gradient: Tensor = aten._ctc_loss_backward.Tensor(
        torch.ones_like(losses), x, torch.tensor([[1, 2], [3, 0]]), *lengths, losses, alpha, 0
    )
    return gradient


CASES: dict[str, list[tuple[Any, ...]]] = {
    "aten::embedding": [
        (lambda w, i: aten.embedding(w, i), dense(9, 5), indices(3, 4, below=9)),
        (lambda w, i: aten.embedding(w, i), dense(9, 5).t(), indices(3, below=5)),
    ],
    "aten::embedding_dense_backward": [
        (
            lambda g, i: aten.embedding_dense_backward(g, i, 9, -1, False),
            dense(3, 4, 5),
            indices(3, 4, below=9),
        )
    ],
    "aten::native_group_norm": [
        (lambda x, w, b: aten.native_group_norm(x, w, b, 2, 4, 30, 2, 1e-5), X, WEIGHT, WEIGHT),
        (lambda x: aten.native_group_norm(x, None, None, 2, 4, 30, 4, 1e-5), X),
    ],
    "aten::native_group_norm_backward": [(group_norm_gradient, Y, X, WEIGHT, WEIGHT)],
    "aten::native_dropout": [(lambda x: aten.native_dropout(x, 0.3, True), *x) for x in LIKE[:1]],
    "aten::where.self": [
        (lambda c, a, b: aten.where(c, a, b), X > 0, X, Y),
        (lambda c, a, b: aten.where(c, a, b), X[:, :1] > 0, X, WEIGHT[:, None, None]),
        (lambda c, a, b: aten.where(c, a, b), X > 0, WEIGHT[:, None, None], torch.ones(())),
        (lambda c, a, b: aten.where(c, a, b), X > 0, X, Y.double()),
        (lambda c, a, b: aten.where(c, a, b), X[:, :1] > 0, X[..., :1], Y[:1]),
    ],
    **{
        f"aten::logical_{name}": [
            (lambda a, b, name=name: getattr(aten, f"logical_{name}")(a, b), X, Y),
            (lambda a, b, name=name: getattr(aten, f"logical_{name}")(a, b), X > 0, Y[0]),
            (lambda a, b, name=name: getattr(aten, f"logical_{name}")(a, b), X[..., :1], Y[:1]),
        ]
        for name in ("and", "or", "xor")
    },
    "aten::logical_not": [(lambda x: aten.logical_not(x), *x) for x in LIKE],
    "aten::masked_fill.Scalar": [
        (lambda x, m: aten.masked_fill(x, m, 2.0), X, Y > 0),
        (lambda x, m: aten.masked_fill(x, m, 2.0), X, Y[0, 0] > 0),
        (lambda x, m: aten.masked_fill(x, m, 2.0), X[0], Y > 0),
    ],
    "aten::masked_fill.Tensor": [
        (lambda x, m, v: aten.masked_fill.Tensor(x, m, v), X, Y > 0, torch.ones(())),
    ],
    "aten::masked_fill_.Scalar": [(lambda x, m: aten.masked_fill_(x.clone(), m, 2.0), X, Y > 0)],
    "aten::masked_fill_.Tensor": [
        (lambda x, m, v: aten.masked_fill_.Tensor(x.clone(), m, v), X, Y > 0, torch.ones(()))
    ],
    "aten::index.Tensor": [
        (lambda x, i: aten.index(x, [i]), X, indices(7, below=2)),
        (lambda x, i: aten.index(x, [i]), X, indices(3, 2, below=2)),
        (lambda x, i: aten.index(x, [None, i]), X, indices(3, below=2)),
        (lambda x, i: aten.index(x, [i, i]), X, indices(3, below=2)),
    ],
    "aten::index_put": [
        (lambda x, i, y: aten.index_put(x, [i], y, True), X, indices(2, below=2), Y)
    ],
    "aten::index_put_": [
        (lambda x, i, y: aten.index_put_(x.clone(), [i], y), X, indices(2, below=2), Y)
    ],
    "aten::select_scatter": [(lambda x, y: aten.select_scatter(x, y, 1, 2), X, Y[:, 0])],
    "aten::slice_scatter": [(lambda x, y: aten.slice_scatter(x, y, 1, 1, 3), X, Y[:, :2])],
    "aten::select_backward": [
        (lambda g: aten.select_backward(g, [2, 4, 5, 6], 1, 2), Y[:, 0]),
    ],
    "aten::slice_backward": [
        (lambda g: aten.slice_backward(g, [2, 4, 5, 6], 1, 1, 3, 1), Y[:, :2]),
    ],
    **{
        f"aten::{name}.Scalar": [
            (lambda x, name=name: getattr(getattr(aten, name), "Scalar")(x, 3), *x) for x in LIKE
        ]
        for name in ("add", "sub", "rsub", "mul", "div", "remainder")
    },
    **{
        f"aten::{name}_like": [
            (lambda x, name=name, how=how: getattr(aten, f"{name}_like")(x, **how), *x)
            for x in LIKE
            if x[0].dtype.is_floating_point or not name.startswith("rand")
            for how in (
                {},
                {"dtype": torch.float64},
                {"memory_format": torch.preserve_format},
                {"memory_format": torch.contiguous_format},
                {"layout": torch.strided},
            )
        ]
        for name in ("empty", "zeros", "ones", "rand", "randn")
    },
    "aten::full_like": [
        (lambda x, how=how: aten.full_like(x, 3, **how), *x)
        for x in LIKE
        for how in ({}, {"dtype": torch.float64}, {"memory_format": torch.contiguous_format})
    ],
    "aten::_to_copy": [
        (lambda x, how=how: aten._to_copy(x, **how), *x)
        for x in LIKE
        for how in ({"dtype": torch.float64}, {"memory_format": torch.contiguous_format})
    ],
    "aten::clone": [
        (lambda x, how=how: aten.clone(x, **how), *x)
        for x in LIKE
        for how in (
            {},
            {"memory_format": torch.preserve_format},
            {"memory_format": torch.contiguous_format},
        )
    ],
    **{
        f"aten::new_{name}": [
            (lambda x, name=name: getattr(aten, f"new_{name}")(x, [3, 4]), *x)
            if name != "full"
            else (lambda x: aten.new_full(x, [3, 4], 2), *x)
            for x in LIKE
        ]
        for name in ("empty", "zeros", "ones", "full")
    },
    "aten::stack": [
        (lambda x, y, dim=dim: aten.stack([x, y, x], dim), X, Y) for dim in (0, 1, -1, 4)
    ]
    + [(lambda x, y: aten.stack([x, y]), X, Y.double())],
    "aten::topk": [
        (lambda x, k=k, dim=dim: aten.topk(x, k, dim), X)
        for k, dim in ((1, 0), (2, -1), (0, 1), (3, 3))
    ],
    "aten::repeat": [
        (lambda x, n=n: aten.repeat(x, n), X) for n in ([1, 2, 1, 3], [2, 1, 1, 1, 0])
    ],
    "aten::flip": [(lambda x: aten.flip(x, [0, 1]), *x) for x in LIKE[:4]],
    "aten::roll": [(lambda x: aten.roll(x, [1], [2]), *x) for x in LIKE[:1]],
    "aten::constant_pad_nd": [
        (lambda x, n=n: aten.constant_pad_nd(x, n, 0.5), X) for n in ([1, 2], [1, 0, -1, 3])
    ],
    "aten::_adaptive_avg_pool2d": [(lambda x: aten._adaptive_avg_pool2d(x, [3, 2]), X)],
    "aten::_adaptive_avg_pool2d_backward": [
        (lambda g, x: aten._adaptive_avg_pool2d_backward(g, x), dense(2, 4, 3, 2), X)
    ],
    "aten::multi_margin_loss": [
        (
            lambda x, r=r: aten.multi_margin_loss(x, torch.tensor([0, 2, 1]), reduction=r),
            dense(3, 4),
        )
        for r in range(3)
    ],
    "aten::multi_margin_loss_backward": [
        (
            lambda g, x: aten.multi_margin_loss_backward(g, x, torch.tensor([0, 2, 1]), 1, 1.0),
            torch.ones(()),
            dense(3, 4),
        )
    ],
    "aten::_ctc_loss_backward.Tensor": [(ctc_gradient, dense(5, 2, 4))],
    "aten::binary_cross_entropy": [
        (lambda x, y, r=r: aten.binary_cross_entropy(x, y, None, r), PROBABILITY, PROBABILITY)
        for r in range(3)
    ],
    "aten::binary_cross_entropy_backward": [
        (
            lambda g, x, y: aten.binary_cross_entropy_backward(g, x, y, None, 1),
            torch.ones(()),
            PROBABILITY,
            PROBABILITY,
        )
    ],
    "aten::binary_cross_entropy_with_logits": [
        (lambda x, y, r=r: aten.binary_cross_entropy_with_logits(x, y, None, None, r), X, Y)
        for r in range(3)
    ],
    **{
        f"aten::{name}.correction": [
            (lambda x, name=name, how=how: getattr(aten, name).correction(x, *how[:1], **how[1]), X)
            for how in (
                (None, {}),
                ([1, -1], {"correction": 0}),
                ([0], {"keepdim": True}),
                ([], {"correction": 1}),
            )
        ]
        for name in ("var", "std", "var_mean")
    },
    "aten::_scaled_dot_product_flash_attention_for_cpu": [
        (lambda q, k, v: aten._scaled_dot_product_flash_attention_for_cpu(q, k, v), *operands)
        for operands in (attention(2, 3, 5, 4), [dense(2, 3, 5, 4) for _ in range(3)])
    ],
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": [
        (attention_gradient, dense(2, 3, 5, 4), *attention(2, 3, 5, 4))
    ],
}
TRIED_ABOVE = (
    "relu abs mul_.Scalar div_.Scalar add_.Scalar sub_.Scalar relu_ bernoulli_.float uniform_"
    " normal_ zero_ fill_.Scalar sum mean _safe_softmax convolution convolution_backward"
    " native_batch_norm native_batch_norm_backward native_layer_norm native_layer_norm_backward"
)


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    for function, *arguments in CASES[name]:
        meta = not any(word in name for word in ("attention", "ctc", "multi_margin"))
        assert_inferred(function, *arguments, meta=meta)


RANDOM_STATE = {f"bifront::{name}" for name in ("get_rng_state", "set_rng_state", "manual_seed")}


def test_random_state() -> None:
    def state(x: Tensor) -> Tensor:
        torch.set_rng_state(torch.get_rng_state())
        torch.manual_seed(3)
        return torch.get_rng_state()

    assert_inferred(state, X, meta=False)


def test_every_rule_is_tried() -> None:
    above = {f"aten::{name}" for name in TRIED_ABOVE.split()} | RANDOM_STATE
    assert set(bifront._core.ops_with_shape_rules()) == above | CASES.keys()
