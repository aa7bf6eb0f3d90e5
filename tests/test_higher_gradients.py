"""Gradients of gradients, torch.func, and functions that have a backward of their own.

Each step in CPython and converted, twelve calls with changing inputs (tests/beside_eager.py).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.beside_eager import Steps, Weights, assert_same_steps, rnn, zero

STEPS = Steps()
step = STEPS.step


# --- create_graph --------------------------------------------------------------------------------


@step()
def maml_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    fast = [m.w, m.v]
    for _ in range(2):
        h = torch.zeros(x.shape[1], 4)
        for row in x:
            h = torch.tanh(row @ fast[0] + h * fast[1])
        g = torch.autograd.grad(h.pow(2).mean(), fast, create_graph=True)
        fast = [p - 0.1 * q for p, q in zip(fast, g)]
    loss = (x[0] @ fast[0] * fast[1]).pow(2).mean()
    loss.backward()
    return loss.detach()


@step()
def penalty_rnn(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    x = x.clone().requires_grad_()
    score = rnn(m, x).sum()
    (g,) = torch.autograd.grad(score, x, create_graph=True)
    loss = (g.norm(dim=-1) - 1).pow(2).mean() - score
    loss.backward()
    return loss.detach()


@step()
def penalty_branch(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    x = x.clone().requires_grad_()
    y = x @ m.w
    y = torch.tanh(y) if y.sum() > 0 else y.sin() * m.v
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    loss = g.pow(2).sum() + y.sum()
    loss.backward()
    return loss.detach()


@step()
def penalty_while(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    x = x[0].clone().requires_grad_()
    y = x
    while y.norm() > 0.7:
        y = torch.tanh(y @ m.w * 0.7)
    y = y * m.v
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (g.pow(2).sum() + y.sum()).backward()
    return y.detach()


class Tree:
    def __init__(self, x: Any = None, left: Tree | None = None, right: Tree | None = None) -> None:
        self.x, self.left, self.right = x, left, right


def tree(x: list[Tensor], i: int = 0, d: int = 0) -> Tree:
    if d > 3 or i >= len(x) or (i + d) % 3 == 2:
        return Tree(x[i % len(x)])
    return Tree(None, tree(x, i + 1, d + 1), tree(x, i + 2, d + 1))


def fold(m: Weights, t: Any) -> Tensor:
    if t.left is None:
        return torch.tanh(t.x @ m.w)
    return torch.tanh(fold(m, t.left) @ m.u + fold(m, t.right) * m.v)


@step(in_graph=2, argument=lambda x, n: tree(list(x) * (1 + n % 3)))  # trees do not come back (043)
def penalty_tree(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = fold(m, n)
    g = torch.autograd.grad(h.sum(), [m.w, m.v], create_graph=True, allow_unused=True)
    loss = sum(a.pow(2).sum() for a in g if a is not None) + h.sum()
    loss.backward()
    return loss.detach()


@step()
def backward_create_graph_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    rnn(m, x).sum().backward(create_graph=True)
    gs = [p.grad for p in (m.w, m.u, m.v)]
    zero(m)
    loss = sum(g.pow(2).sum() for g in gs)
    loss.backward()
    return loss.detach()


@step()
def hvp_loop(m: Weights, x: Tensor, n: Any) -> Any:
    h = rnn(m, x).pow(2).sum()
    g = torch.autograd.grad(h, [m.w, m.u], create_graph=True)
    return torch.autograd.grad(g, [m.w, m.u], [torch.ones_like(m.w), m.u.detach()])


# --- torch.func, forward mode --------------------------------------------------------------------


@step()
def func_grad(m: Weights, x: Tensor, n: Any) -> Any:
    return torch.func.grad(lambda a: (a @ m.w.detach()).sin().sum())(x[0])


@step()
def func_grad_params(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    g = torch.func.grad(lambda w: (x[0] @ w).tanh().pow(2).sum())(m.w)
    loss = g.pow(2).sum()
    loss.backward()
    return loss.detach()


@step()
def func_vmap(m: Weights, x: Tensor, n: Any) -> Any:
    return torch.func.vmap(lambda a: a @ m.w.detach())(x)


@step()
def func_vmap_grad(m: Weights, x: Tensor, n: Any) -> Any:
    def f(w, a):
        return (a @ w).tanh().sum()

    return torch.func.vmap(torch.func.grad(f), in_dims=(None, 0))(m.w.detach(), x[:, 0])


@step()
def func_vmap_train(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = torch.vmap(lambda a: torch.tanh(a @ m.w))(x)
    y.sum().backward()
    return y.detach()


@step()
def func_jacrev(m: Weights, x: Tensor, n: Any) -> Any:
    return torch.func.jacrev(lambda a: torch.tanh(a @ m.w.detach()))(x[0, 0])


@step(in_graph=0)
def func_jacfwd(m: Weights, x: Tensor, n: Any) -> Any:
    return torch.func.jacfwd(lambda a: torch.tanh(a @ m.w.detach()))(x[0, 0])


@step()
def func_call_train(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    ps = {k: p * (1 + n) for k, p in m.named_parameters()}
    loss = torch.func.functional_call(m, ps, (x[0],)).pow(2).sum()
    loss.backward()
    return loss.detach()


@step(in_graph=0)
def forward_ad(m: Weights, x: Tensor, n: Any) -> Any:
    import torch.autograd.forward_ad as fwAD

    with fwAD.dual_level():
        d = fwAD.make_dual(x[0], x[0] * n)
        y = torch.tanh(d @ m.w.detach())
        return tuple(fwAD.unpack_dual(y))


@step(in_graph=0)
def is_grads_batched(m: Weights, x: Tensor, n: Any) -> Any:
    y = x[0].clone().requires_grad_()
    z = torch.tanh(y @ m.w)
    v = torch.eye(z.numel()).view(z.numel(), *z.shape)
    return torch.autograd.grad(z, y, v, is_grads_batched=True)


# --- torch.autograd.Function ---------------------------------------------------------------------


class Sq(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        ctx.k = k
        return x * x * k

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x * 3 * ctx.k, None


@step()
def function_plain(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    Sq.apply(x[0] @ m.w, n + 1).sum().backward()


@step()
def function_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.zeros(x.shape[1], 4)
    for i, row in enumerate(x):
        h = Sq.apply(torch.tanh(row @ m.w + h @ m.u), i)
    h.sum().backward()
    return h.detach()


@step(backwards=1, in_graph=0)
def function_returned(m: Weights, x: Tensor, n: Any) -> Any:
    return Sq.apply(x[0] @ m.w, n + 1)


@step()
def function_double(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0].clone().requires_grad_()
    (g,) = torch.autograd.grad(Sq.apply(y @ m.w, 2).sum(), y, create_graph=True)
    g.pow(2).sum().backward()


class STE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g.clamp(-0.5, 0.5) if ctx.needs_input_grad[0] else None


@step()
def function_branch(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] @ m.w
    y = STE.apply(y * 3) if y.sum() > 0 else y * m.v
    y.sum().backward()
    return y.detach()


class OnceDiff(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.exp() * 2


@step()
def function_once(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    OnceDiff.apply(x[0] @ m.w).sum().backward()


class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable
        return a * 2, b * 3

    @staticmethod
    def backward(ctx, g, h):
        return (g * 5 if g is not None else None), (h * 7 if h is not None else None)


@step()
def function_two(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    a, b = Two.apply(m.w, m.u)
    (a if n % 2 else b).sum().backward()


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        ctx.mark_dirty(a)
        return a.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return g * 9


@step()
def function_dirty(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] @ m.w
    z = Dirty.apply(y)
    (z * y).sum().backward()
    return y.detach()


class SetupCtx(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


@pytest.mark.parametrize("name", STEPS)
def test_as_eager(name: str) -> None:
    assert_same_steps(STEPS[name])
