"""Reductions, normalisations, scans, sorting and matrix products, with gradients."""

import pytest
import torch
from torch.nn import functional

from tests.same_function import assert_same

FUNCTIONS = {
    "sum": lambda x: x.sum(),
    "sum_dim": lambda x: x.sum(1),
    "sum_dims": lambda x: x.sum((0, 2)),
    "sum_keepdim": lambda x: x.sum(1, keepdim=True) + x,
    "sum_dtype": lambda x: x.sum(dtype=torch.float64),
    "mean": lambda x: x.mean(),
    "mean_dims": lambda x: x.mean((1, 2), keepdim=True),
    "prod": lambda x: x.prod(),
    "prod_dim": lambda x: x.prod(1),
    "var": lambda x: x.var(1),
    "var_biased": lambda x: x.var(1, unbiased=False),
    "std": lambda x: x.std(),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin((0, 1)),
    "aminmax": lambda x: torch.aminmax(x, dim=1)[0],
    "max": lambda x: x.max(),
    "max_dim": lambda x: x.max(1).values,
    "min_dim": lambda x: x.min(2, keepdim=True).values,
    "median": lambda x: x.median(1).values,
    "norm": lambda x: x.norm(),
    "norm_dim": lambda x: x.norm(dim=1),
    "norm_one": lambda x: x.norm(p=1, dim=2),
    "vector_norm": lambda x: torch.linalg.vector_norm(x, 3, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(-1),
    "softmax_first": lambda x: x.softmax(0),
    "log_softmax": lambda x: x.log_softmax(1),
    "softmin": lambda x: functional.softmin(x, dim=1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "cummax": lambda x: x.cummax(1).values,
    "diff": lambda x: x.diff(dim=1),
    "sort": lambda x: x.sort(1).values,
    "sort_descending": lambda x: x.sort(2, descending=True).values,
    "topk": lambda x: x.topk(2, dim=1).values,
    "kthvalue": lambda x: x.kthvalue(2, dim=1).values,
    "layer_norm": lambda x: functional.layer_norm(x, (5,)),
    "group_norm": lambda x: functional.group_norm(x, 2),
    "instance_norm": lambda x: functional.instance_norm(x),
    "rms_norm": lambda x: functional.rms_norm(x, (5,)),
    "normalize": lambda x: functional.normalize(x, dim=1),
    "renorm": lambda x: torch.renorm(x, 2, 0, 1.0),
    "matmul": lambda x: x @ x.transpose(1, 2),
    "matmul_vector": lambda x: x @ x[0, 0],
    "mm": lambda x: x[0].mm(x[1].t()),
    "mv": lambda x: x[0].mv(x[1, 0]),
    "dot": lambda x: x[0, 0].dot(x[1, 1]),
    "outer": lambda x: torch.outer(x[0, 0], x[1, 1]),
    "bmm": lambda x: torch.bmm(x, x.mT),
    "baddbmm": lambda x: torch.baddbmm(x @ x.mT, x, x.mT, beta=0.5, alpha=2),
    "addmm": lambda x: torch.addmm(x[0] @ x[0].t(), x[1], x[2].t(), beta=0.1),
    "addmv": lambda x: torch.addmv(x[0, :, 0], x[1], x[2, 0]),
    "einsum": lambda x: torch.einsum("bij,bkj->ik", x, x),
    "tensordot": lambda x: torch.tensordot(x, x, dims=([0, 2], [0, 2])),
    "cosine": lambda x: functional.cosine_similarity(x[0], x[1], dim=1),
    "cdist": lambda x: torch.cdist(x, x + 1),
    "cross": lambda x: torch.linalg.cross(x[:3, 0, :3], x[:3, 1, :3]),
    "trace": lambda x: x[0, :4, :4].trace(),
    "det": lambda x: torch.det(x[0, :3, :3] + 2 * torch.eye(3)),
    "inverse": lambda x: torch.linalg.inv(x[0, :3, :3] * 0.1 + torch.eye(3)),
    "solve": lambda x: torch.linalg.solve(x[0, :3, :3] * 0.1 + torch.eye(3), x[1, :3, :2]),
    "cholesky": lambda x: torch.linalg.cholesky(x[0] @ x[0].t() + 3 * torch.eye(4)),
    "svdvals": lambda x: torch.linalg.svdvals(x[0]),
    "matrix_exp": lambda x: torch.matrix_exp(x[0, :4, :4] * 0.1),
    "multi_dot": lambda x: torch.linalg.multi_dot([x[0], x[1].t(), x[2]]),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x * 2, x + 1),
    "attention_causal": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    "dist": lambda x: torch.dist(x[0], x[1]),
    "nansum": lambda x: torch.where(x > 1, torch.nan, x).nansum(1),
    "trapezoid": lambda x: torch.trapezoid(x, dim=1),
    "cov": lambda x: torch.cov(x[0]),
}

INTEGERS = {
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "argsort": lambda x: x.argsort(1),
    "max_indices": lambda x: x.max(1),
    "topk_indices": lambda x: x.topk(2),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x > -1).all(),
    "count_nonzero": lambda x: (x > 0).count_nonzero(),
    "searchsorted": lambda x: torch.searchsorted(x.sort(2).values, x),
    "bucketize": lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])),
    "histc": lambda x: torch.histc(x, 4, -2, 2),
    "bincount": lambda x: torch.bincount((x > 0).long().flatten(), minlength=5),
    "mode": lambda x: (x > 0).long().mode(1).values,
    "sum_of_bools": lambda x: (x > 0).sum(),
    "equal": lambda x: torch.isclose(x, x + 1e-9).all(),
}


@pytest.mark.parametrize("name", [*FUNCTIONS, *INTEGERS])
def test_value(name: str) -> None:
    in_graph = name not in ("bincount", "cov")  # shapes and branches that depend on values
    function = (FUNCTIONS | INTEGERS)[name]
    assert_same(function, lambda: (torch.randn(4, 4, 5),), loosen=20, in_graph=in_graph)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient(name: str) -> None:
    def fn(x):
        result = FUNCTIONS[name](x)
        parts = result if isinstance(result, tuple) else (result,)
        return torch.autograd.grad(sum((p * p).sum() for p in parts), x)

    in_graph = name != "cov"
    arguments = lambda: (torch.randn(4, 4, 5, requires_grad=True),)  # noqa: E731
    assert_same(fn, arguments, loosen=200, in_graph=in_graph)


@pytest.mark.parametrize("size", [0, 1, 17, 5000])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "norm", "logsumexp"])
def test_sizes(name: str, size: int) -> None:
    def fn(x):
        function = getattr(x, name)
        return function(0) if name == "logsumexp" else function()

    assert_same(fn, lambda: (torch.randn(size),), loosen=20)


def test_reduction_of_a_pointwise_chain() -> None:
    assert_same(
        lambda x, y: ((x - y).abs().sqrt().sum(0), ((x + y) ** 2).mean(1)),
        lambda: (torch.randn(30, 40), torch.randn(30, 40)),
        loosen=10,
    )
