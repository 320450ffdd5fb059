"""Shared memory for batches on their way from worker processes to the forward pass: a ring of slots, each used again.

The memory is an anonymous mapping that forked processes share. It has no name, so that nothing is left behind by a
killed run, and it is no file of /dev/shm, which containers often limit to 64 MB.
"""

from __future__ import annotations

import math
import mmap
import weakref
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch

from mlcd_eval.errors import ConfigError


def _reserved(size: int) -> mmap.mmap:
    """Anonymous memory; raises ConfigError where there is not enough."""
    try:
        return mmap.mmap(-1, size)
    except OSError as error:
        raise ConfigError(
            f"{size >> 20} MB of memory for batches cannot be had ({error.strerror}): expected fewer --workers or a "
            "smaller --batch-size"
        ) from error


class Ring:
    """`slots` arrays of `rows` rows, each row a tensor of the given shape and dtype.

    A slot that was handed out is free again when nothing refers to its tensor, or to a view of it, any more.
    """

    def __init__(self, slots: int, rows: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.slots = slots
        self.shape = shape
        self.dtype = dtype
        self._rows_shape = (rows, *shape)
        self._numpy_dtype = torch.empty(0, dtype=dtype).numpy().dtype
        self._slot_bytes = max(1, math.prod(self._rows_shape) * self._numpy_dtype.itemsize)
        self._memory = _reserved(slots * self._slot_bytes)
        self._pinned = False

    def fits(self, row: torch.Tensor) -> bool:
        """Return whether a tensor is a row of the ring's shape and dtype."""
        return tuple(row.shape) == self.shape and row.dtype == self.dtype

    def tensor(self, slot: int) -> torch.Tensor:
        """Return a slot's rows, to write into them."""
        return torch.from_numpy(self._array(slot))

    def hand_out(self, slot: int, release: Callable[[int], None]) -> torch.Tensor:
        """Return a slot's rows. `release(slot)` is called, in any thread, once nothing refers to them any more."""
        rows = self._array(slot)
        weakref.finalize(rows, release, slot).atexit = False
        return torch.from_numpy(rows)

    def _array(self, slot: int) -> np.ndarray:
        return np.ndarray(self._rows_shape, self._numpy_dtype, self._memory, slot * self._slot_bytes)

    def pin(self) -> None:
        """Lock the memory's pages for CUDA, whose copies from it then need no wait; without success it stays as it is.

        To be called after forking: CUDA may keep pinned pages from later children.
        """
        address = torch.frombuffer(self._memory, dtype=torch.uint8).data_ptr()
        code = torch.cuda.cudart().cudaHostRegister(address, self.slots * self._slot_bytes, 0)
        self._pinned = int(code) == 0
        if not self._pinned:
            with suppress(RuntimeError):
                torch.zeros(1, device="cuda")  # the next launch would report the error

    def unpin(self) -> None:
        """Undo `pin`, after all copies from the memory."""
        if self._pinned:
            torch.cuda.synchronize()
            torch.cuda.cudart().cudaHostUnregister(torch.frombuffer(self._memory, dtype=torch.uint8).data_ptr())
            self._pinned = False
