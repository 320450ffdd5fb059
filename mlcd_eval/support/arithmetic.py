"""fp32 arithmetic that is fp32 throughout, whatever precision this process allows PyTorch to use instead.

Products of fp32 matrices take fewer bits (TF32 on GPUs, bf16 on some CPUs) where any of four things says so: the
environment (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, which NVIDIA's containers set), `torch.set_float32_matmul_precision`, the
`allow_tf32` flags, of which cuDNN's is on by default, and from torch 2.9 on `fp32_precision` of an operation, of its
backend or of all. PyTorch refuses to read the older settings while they contradict the newer ones.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.backends.cudnn
import torch.backends.mkldnn

REDUCED = ("tf32", "bf16")

T = TypeVar("T")

_lock = threading.Lock()
_blocks = 0  # that are open, in all threads: the settings are the whole process's
_before: _Settings | None = None


@contextlib.contextmanager
def exact_fp32() -> Iterator[None]:
    """Compute fp32 products and convolutions with all bits of fp32 within the block, and restore the settings after it.

    Blocks may be nested, and open in several threads at once. Also usable as a decorator.
    """
    global _blocks, _before
    with _lock:
        if _blocks == 0:
            _before = _make_exact()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0 and _before is not None:
                _restore(_before)
                _before = None


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Let products of fp32 matrices on a GPU take TF32 within the block, even in a block of `exact_fp32`. For one
    thread at a time."""
    holder = torch.backends.cuda.matmul
    name, on = ("fp32_precision", "tf32") if hasattr(holder, "fp32_precision") else ("allow_tf32", True)
    before = getattr(holder, name)
    setattr(holder, name, on)
    try:
        yield
    finally:
        if name == "fp32_precision":
            holder.fp32_precision = "none"  # inherits, which may be what it did
        if getattr(holder, name) != before:
            setattr(holder, name, before)


@dataclass(frozen=True)
class _Settings:
    """matmul, convolution: the older settings, None where PyTorch refuses to read them. operations: the newer ones, in
    the order of `_operations`, as they take effect."""

    matmul: str | None
    convolution: bool | None
    operations: tuple[str, ...]


def _operations() -> list[Any]:
    """Return the objects that hold `fp32_precision`; none before torch 2.9."""
    backends = torch.backends
    names = ("matmul", "conv", "rnn")
    holders = [
        backends.cuda.matmul,
        *(getattr(b, name, None) for b in (backends.cudnn, backends.mkldnn) for name in names),
    ]
    return [holder for holder in holders if hasattr(holder, "fp32_precision")]


def _make_exact() -> _Settings:
    """Change what is not exact, and return the settings from before."""
    operations = _operations()
    with (
        warnings.catch_warnings()
    ):  # torch 2.9 warns of the older settings, which must stay in step with the newer ones
        warnings.simplefilter("ignore")
        before = _Settings(
            _if_readable(torch.get_float32_matmul_precision)
            or ("high" if _if_readable(lambda: torch.backends.cuda.matmul.allow_tf32) else None),
            _if_readable(lambda: torch.backends.cudnn.allow_tf32),
            tuple(operation.fp32_precision for operation in operations),
        )
        if before.matmul not in (None, "highest"):
            torch.set_float32_matmul_precision("highest")
        if before.convolution:
            torch.backends.cudnn.allow_tf32 = False
    for operation in operations:
        if operation.fp32_precision in REDUCED:
            operation.fp32_precision = "ieee"
    return before


def _restore(before: _Settings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if before.matmul not in (None, "highest"):
            torch.set_float32_matmul_precision(before.matmul)
        if before.convolution:
            torch.backends.cudnn.allow_tf32 = True
    for operation, precision in zip(_operations(), before.operations, strict=True):
        if operation.fp32_precision != precision:
            operation.fp32_precision = "none"  # inherits, which may be what it did
        if operation.fp32_precision != precision:
            operation.fp32_precision = precision


def _if_readable(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except RuntimeError:
        return None
