"""Writes into tensors: through views, into arguments, out= variants."""

import pytest
import torch

from tests.same_function import assert_same


def _copy_slice(x, y):
    x[1:3] = y[:2]


def _copy_scalar(x, y):
    x[0] = 1.5


def _mask(x, y):
    x[x > 0] = 0.0


def _index(x, y):
    x[torch.tensor([0, 2])] = y[:2]


def _view_of_view(x, y):
    x.t()[1:].transpose(0, 1)[0].mul_(2)


def _view_then_base(x, y):
    v = x[0]
    x.add_(1)
    y.copy_(v.expand_as(y))


def _base_after_view(x, y):
    v = x.view(-1)
    v[3] = 7
    y.add_(x)


def _chained(x, y):
    x.mul_(2).add_(1).relu_()


def _swap(x, y):
    t = x.clone()
    x.copy_(y)
    y.copy_(t)


def _diagonal(x, y):
    x[:3, :3].diagonal().zero_()


def _fill(x, y):
    x.fill_(3)
    y.zero_()


def _out(x, y):
    torch.add(x, y, out=y)


def _foreach(x, y):
    torch._foreach_add_([x, y], 1.0)
    torch._foreach_mul_([x, y], [2.0, 3.0])


def _scatter(x, y):
    x.scatter_(1, torch.tensor([[0], [1], [2], [0]]), 5.0)


def _index_add(x, y):
    x.index_add_(0, torch.tensor([0, 0, 1]), y[:3])


def _put(x, y):
    x.index_put_((torch.tensor([0, 0]),), y[:2], accumulate=True)


def _masked_fill(x, y):
    x.masked_fill_(y > 0, -1)


def _addcmul(x, y):
    x.addcmul_(x, y, value=0.1).addcdiv_(y, y.abs() + 1, value=-0.5)


def _lerp(x, y):
    x.lerp_(y, 0.1)


def _split(x, y):
    a, b = x.split(2)
    a.add_(b)
    b.mul_(a)


def _unbind(x, y):
    for row in x.unbind(0):
        row.add_(row.sum())


def _permuted_copy(x, y):
    x.copy_(y.flip(0))


def _self_overlap(x, y):
    x[1:] = x[:-1].clone()


def _iadd(x, y):
    x += y
    x *= y
    x -= 1
    x /= 2


def _clamp(x, y):
    x.clamp_(-0.5, 0.5)
    y.abs_().sqrt_()


def _set_data(x, y):
    x.data.mul_(2)
    x.detach().add_(1)


def _cumulative(x, y):
    for i in range(1, 4):
        x[i] += x[i - 1]


def _narrow(x, y):
    x.narrow(0, 1, 2).narrow(1, 0, 2).copy_(y.narrow(0, 0, 2).narrow(1, 1, 2))


def _as_strided(x, y):
    x.as_strided((2, 2), (4, 1)).fill_(9)


def _transposed(x, y):
    x.t_()
    x.add_(1)
    x.t_()


WRITES = {
    name.removeprefix("_"): function
    for name, function in list(globals().items())
    if name.startswith("_") and not name.startswith("__") and callable(function)
}


# A write through explicit strides goes by how the tensor lies in memory, which a graph decides.
NO_GRAPH = {"as_strided"}


@pytest.mark.parametrize("name", WRITES)
def test_writes_into_arguments(name: str) -> None:
    def fn(x, y):
        WRITES[name](x, y)
        return x.sum() + y.sum()

    arguments = lambda: (torch.randn(4, 4), torch.randn(4, 4))  # noqa: E731
    assert_same(fn, arguments, loosen=10, in_graph=name not in NO_GRAPH)


@pytest.mark.parametrize("name", WRITES)
def test_writes_into_intermediates(name: str) -> None:
    def fn(x, y):
        a, b = x * 2, y.sin()
        WRITES[name](a, b)
        return a, b

    arguments = lambda: (torch.randn(4, 4), torch.randn(4, 4))  # noqa: E731
    assert_same(fn, arguments, loosen=10, in_graph=name not in NO_GRAPH)


NO_GRADIENT = {"out", "set_data", "foreach", "as_strided", "transposed", "base_after_view"}


@pytest.mark.parametrize("name", [name for name in WRITES if name not in NO_GRADIENT])
def test_gradient_through_writes(name: str) -> None:
    def step(x, y):
        a, b = x * 2, y.sin() + 0.5
        WRITES[name](a, b)
        return torch.autograd.grad((a * a).sum() + b.sum(), [x, y], allow_unused=True)

    try:
        step(torch.randn(4, 4, requires_grad=True), torch.randn(4, 4, requires_grad=True))
    except RuntimeError as refused:
        pytest.skip(f"eager refuses: {refused}")
    assert_same(
        step,
        lambda: (torch.randn(4, 4, requires_grad=True), torch.randn(4, 4, requires_grad=True)),
        loosen=100,
    )


def test_integer_writes() -> None:
    def fn(x):
        x[0] = 3
        x += 1
        x.bitwise_and_(5)
        return x.clone()

    assert_same(fn, lambda: (torch.randint(0, 9, (5,)),))


def test_write_into_a_non_contiguous_argument() -> None:
    def fn(x):
        x.mul_(2)
        x[0] += 1

    assert_same(fn, lambda: (torch.randn(6, 4).t(),))
    assert_same(fn, lambda: (torch.randn(6, 8)[:, ::2],))


def test_returned_view_of_a_written_argument() -> None:
    def fn(x):
        x.add_(1)
        return x[1:]

    assert_same(fn, lambda: (torch.randn(4),), in_graph=False)


def test_resize_and_set_are_never_wrong() -> None:
    def fn(x):
        y = torch.empty(0)
        y.resize_(4)
        y.copy_(x)
        return y

    assert_same(fn, lambda: (torch.randn(4),), in_graph=False)
