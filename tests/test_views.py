"""Views: their values, their layout, and that they still share memory."""

import pytest
import torch

from tests.same_function import assert_same

VIEWS = {
    "view": lambda x: x.view(6, 4),
    "reshape": lambda x: x.reshape(-1),
    "transpose": lambda x: x.transpose(0, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "expand": lambda x: x[:1].expand(5, 3, 4),
    "select": lambda x: x[1],
    "slice": lambda x: x[:, 1:3],
    "step": lambda x: x[:, :, ::2],
    "narrow": lambda x: x.narrow(1, 1, 2),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "t": lambda x: x[0].t(),
    "mT": lambda x: x.mT,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "movedim": lambda x: x.movedim(0, 2),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "chunk": lambda x: x.chunk(2, dim=2),
    "split": lambda x: x.split([1, 2], dim=1),
    "unbind": lambda x: x.unbind(0),
    "tensor_split": lambda x: x.tensor_split(3, dim=2),
    "as_strided": lambda x: x.as_strided((2, 2), (3, 1), 1),
    "view_as": lambda x: x.view_as(torch.empty(4, 6)),
    "detach": lambda x: x.detach(),
    "alias": lambda x: torch.ops.aten.alias(x),
    "ellipsis": lambda x: x[..., 0],
    "none": lambda x: x[None, :, 0],
    "negative": lambda x: x[-1, -2:],
    "hsplit": lambda x: torch.hsplit(x, 3),
    "broadcast_to": lambda x: torch.broadcast_to(x[:, :1], (2, 3, 4)),
    "real": lambda x: torch.view_as_complex(x.view(2, 3, 2, 2)).real,
    "imag": lambda x: torch.view_as_complex(x.view(2, 3, 2, 2)).imag,
    "dtype": lambda x: x.view(torch.int32),
    "identity": lambda x: x,
    "chain": lambda x: x.transpose(0, 1)[1:].unsqueeze(0).permute(3, 1, 0, 2)[1],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_an_argument_is_returned(name: str) -> None:
    assert_same(VIEWS[name], lambda: (torch.randn(2, 3, 4),))


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_a_result_is_returned(name: str) -> None:
    def fn(x):
        y = x.sin()
        return y, VIEWS[name](y)

    assert_same(fn, lambda: (torch.randn(2, 3, 4),))


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in ("dtype", "detach")])
def test_gradient_through_a_view(name: str) -> None:
    def fn(x, w):
        parts = VIEWS[name](x * w)
        parts = parts if isinstance(parts, (tuple, list)) else (parts,)
        return torch.autograd.grad(sum((p * p).sum() for p in parts), [x, w])

    assert_same(
        fn,
        lambda: (torch.randn(2, 3, 4, requires_grad=True), torch.randn(4, requires_grad=True)),
        loosen=10,
        in_graph=name != "as_strided",  # its derivative goes by how the tensor lies in memory
    )


@pytest.mark.parametrize("name", VIEWS)
def test_computing_on_a_view(name: str) -> None:
    def fn(x):
        parts = VIEWS[name](x)
        parts = parts if isinstance(parts, (tuple, list)) else (parts,)
        return [p * 2 + 1 for p in parts]

    assert_same(fn, lambda: (torch.randn(2, 3, 4),))


COPIES = {
    "contiguous": lambda x: x.transpose(0, 1).contiguous(),
    "contiguous_already": lambda x: x.contiguous(),
    "clone": lambda x: x.t().clone(),
    "reshape_copies": lambda x: x.t().reshape(-1),
    "cat": lambda x: torch.cat([x, x * 2], 1),
    "stack": lambda x: torch.stack([x, x], 1),
    "repeat": lambda x: x.repeat(2, 3),
    "tile": lambda x: torch.tile(x, (2,)),
    "repeat_interleave": lambda x: x.repeat_interleave(2, dim=0),
    "flip": lambda x: x.flip(0, 1),
    "roll": lambda x: x.roll(1, 0),
    "rot90": lambda x: x.rot90(),
    "tril": lambda x: x.tril(),
    "triu": lambda x: x.triu(1),
    "pad": lambda x: torch.nn.functional.pad(x, (1, 2)),
    "pad_reflect": lambda x: torch.nn.functional.pad(x[None], (1, 1), mode="reflect"),
    "kron": lambda x: torch.kron(x, x),
    "meshgrid": lambda x: torch.meshgrid(x[0], x[1], indexing="ij"),
    "diag_embed": lambda x: torch.diag_embed(x),
    "block": lambda x: torch.hstack([x, x]) + torch.vstack([x, x]).view(3, 8),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies(name: str) -> None:
    assert_same(COPIES[name], lambda: (torch.randn(3, 4),))


@pytest.mark.parametrize("name", COPIES)
def test_gradient_through_copies(name: str) -> None:
    def fn(x):
        parts = COPIES[name](x)
        parts = parts if isinstance(parts, (tuple, list)) else (parts,)
        return torch.autograd.grad(sum((p * p).sum() for p in parts), x)

    assert_same(fn, lambda: (torch.randn(3, 4, requires_grad=True),), loosen=10)


def test_aliased_arguments() -> None:
    """The same tensor, or overlapping views, given twice."""

    def fn(x, y):
        x.add_(1)
        return x * y

    def same():
        x = torch.randn(4)
        return x, x

    def overlapping():
        base = torch.randn(6)
        return base[:4], base[2:]

    assert_same(fn, same, in_graph=False)
    assert_same(fn, overlapping, in_graph=False)
    assert_same(lambda x, y: x * y, same, in_graph=False)


def test_an_argument_is_returned_as_the_same_object() -> None:
    import bifront

    converted = bifront.trace(lambda x: (x, x + 1))
    for _ in range(3):
        x = torch.randn(3)
        assert converted(x)[0] is x
