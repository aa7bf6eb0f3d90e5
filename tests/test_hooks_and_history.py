"""Hooks, checkpoints, several backward passes, what is frozen, detached or written in between.

Each step in CPython and converted, twelve calls with changing inputs (tests/beside_eager.py).
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tests.beside_eager import Steps, Weights, assert_same_steps, rnn, zero

STEPS = Steps()
step = STEPS.step


def share_gradients(m: Weights, n: int) -> None:
    if n < 4:
        m.w.grad = m.u.grad = torch.ones(4, 4) * n
    else:
        m.u.grad = torch.ones(4, 4) * 5 * n


def keep_the_gradient(m: Weights, n: int) -> None:
    if n == 0:
        m.kept = torch.ones(4, 4)
    m.w.grad = m.kept if n < 4 else torch.ones(4, 4) * n


# --- hooks ---------------------------------------------------------------------------------------


@step()
def hook_scales(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = rnn(m, x)
    h.register_hook(lambda g: g * (n + 1))
    h.sum().backward()
    return h.detach()


@step()
def hook_logs(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.tanh(x[0] @ m.w)
    h.register_hook(lambda g: m.log.append(float(g.sum())))
    (h * m.v).sum().backward()
    return h.detach()


@step()
def hook_in_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.zeros(x.shape[1], 4)
    for row in x:
        h = torch.tanh(row @ m.w + h @ m.u)
        h.register_hook(lambda g: g.clamp(-0.1, 0.1))
    h.sum().backward()
    return h.detach()


@step(backwards=1, in_graph=0)
def hook_returned(m: Weights, x: Tensor, n: Any) -> Any:
    h = torch.tanh(x[0] @ m.w)
    h.register_hook(lambda g: g * 3)
    return h


@step(in_graph=0)
def hook_param_removed(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    handle = m.w.register_hook(lambda g: g * (n + 2))
    (x[0] @ m.w).sum().backward()
    handle.remove()
    g = m.w.grad.clone()
    (x[0] @ m.w).sum().backward()
    return g


@step(in_graph=0)
def post_accumulate(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = m.w.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(2 + n))
    (x[0] @ m.w).sum().backward()
    h.remove()


@step()
def module_backward_hook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = m.lin.register_full_backward_hook(
        lambda mod, gi, go: tuple(g * 2 if g is not None else None for g in gi)
    )
    (m.lin(x[0] @ m.w)).sum().backward()
    h.remove()


@step()
def module_forward_hook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = m.lin.register_forward_hook(lambda mod, i, o: o * (n + 1))
    (m.lin(x[0] @ m.w)).sum().backward()
    h.remove()


@step(before=lambda m, n: n == 6 and m.w.register_hook(lambda g: g * 7))
def outside_hook_added(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    (m.lin(x[0] @ m.w)).sum().backward()


@step(
    before=lambda m, n: (
        n == 6 and m.lin.register_full_backward_hook(lambda mo, gi, go: (gi[0] * 5,))
    )
)
def outside_module_hook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    (m.lin(x[0] @ m.w)).sum().backward()


@step(
    before=lambda m, n: n == 6 and m.w.register_post_accumulate_grad_hook(lambda p: p.grad.zero_()),
    in_graph=0,
)
def outside_post_acc(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    (m.lin(x[0] @ m.w)).sum().backward()


@step()
def retain_grad_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = rnn(m, x)
    h.retain_grad()
    (h * h).sum().backward()
    return h.grad


@step()
def retain_grad_mid(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    hs = []
    h = torch.zeros(x.shape[1], 4)
    for row in x:
        h = torch.tanh(row @ m.w + h @ m.u)
        h.retain_grad()
        hs.append(h)
    h.sum().backward()
    return [k.grad for k in hs]


@step(in_graph=0)
def node_hook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.tanh(x[0] @ m.w)
    h.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
    h.sum().backward()


@step(in_graph=0)
def node_prehook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.tanh(x[0] @ m.w)
    h.grad_fn.register_prehook(lambda go: (go[0] * 2,))
    h.sum().backward()


@step(in_graph=0)
def multi_grad_hook(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.autograd.graph.register_multi_grad_hook(
        (m.w, m.v), lambda gs: m.log.append(float(sum(g.sum() for g in gs if g is not None)))
    )
    ((x[0] @ m.w) * m.v).sum().backward()
    h.remove()


@step()
def saved_hooks(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 1.0, lambda t: t * 2):
        y = (x[0] @ m.w).tanh()
    y.sum().backward()


@step()
def save_on_cpu(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    with torch.autograd.graph.save_on_cpu():
        y = rnn(m, x)
    y.sum().backward()


# --- checkpoints ---------------------------------------------------------------------------------


@step()
def checkpoint_nonreentrant(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = checkpoint(lambda a: rnn(m, a), x, use_reentrant=False)
    y.sum().backward()
    return y.detach()


@step()
def checkpoint_reentrant(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    x = x.clone().requires_grad_()
    y = checkpoint(lambda a: torch.tanh(a @ m.w), x, use_reentrant=True)
    y.sum().backward()
    return y.detach(), x.grad


@step()
def checkpoint_dropout(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = checkpoint(lambda a: m.drop(torch.tanh(a @ m.w)), x, use_reentrant=False)
    y.sum().backward()
    return y.detach()


@step()
def checkpoint_loop(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    h = torch.zeros(x.shape[1], 4)
    for row in x:
        h = checkpoint(
            lambda r, k: m.drop(torch.tanh(r @ m.w + k @ m.u)), row, h, use_reentrant=False
        )
    h.sum().backward()
    return h.detach()


@step(backwards=1, in_graph=0)
def checkpoint_returned(m: Weights, x: Tensor, n: Any) -> Any:
    return checkpoint(lambda a: torch.tanh(a @ m.w), x[0], use_reentrant=False)


@step()
def checkpoint_no_rng(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = checkpoint(lambda a: m.drop(a @ m.w), x[0], use_reentrant=False, preserve_rng_state=False)
    y.sum().backward()


# --- several backward passes ---------------------------------------------------------------------


@step()
def retain_twice(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    loss = rnn(m, x).sum()
    loss.backward(retain_graph=True)
    loss.backward()


@step(in_graph=0)
def retain_missing(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    loss = rnn(m, x).pow(2).sum()
    loss.backward()
    try:
        loss.backward()
    except RuntimeError as e:
        return str(e)[:40]


@step(backwards=2)
def retain_outside(m: Weights, x: Tensor, n: Any) -> Any:
    return (x[0] @ m.w).tanh().sum()


@step()
def grads_many_outputs(m: Weights, x: Tensor, n: Any) -> Any:
    h = rnn(m, x)
    k = (x[0] @ m.u).sum()
    return torch.autograd.grad(
        [h, k], [m.w, m.u, m.v, m.lin.weight], [torch.ones_like(h), None], allow_unused=True
    )


@step()
def grads_of_views(m: Weights, x: Tensor, n: Any) -> Any:
    y = x[0] @ m.w
    a, b = y.unbind(1)[:2]
    return torch.autograd.grad([a.sum(), (a * b).sum()], [y, m.w])


@step()
def grads_twice_input(m: Weights, x: Tensor, n: Any) -> Any:
    return torch.autograd.grad((x[0] @ m.w).sin().sum(), [m.w, m.w])


@step()
def grads_intermediate_loop(m: Weights, x: Tensor, n: Any) -> Any:
    h = torch.zeros(x.shape[1], 4)
    first = None
    for row in x:
        h = torch.tanh(row @ m.w + h @ m.u)
        if first is None:
            first = h
    return torch.autograd.grad(h.sum(), [first, m.w])


@step(in_graph=0)
def grad_inside_loop(m: Weights, x: Tensor, n: Any) -> Any:
    w = m.w.detach().clone().requires_grad_()
    for row in x:
        (g,) = torch.autograd.grad((row @ w).tanh().sum(), w)
        w = (w - 0.1 * g).detach().requires_grad_()
    return w


@step()
def grad_inside_loop_unrolled_opt(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    z = x[0]
    for _ in range(3 + n % 3):
        z = z.requires_grad_() if z.is_leaf else z
        e = ((z @ m.w).tanh() * m.v).sum()
        (g,) = torch.autograd.grad(e, z, create_graph=True)
        z = z - 0.1 * g
    z.pow(2).sum().backward()
    return z.detach()


@step(in_graph=0)
def no_grad_unused_error(m: Weights, x: Tensor, n: Any) -> Any:
    try:
        torch.autograd.grad((x[0] @ m.w).sum(), [m.w, m.v])
    except RuntimeError as e:
        return str(e)[:50]


# --- what trains changes -------------------------------------------------------------------------


@step()
def freeze_inside(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    m.w.requires_grad_(False)
    loss = (rnn(m, x)).sum()
    loss.backward()
    m.w.requires_grad_(True)
    (x[0] @ m.w).sum().backward()


@step()
def freeze_by_call(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    m.w.requires_grad_(n % 3 != 0)
    rnn(m, x).sum().backward()


@step(before=lambda m, n: m.w.requires_grad_(n not in (5, 6)))
def freeze_outside(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    rnn(m, x).sum().backward()


@step()
def freeze_after_forward(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    loss = (x[0] @ m.w * m.v).sum()
    m.w.requires_grad_(False)
    loss.backward()
    m.w.requires_grad_(True)


@step()
def module_requires_grad(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    m.lin.requires_grad_(n % 2 == 0)
    ((x[0] @ m.w) + m.lin(x[0])).sum().backward()


@step()
def gan_toggles(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    fake = x[0] @ m.w
    for p in m.lin.parameters():
        p.requires_grad_(False)
    m.lin(fake).sum().backward()
    for p in m.lin.parameters():
        p.requires_grad_(True)
    m.lin(fake.detach()).pow(2).sum().backward()


@step()
def nonleaf_requires_grad_error(m: Weights, x: Tensor, n: Any) -> Any:
    y = x[0] @ m.w
    try:
        y.requires_grad_(False)
    except RuntimeError as e:
        return str(e)[:40]


@step()
def detach_inplace(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = torch.tanh(x[0] @ m.w)
    if n % 2:
        y.detach_()
    (y * m.v).sum().backward()
    return y.requires_grad


# --- anomaly mode --------------------------------------------------------------------------------


@step(in_graph=0)
def anomaly(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    with torch.autograd.detect_anomaly(check_nan=True):
        loss = rnn(m, x).sum()
        loss.backward()
    return loss.detach()


@step(in_graph=0)
def anomaly_nan(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    try:
        with torch.autograd.detect_anomaly():
            y = (m.w * (0.0 if n % 2 else 1.0)).abs().sqrt().sum() * 0
            y.backward()
    except RuntimeError as e:
        return str(e)[:60]


@step(
    around=lambda n: torch.autograd.detect_anomaly() if n >= 6 else contextlib.nullcontext(),
    in_graph=0,
)
def anomaly_outside(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (m.w * (n % 3)).abs().sqrt().sum() * 0
    y.backward()
    return y.detach()


@step(in_graph=0)
def set_anomaly(m: Weights, x: Tensor, n: Any) -> Any:
    torch.autograd.set_detect_anomaly(n % 4 == 3)
    try:
        zero(m)
        y = (m.w * (n % 2)).abs().sqrt().sum() * 0
        y.backward()
        return torch.is_anomaly_enabled()
    except RuntimeError as e:
        return str(e)[:60]
    finally:
        torch.autograd.set_detect_anomaly(False)


# --- writes --------------------------------------------------------------------------------------


@step(in_graph=0)
def version_error(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp()
    loss = y.sum()
    y.mul_(2)
    try:
        loss.backward()
    except RuntimeError as e:
        return str(e)[:70]


@step()
def data_write(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp()
    y.data.mul_(2)
    y.sum().backward()


@step(in_graph=0)
def param_write_before_backward(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    loss = ((x[0] @ m.w).tanh() @ m.u).sum()
    with torch.no_grad():
        m.u.mul_(1.1)
    try:
        loss.backward()
    except RuntimeError as e:
        return str(e)[:70]


# --- what is kept --------------------------------------------------------------------------------


@step(in_graph=0)
def keep_history(m: Weights, x: Tensor, n: Any) -> Any:
    m.kept = getattr(m, "kept", 0) + (x[0] @ m.w).sum()
    if n % 3 == 2:
        zero(m)
        m.kept.backward()
        m.kept = 0
    return float(m.kept)


@step()
def grad_mode_arg(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    with torch.set_grad_enabled(n % 3 != 1):
        y = x[0] @ m.w
    z = (y * m.v).sum()
    z.backward()
    return y.requires_grad


@step()
def grad_read_then_changed(m: Weights, x: Tensor, n: Any) -> Any:
    if m.w.grad is not None:
        old = m.w.grad
    else:
        old = None
    (x[0] @ m.w).sum().backward()
    return (old is m.w.grad), m.w.grad.clone()


@step()
def grad_alias_kept(m: Weights, x: Tensor, n: Any) -> Any:
    m.w.grad = None
    (x[0] @ m.w).sum().backward()
    m.first = getattr(m, "first", m.w.grad)
    return m.first.clone()


@step()
def hook_conditional(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] @ m.w
    if n % 3 == 0:
        y.register_hook(lambda g: g * 10)
    y.sum().backward()


@step()
def hook_reads_state(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    m.k = n
    y = x[0] @ m.w
    y.register_hook(lambda g: g * m.k)
    m.k = n * 2
    y.sum().backward()


@step()
def hook_raises(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] @ m.w

    def f(g):
        if n % 4 == 3:
            raise ValueError("hook")
        return g

    y.register_hook(f)
    try:
        y.sum().backward()
    except ValueError as e:
        return str(e)


@step(in_graph=0)
def grad_fn_name(m: Weights, x: Tensor, n: Any) -> Any:
    y = x[0] @ m.w
    return y.grad_fn.name(), y.is_leaf, type((y * 2).grad_fn).__name__


@step()
def retain_in_branch(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] @ m.w
    if y.sum() > 0:
        y.retain_grad()
    (y * m.v).sum().backward()
    return None if y.grad is None else y.grad.clone()


@step(in_graph=0)
def data_in_branch(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp()
    if y.sum() > 30:
        y.data = y.data * 2
    (y * m.v).sum().backward()
    return y.detach()


@step()
def detach_func_inplace(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = torch.tanh(x[0] @ m.w)
    if y.sum() > 0:
        torch.detach_(y)
    (y * m.v).sum().backward()
    return y.requires_grad


@step()
def set_requires_branch(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] * 2
    if n % 2:
        y.requires_grad = True
    (y * m.v).sum().backward()
    return None if y.grad is None else y.grad


@step(before=share_gradients)
def shared_grads_out(m: Weights, x: Tensor, n: Any) -> Any:
    return (m.w.grad * 2 + m.u.grad) * x[0, 0, 0]


@step(before=keep_the_gradient)
def kept_then_grad(m: Weights, x: Tensor, n: Any) -> Any:
    return m.kept * 2 + m.w.grad * x[0, 0, 0]


@step(before=keep_the_gradient)
def is_the_grad(m: Weights, x: Tensor, n: Any) -> Any:
    return (m.kept is m.w.grad), x[0] * (2 if m.kept is m.w.grad else 3)


@step(before=share_gradients)
def grads_are_one(m: Weights, x: Tensor, n: Any) -> Any:
    return (m.u.grad is m.w.grad), x[0] * (2 if m.u.grad is m.w.grad else 3)


@step()
def kept_grads_list(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    rnn(m, x).sum().backward()
    if n % 3 == 0:
        m.saved = [p.grad for p in m.parameters()]
    return sum(g.sum() for g in m.saved if g is not None)


@step()
def kept_grads_persist(m: Weights, x: Tensor, n: Any) -> Any:
    for p in m.parameters():
        if p.grad is not None:
            p.grad.zero_()
    rnn(m, x).sum().backward()
    if not hasattr(m, "saved"):
        m.saved = [m.w.grad, m.u.grad]
    return m.saved[0] + m.saved[1]


@step(in_graph=0)
def data_plain(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp()
    z = y * m.v
    y.data = y.data * 2 + n
    (z + y * y).sum().backward()
    return y.detach()


@step(in_graph=0)
def data_plain_view(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp()
    z = y[0]
    y.data = y.data * 2 + n
    (z.sum() + y * y).sum().backward()
    return y.detach(), z.detach()


@step(in_graph=0)
def data_other_shape(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = (x[0] @ m.w).exp().detach()
    y.data = x * n
    (y * m.v).sum().backward()
    return y


@step(in_graph=0)
def data_saved(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] * 2
    z = y * m.v
    y.data = y * 3 + n
    (z + y).sum().backward()
    return y


@step(in_graph=0)
def data_saved_mm(m: Weights, x: Tensor, n: Any) -> Any:
    zero(m)
    y = x[0] * 2
    z = y @ m.w
    y.data = y * 3 + n
    z.sum().backward()
    return y


@step(in_graph=0)
def data_leaf(m: Weights, x: Tensor, n: Any) -> Any:
    y = (x[0] * 2).requires_grad_()
    z = y * 3
    y.data = torch.ones_like(y) * n
    (z + y * y).sum().backward()
    return y.grad


@pytest.mark.parametrize("name", STEPS)
def test_as_eager(name: str) -> None:
    assert_same_steps(STEPS[name])
