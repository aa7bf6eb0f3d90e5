"""Gathers, scatters and advanced indexing, with gradients."""

import pytest
import torch
from torch.nn import functional

from tests.same_function import assert_same

FUNCTIONS = {
    "tensor": lambda x, i: x[i],
    "second": lambda x, i: x[:, i % 4],
    "two": lambda x, i: x[i, i % 4],
    "broadcast": lambda x, i: x[i[:, None], (i % 4)[None]],
    "mixed": lambda x, i: x[1:, i % 4],
    "list": lambda x, i: x[[0, 2, 1]],
    "none": lambda x, i: x[None, i],
    "gather": lambda x, i: x.gather(0, i[:, None].expand(-1, 4)),
    "gather_columns": lambda x, i: x.gather(1, (i % 4)[:, None]),
    "take": lambda x, i: x.take(i),
    "take_along_dim": lambda x, i: x.take_along_dim((i % 4)[:, None], 1),
    "index_select": lambda x, i: x.index_select(0, i),
    "embedding": lambda x, i: functional.embedding(i, x),
    "embedding_padding": lambda x, i: functional.embedding(i, x, padding_idx=1),
    "embedding_bag": lambda x, i: functional.embedding_bag(i.view(3, 2), x, mode="sum"),
    "index_add": lambda x, i: x.index_add(0, i, x * 2),
    "index_copy": lambda x, i: x.index_copy(0, torch.tensor([2, 0]), x[:2] * 3),
    "index_fill": lambda x, i: x.index_fill(0, i, 1.0),
    "index_put": lambda x, i: x.index_put((i,), x.sin(), accumulate=True),
    "scatter": lambda x, i: x.scatter(1, (i % 4)[:, None], x[:, :1] * 2),
    "scatter_number": lambda x, i: x.scatter(1, (i % 4)[:, None], 3.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i[:, None].expand(-1, 4), x),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i[:, None].expand(-1, 4), x, "amax"),
    "select_scatter": lambda x, i: x.select_scatter(x[0] * 2, 0, 1),
    "slice_scatter": lambda x, i: x.slice_scatter(x[:2] * 2, 0, 1, 3),
    "diagonal_scatter": lambda x, i: x[:4].diagonal_scatter(x[0], 0),
    "masked_scatter": lambda x, i: x.masked_scatter(x > 0, x.flip(0)),
    "where_index": lambda x, i: torch.where(i[:, None] > 2, x, x * 2),
    "masked_sum": lambda x, i: (x * (i > 2)[:, None]).sum(),
    "nll": lambda x, i: functional.nll_loss(x.log_softmax(1), i % 4),
    "cross_entropy": lambda x, i: functional.cross_entropy(x, i % 4),
    "cross_entropy_smooth": lambda x, i: functional.cross_entropy(x, i % 4, label_smoothing=0.1),
    "cross_entropy_ignore": lambda x, i: functional.cross_entropy(x, i % 4, ignore_index=1),
    "cross_entropy_weight": lambda x, i: functional.cross_entropy(
        x, i % 4, weight=torch.tensor([1.0, 2.0, 0.5, 1.0]), reduction="sum"
    ),
    "unfold": lambda x, i: functional.unfold(x[None, None], 2),
    "fold": lambda x, i: functional.fold(x[:4, :4].reshape(1, 4, 4), (3, 3), 2),
    "repeat_interleave": lambda x, i: x.repeat_interleave(
        torch.full((6,), 2), output_size=12, dim=0
    ),
}

SHAPE_DEPENDS_ON_VALUES = {
    "one_hot": lambda x, i: functional.one_hot(i, 6).float() @ x,  # looks whether all indices fit
    "mask": lambda x, i: x[x > 0],
    "nonzero": lambda x, i: x.nonzero(),
    "unique": lambda x, i: i.unique(),
    "masked_select": lambda x, i: x.masked_select(x > 0),
}


def arguments():
    return torch.randn(6, 4, requires_grad=True), torch.randint(0, 6, (6,))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value(name: str) -> None:
    assert_same(FUNCTIONS[name], lambda: (torch.randn(6, 4), torch.randint(0, 6, (6,))), loosen=10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient(name: str) -> None:
    def fn(x, i):
        y = FUNCTIONS[name](x, i)
        return torch.autograd.grad((y * y).sum(), x)

    assert_same(fn, arguments, loosen=20)


@pytest.mark.parametrize("name", SHAPE_DEPENDS_ON_VALUES)
def test_shapes_that_depend_on_values(name: str) -> None:
    assert_same(
        SHAPE_DEPENDS_ON_VALUES[name],
        lambda: (torch.randn(6, 4), torch.randint(0, 6, (6,))),
        in_graph=False,
    )


def test_index_out_of_range_raises_as_eager_does() -> None:
    import bifront

    converted = bifront.trace(lambda x, i: x[i] * 2)
    x = torch.randn(4)
    for _ in range(3):
        assert torch.equal(converted(x, torch.tensor([1, 3])), x[[1, 3]] * 2)
    with pytest.raises(IndexError) as expected:
        x[torch.tensor([1, 7])]
    with pytest.raises(IndexError) as raised:
        converted(x, torch.tensor([1, 7]))
    assert str(raised.value) == str(expected.value)
    assert torch.equal(converted(x, torch.tensor([0])), x[:1] * 2)
