"""What capture must hear of and no ATen op tells: `.grad`, `.data`, backward calls, memory, output.

While a function is captured, attributes of `torch.Tensor` and torch.autograd's door to its engine
are replaced. The replacements ask whether the calling thread captures; other threads get the
originals.
"""

from __future__ import annotations

import builtins
import logging
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

import torch

from bifront import _core, _light_inference

_lock = threading.Lock()
_depth = 0
_undo: list[Callable[[], None]] = []

# Methods that show a tensor's contents or memory to Python without an op. On a tensor of the graph
# there is nothing to show; of one from outside, what they show may be another at the next call.
_READERS = [
    "__array__",
    "__dlpack__",
    "data_ptr",
    "numpy",
    "storage",
    "storage_offset",
    "untyped_storage",
]
# Changes that no op tells of.
_WRITERS = ["detach_", "requires_grad_", "retain_grad", "set_", "share_memory_"]


def enter() -> None:
    """Called when a capture is about to begin, on its thread."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _install()


def exit() -> None:
    """Called when a capture has ended."""
    global _depth
    with _lock:
        _depth -= 1
        if _depth == 0:
            while _undo:
                _undo.pop()()


def _replace(owner: Any, name: str, value: Any) -> None:
    own = vars(owner)
    if name in own:
        before = own[name]
        _undo.append(lambda: setattr(owner, name, before))
    else:
        _undo.append(lambda: delattr(owner, name))
    setattr(owner, name, value)


def _install() -> None:
    _reroute_backward()
    _replace(torch.Tensor, "grad", _grad_attribute())
    _replace(torch.Tensor, "data", _data_attribute())
    _replace(torch.Tensor, "requires_grad", _requires_grad_attribute())
    for name in ("grad_fn", "is_leaf"):
        _replace(torch.Tensor, name, _history_attribute(name))
    for name in _READERS:
        _replace(torch.Tensor, name, _refused(name))
    _replace(torch.Tensor, "tolist", _to_list())
    for name in _WRITERS:
        _replace(torch.Tensor, name, _noted(getattr(torch.Tensor, name)))
    _replace(torch, "detach_", _noted(vars(torch)["detach_"]))
    for module in (torch, torch.random):
        guarded = _Generator(torch.default_generator, "the random number generator is looked at")
        _replace(module, "default_generator", guarded)
    _replace(builtins, "print", _refused_print(builtins.print))
    for name in ("stdout", "stderr"):
        _replace(sys, name, StandardStream(getattr(sys, name), name))
    _replace(logging.Logger, "handle", _refused_record(logging.Logger.handle))
    _replace(warnings, "_showwarnmsg", _refused_warning())
    _replace(torch, "_check_with", _light_inference.checking(vars(torch)["_check_with"]))
    _replace(builtins, "__import__", _light_inference.importing(builtins.__import__))
    _undo.append(_light_inference.forget)
    for name, function in _NODE_METHODS.items():
        _replace(vars(torch._C)["_SymNode"], name, function)


def _reroute_backward() -> None:
    original = torch.autograd.graph._engine_run_backward

    def run_backward(
        outputs: Any,
        seeds: Any,
        retain_graph: bool,
        create_graph: bool,
        inputs: Any,
        allow_unreachable: bool,
        accumulate_grad: bool,
    ) -> Any:
        engine = _core.capture_backward if _core.capture_active() else original
        return engine(
            outputs,
            seeds,
            retain_graph,
            create_graph,
            inputs,
            allow_unreachable,
            accumulate_grad,
        )

    for module in (torch.autograd.graph, torch.autograd):
        _replace(module, "_engine_run_backward", run_backward)


def _grad_attribute() -> property:
    original: Any = torch._C.TensorBase.grad

    def get(self: Any) -> Any:
        if _core.capture_active():
            _core.capture_note_grad(self)
        return original.__get__(self)

    def set(self: Any, value: Any) -> None:
        if _core.capture_active():
            _core.capture_set_grad(self, value)
        original.__set__(self, value)

    def delete(self: Any) -> None:
        if _core.capture_active():
            _core.capture_set_grad(self, None)
        original.__delete__(self)

    return property(get, set, delete)


def _data_attribute() -> property:
    original: Any = torch._C.TensorBase.data

    def set(self: Any, value: Any) -> None:
        if _core.capture_active():  # what autograd has saved may become another with it
            _core.capture_fail("a tensor is given other contents through `.data`")
        original.__set__(self, value)

    return property(original.__get__, set)


def _requires_grad_attribute() -> property:
    original: Any = torch._C.TensorBase.requires_grad

    def set(self: Any, value: Any) -> None:
        if _core.capture_active():
            _core.capture_note(self)
        original.__set__(self, value)

    return property(_history_reader(original), set)


def _history_attribute(name: str) -> property:
    original = getattr(torch._C.TensorBase, name)
    return property(_history_reader(original), original.__set__)


def _history_reader(original: Any) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        if _core.capture_active():
            _core.capture_note_history(self)
        return original.__get__(self)

    return get


def _refused(name: str) -> Any:
    original = getattr(torch.Tensor, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _core.capture_active():
            _core.capture_fail(f"the memory of a tensor is looked at ({name})")
        return original(self, *args, **kwargs)

    return method


def _to_list() -> Any:
    original: Any = torch.Tensor.tolist

    def tolist(self: Any) -> Any:
        if not _core.capture_active():
            return original(self)
        return self.item() if self.dim() == 0 else [tolist(row) for row in self]

    return tolist


class _Guarded:
    """What the program must not reach while it is captured: it is another at every call."""

    def __init__(self, guarded: Any, message: str) -> None:
        self._guarded = guarded
        self._message = message

    def __getattr__(self, name: str) -> Any:
        if _core.capture_active():
            _core.capture_fail(f"{self._message} ({name})")
        return getattr(self._guarded, name)


class StandardStream(_Guarded):
    """sys.stdout or sys.stderr; a walk knows what is written there (src/frontend/output.cpp)."""

    def __init__(self, guarded: Any, name: str) -> None:
        super().__init__(guarded, f"the function uses sys.{name}")
        self.stream_name = name

    def write(self, text: str) -> Any:
        return self.__getattr__("write")(text)

    def writelines(self, lines: Any) -> Any:
        return self.__getattr__("writelines")(lines)

    def flush(self) -> Any:
        return self.__getattr__("flush")()


class _Generator(_Guarded):
    """Its state is a value of the graph."""

    def get_state(self) -> Any:
        if _core.capture_active():
            return torch.ops.bifront.get_rng_state()
        return self._guarded.get_state()

    def set_state(self, state: Any) -> Any:
        if not _core.capture_active():
            return self._guarded.set_state(state)
        torch.ops.bifront.set_rng_state(state)
        return iter(())  # may not leave the call

    def manual_seed(self, seed: int) -> Any:
        if not _core.capture_active():
            return self._guarded.manual_seed(seed)
        if not -(2**63) <= seed < 2**64:
            _core.capture_fail("a seed is out of range")
        torch.ops.bifront.manual_seed(seed - 2**64 if seed >= 2**63 else seed)
        return iter(())


def _refused_print(original: Any) -> Any:
    def print(*args: Any, **kwargs: Any) -> None:
        if _core.capture_active():
            _core.capture_fail("the function prints")
        original(*args, **kwargs)

    print.__wrapped__ = original  # type: ignore[attr-defined]
    return print


def _refused_record(original: Any) -> Any:
    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        if _core.capture_active():
            _core.capture_fail("the function logs")
        original(self, record)

    return handle


def _refused_warning() -> Any:
    """Stands where a warning is about to be shown, or kept by who asked for that outside."""
    original, shown_by = (vars(warnings)[name] for name in ("_showwarnmsg", "_showwarnmsg_impl"))

    def show(message: warnings.WarningMessage) -> None:
        if _core.capture_active() and vars(warnings)["_showwarnmsg_impl"] is shown_by:
            _forget_warning(message)
            _core.capture_fail("the function warns")
        original(message)

    return show


def _forget_warning(message: warnings.WarningMessage) -> None:
    """CPython is to show it when it runs the call again."""
    once = (str(message.message), message.category)
    vars(warnings)["onceregistry"].pop(once, None)
    frame: types.FrameType | None = sys._getframe()
    while frame:
        registry = frame.f_globals.get("__warningregistry__", {})
        for key in (once, (*once, 0), (*once, message.lineno)):
            registry.pop(key, None)
        frame = frame.f_back


def _noted(original: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _core.capture_active():
            _core.capture_note(self)
        return original(self, *args, **kwargs)

    return method


def _on_number(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def method(node: Any) -> Any:
        kind = torch.SymFloat if node.is_float() else torch.SymInt
        return function(kind(node)).node

    return method


_trunc = _on_number(_core.capture_trunc)
_round = _on_number(_core.capture_round)


def _round_node(node: Any, digits: int | None = None) -> Any:
    if digits is not None:
        _core.capture_fail("a number of the graph is rounded to digits")
    return _round(node)


_NODE_METHODS: dict[str, Callable[..., Any]] = {
    "sym_sqrt": _on_number(_core.capture_sqrt),
    "trunc": _trunc,
    "round": _round_node,
    "pos": lambda node: node,
    "abs": lambda node: node.sym_max(node.neg()),
    "sym_sum": lambda node, terms: _sum(terms),
}


def _sum(terms: Any) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total.add(term)
    return total
