"""All that an encoder holds and computes with, as one hash: tensors, arrays and bytes, and the settings of its modules.

The search starts from the object and follows attributes, items of containers, closures, arguments bound to functions,
and, in the module that defines the encoder, class attributes and the globals that its functions name. So weights count
wherever an author keeps them, and a tensor that no state dict shows, such as a non-persistent buffer, counts too. What
a compiled library holds (a session of ONNX Runtime) cannot be seen here; the probe sees what it computes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import types
from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from mlcd_eval.encoders.base import Encoder

_LEAVES = (str, int, float, complex, type(None), types.ModuleType, logging.Logger)
_SETS = (set, frozenset)
_WRAPPERS = {property: "fget", functools.cached_property: "func", staticmethod: "__func__", classmethod: "__func__"}
_NO_SETTINGS = {"name_or_path", "pretrained_cfg", "default_cfg", "fused_attn"}
"""Attributes of modules that say where weights came from (transformers, timm) or which kernel sums (timm)."""


def contents(encoder: Encoder) -> str:
    """sha256 over the sorted lines `path: what is there`; encoders that hold the same give the same hash in every
    process and on every machine."""
    lines = sorted(_Search(type(encoder).__module__).lines(encoder))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Search:
    """home: the module whose classes and functions are looked into beyond what their instances hold."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.seen: dict[int, object] = {}  # by id, which stays the object's while it is kept here

    def lines(self, root: object) -> Iterator[str]:
        """One line for each tensor, array, run of bytes and module that can be reached, by the shortest path."""
        pending = deque([("", root)])
        while pending:
            path, value = pending.popleft()
            if id(value) in self.seen:
                continue
            self.seen[id(value)] = value
            description = _description(value)
            if description is not None:
                yield f"{path}: {description}"
            parts = self._parts(value)
            pending.extend((f"{path}.{name}", part) for name, part in parts if not isinstance(part, _LEAVES))

    def _parts(self, value: Any) -> Iterator[tuple[str, object]]:
        if isinstance(value, (torch.Tensor, bytes, bytearray)):
            return
        if isinstance(value, np.ndarray):
            yield from _numbered(value.flat if value.dtype.hasobject else ())
        elif isinstance(value, type):
            yield from vars(value).items() if value.__module__ == self.home else ()
        elif isinstance(value, types.FunctionType):
            yield from self._parts_of_function(value)
        elif isinstance(value, types.MethodType):
            yield from (("self", value.__self__), ("function", value.__func__))
        elif isinstance(value, functools.partial):
            yield from (("function", value.func), ("arguments", value.args), ("keywords", value.keywords))
        elif type(value) in _WRAPPERS:
            yield "function", getattr(value, _WRAPPERS[type(value)])
        else:
            yield from _items(value)
            yield from _attributes(value)
            yield from _numbered(type(value).__mro__)

    def _parts_of_function(self, function: types.FunctionType) -> Iterator[tuple[str, object]]:
        yield from (("defaults", function.__defaults__), ("keyword defaults", function.__kwdefaults__))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not yet filled
                continue
        if function.__module__ == self.home:
            names = sorted(_names(function.__code__) & function.__globals__.keys())
            yield from ((name, function.__globals__[name]) for name in names)
        yield from vars(function).items()


def _items(value: Any) -> Iterator[tuple[str, object]]:
    """The items of a container, read as of the built-in type that it extends: a subclass may load things when read."""
    if isinstance(value, dict):
        yield from ((str(key) if isinstance(key, _LEAVES) else "", part) for key, part in dict.items(value))
    elif isinstance(value, _SETS):
        yield from (("", part) for part in value)  # their order differs between processes
    elif isinstance(value, (list, tuple, deque)):
        yield from _numbered(value)


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    for parent in type(value).__mro__:
        slots = vars(parent).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield name, getattr(value, name, None)
    yield from getattr(value, "__dict__", {}).items()
    if isinstance(value, torch.jit.ScriptModule):  # keeps its tensors outside Python
        yield from value.named_parameters()
        yield from value.named_buffers()


def _numbered(values: Iterable[object]) -> Iterator[tuple[str, object]]:
    return ((str(number), part) for number, part in enumerate(values))


def _names(code: types.CodeType) -> set[str]:
    """The global names and attributes that a function mentions, those of functions inside it included."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _description(value: object) -> str | None:
    """What is hashed of an object itself; None where only its parts count."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {_tensor_digest(value)}"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return f"{value.dtype} {value.shape} {hashlib.sha256(flat.data).hexdigest()}"
    if isinstance(value, (bytes, bytearray)):
        return f"bytes {hashlib.sha256(value).hexdigest()}"
    if isinstance(value, torch.nn.Module):
        settings = {
            name: _plain(setting)
            for name, setting in vars(value).items()
            if not name.startswith("_") and name not in _NO_SETTINGS
        }
        return f"{_name(type(value))} {json.dumps(settings, sort_keys=True)}"
    return None


def _tensor_digest(tensor: torch.Tensor) -> str:
    if is_lazy(tensor):
        return "without a shape"
    if tensor.is_meta:
        return f"{tuple(tensor.shape)} without values"
    plain = tensor.detach()
    plain = plain.dequantize() if plain.is_quantized else plain
    plain = plain.to_dense() if plain.layout is not torch.strided else plain
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous().flatten()
    return f"{tuple(tensor.shape)} {hashlib.sha256(plain.view(torch.uint8).numpy().data).hexdigest()}"


def _plain(value: Any) -> Any:
    """A setting as data for JSON; of an object that is no data, the name of its class: its parts are searched."""
    if isinstance(value, Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in dict.items(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, _SETS):
        return sorted(json.dumps(_plain(part), sort_keys=True) for part in value)
    if isinstance(value, functools.partial):
        return [_plain(value.func), _plain(value.args), _plain(value.keywords)]
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    return _name(value if hasattr(value, "__qualname__") else type(value))


def _name(thing: Any) -> str:
    """The full name of a class or function."""
    return f"{thing.__module__}.{thing.__qualname__}"
