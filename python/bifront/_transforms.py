"""What torch.func's gradients come to by autograd alone, for `bifront._walked`.

torch.func differentiates on a level of its own, in wrappers that no graph has. Here what is
differentiated is a view of the argument, or a copy without its history. Under vmap, which batches
the graph's own tensors, each of the batch has a gradient of its own: so has the view. CPython runs
all of this during a conversion; what torch.func refuses ends it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bifront import _core

_functorch = torch._C._functorch
MOST_VECTORS = 64  # each is a backward of its own in the graph


def numbers_of(argnums: Any, count: int) -> tuple[int, ...]:
    """Of the arguments that are differentiated."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    are_numbers = isinstance(numbers, tuple) and all(type(number) is int for number in numbers)
    if not are_numbers or not all(-count <= number < count for number in numbers):
        _core.capture_fail("torch.func is given other argnums than there are arguments")
    places = tuple(number % count for number in numbers)
    if not places or len(set(places)) < len(places):
        _core.capture_fail("torch.func is given the same argument twice, or none")
    return places


def own(argument: Any, tracked: bool) -> tuple[Tensor, Tensor]:
    """What is differentiated, and what the function is given for it."""
    if not isinstance(argument, Tensor) or not argument.dtype.is_floating_point:
        _core.capture_fail("torch.func differentiates something that is no tensor of floats")
    whole = _unbatched(argument)
    if tracked and whole.requires_grad:
        leaf = whole.view_as(whole)
    else:
        leaf = _leaf(whole.detach())
    return leaf, _batched(leaf)


def _leaf(tensor: Tensor) -> Tensor:
    before = _functorch.get_inplace_requires_grad_allowed()
    _functorch.set_inplace_requires_grad_allowed(True)
    try:
        return tensor.requires_grad_()
    finally:
        _functorch.set_inplace_requires_grad_allowed(before)


def output_of(result: Any, has_aux: bool, scalar: bool = True) -> tuple[Any, Any]:
    """What the function returns, and what it returns beside it."""
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        _core.capture_fail("a function returns nothing beside what is differentiated")
    output, aux = result if has_aux else (result, None)
    if scalar and not (isinstance(output, Tensor) and output.dim() == 0):
        _core.capture_fail("a function that is differentiated does not return one number")
    return output, aux


def gradients(output: Tensor, leaves: list[Tensor], tracked: bool) -> tuple[Tensor, ...]:
    total = _unbatched(output).sum()
    found = _gradients((total,), leaves, (None,), create_graph=True)
    return tuple(_batched(settled(gradient, leaves, tracked)) for gradient in found)


def require_same(form: Any, of_outputs: Any) -> None:
    if form != of_outputs:
        _core.capture_fail("torch.func.vjp is given cotangents of another form than the outputs")


def products(
    outputs: tuple[Any, ...],
    leaves: list[Tensor],
    cotangents: tuple[Any, ...],
    retain_graph: bool,
    create_graph: bool,
) -> tuple[Tensor, ...]:
    """Vector-Jacobian products; of a batch of vectors, as jacrev asks for, one after the other."""
    for output, cotangent in zip(outputs, cotangents, strict=True):
        same = isinstance(cotangent, Tensor) and cotangent.shape == output.shape
        if not same or any(map(_functorch.is_batchedtensor, (output, *leaves))):
            _core.capture_fail("torch.func.vjp is used under vmap, or with other shapes")
    if not any(map(_functorch.is_batchedtensor, cotangents)):
        found = _gradients(
            outputs, leaves, cotangents, retain_graph=retain_graph, create_graph=create_graph
        )
        return tuple(settled(gradient, leaves, create_graph) for gradient in found)
    if len(levels := _levels()) != 1 or levels[0][1] > MOST_VECTORS:
        _core.capture_fail("torch.func.vjp is given batches of batches, or many vectors")
    batches = [_unbatched(cotangent) for cotangent in cotangents]
    rows = [
        _gradients(outputs, leaves, seeds, retain_graph=True, create_graph=create_graph)
        for seeds in zip(*batches, strict=True)
    ]
    return tuple(
        _batched(torch.stack([settled(part, leaves, create_graph) for part in parts]))
        for parts in zip(*rows, strict=True)
    )


def settled(value: Any, leaves: list[Tensor], tracked: bool) -> Tensor:
    """As it is outside of the level: without the history that ends at its leaves."""
    if not isinstance(value, Tensor):
        _core.capture_fail("a function that is differentiated returns something besides tensors")
    if not value.requires_grad:
        return value
    return value if tracked and _leads_elsewhere(_unbatched(value), leaves) else value.detach()


def _gradients(
    outputs: tuple[Any, ...], leaves: list[Tensor], seeds: Any, **options: Any
) -> list[Tensor]:
    pairs = zip(outputs, seeds, strict=True)
    known = [(output, seed) for output, seed in pairs if output.requires_grad]
    found: tuple[Tensor | None, ...] = (None,) * len(leaves)
    if known:
        found = torch.autograd.grad(
            [output for output, _ in known],
            leaves,
            [seed for _, seed in known],
            allow_unused=True,
            **options,
        )
    return [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, found, strict=True)
    ]


def _leads_elsewhere(tensor: Tensor, leaves: list[Tensor]) -> bool:
    """Whether other tensors that require grad have a part in it."""
    own_leaves = {id(leaf) for leaf in leaves if leaf.is_leaf}
    if tensor.grad_fn is None:
        return id(tensor) not in own_leaves
    nodes: list[Any] = [tensor.grad_fn]
    seen = set()
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        following = [other for other, _ in node.next_functions if other is not None]
        if not following and id(getattr(node, "variable", None)) not in own_leaves:
            return True
        nodes += following
    return False


def _levels() -> list[tuple[int, int]]:
    """Of vmap, from the outermost, with the sizes of their batches."""
    levels = []
    for interpreter in _functorch.get_interpreter_stack() or ():
        if interpreter.key() != _functorch.TransformType.Vmap:
            _core.capture_fail("torch.func is used within another of its transforms")
        size = _functorch.CVmapInterpreterPtr(interpreter).batchSize()
        levels.append((interpreter.level(), size))
    return levels


def _unbatched(tensor: Tensor) -> Tensor:
    """With a dimension for each level, in front, whether the tensor is batched there or not."""
    for level, size in reversed(_levels()):
        if _functorch.is_batchedtensor(tensor) and _functorch.maybe_get_level(tensor) == level:
            tensor, dimension = _functorch._unwrap_batched(tensor, level)
            tensor = tensor.movedim(dimension or 0, 0)
        else:
            tensor = tensor.unsqueeze(0).expand(size, *tensor.shape)
    return tensor


def _batched(tensor: Tensor) -> Tensor:
    for level, _ in _levels():
        tensor = _functorch._add_batch_dim(tensor, 0, level)
    return tensor
