"""What capture infers of an op without running it: sizes, strides and dtypes of its results.

The first call of a traced function runs the kernel, the second is captured; both write down what
they see of the results. PyTorch's meta kernels are asked too.
"""

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
    seen: list[Any] = []

    def watched(*tensors: Tensor) -> None:
        seen.append(look(fn(*tensors)))

    tensors = [a for a in arguments if isinstance(a, Tensor)]
    converted = bifront.trace(watched)
    with torch.no_grad():
        converted(*tensors)
        converted(*tensors)
    assert converted.stats["graphs"] == 1, bifront.explain(converted)
    real, inferred = seen[:2]  # the list is watched state, so that the call ran again in CPython
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


def test_embedding() -> None:
    indices = torch.randint(0, 9, (3, 4))
    assert_inferred(
        lambda g, i: aten.embedding_dense_backward(g, i, 9, -1, False), dense(3, 4, 5), indices
    )
