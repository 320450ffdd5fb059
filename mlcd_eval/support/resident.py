"""Rows of an array on a device: uploaded once and kept there where they fit, else read again through pinned buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.support.mapped import let_go

SHARE = 0.5  # of a GPU's free memory that rows may take
PART = 1 << 26  # bytes uploaded at a time

Prepare = Callable[[Tensor], Tensor]
"""Rows as the array has them, on the device -> rows to work with, each of which depends on its own row only."""


class Rows:
    """The rows of array (N, ...), which may be memory-mapped, as tensors on a device; those of float16 as float32.

    On a GPU the prepared rows are uploaded when they are first asked for, and stay there as long as this object if they
    take at most SHARE of the free memory. Otherwise, on a CPU, or with keep=False, every access reads the array.
    """

    def __init__(
        self, array: np.ndarray | Tensor, device: str | torch.device, prepare: Prepare = lambda x: x, keep: bool = True
    ) -> None:
        self._store = _Store(array, torch.device(device), prepare, keep)
        self._index: np.ndarray | None = None

    def select(self, index: np.ndarray) -> Rows:
        """Return the rows of an index (K,); what is kept on the device is shared."""
        part = Rows.__new__(Rows)
        part._store, part._index = self._store, index if self._index is None else self._index[index]
        return part

    def __len__(self) -> int:
        return len(self._store.array if self._index is None else self._index)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return (len(self), *self._store.array.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where rows are returned."""
        return self._store.device

    def __getitem__(self, index: slice | np.ndarray | Tensor) -> Tensor:
        """Return rows of a slice, or of an index (K,) of the host, on the device. Do not write into them."""
        if self._index is not None:
            index = self._index_here[index] if self._store.is_kept else self._index[index]
        return self._store.rows(index)

    @cached_property
    def _index_here(self) -> Tensor:
        """The index on the device."""
        return torch.as_tensor(self._index, device=self.device)

    def chunks(self, size: int) -> Iterator[Tensor]:
        """Yield all rows in order, `size` at a time."""
        if self._index is None:
            yield from self._store.chunks(size)
        else:
            yield from (self[begin : begin + size] for begin in range(0, len(self), size))


class _Store:
    """What all selections of an array share."""

    def __init__(self, array: np.ndarray | Tensor, device: torch.device, prepare: Prepare, keep: bool) -> None:
        self.array, self.device, self._prepare, self._keep = array, device, prepare, keep

    @cached_property
    def _kept(self) -> Tensor | None:
        """All prepared rows on the GPU, None if they do not fit."""
        if not self._keep or self.device.type != "cuda" or len(self.array) == 0:
            return None
        first = self._prepare(self._uploaded(self.array[:1]))
        if first.nbytes * len(self.array) > SHARE * torch.cuda.mem_get_info(self.device)[0]:
            return None
        kept = torch.empty(len(self.array), *first.shape[1:], dtype=first.dtype, device=self.device)
        done = 0
        for rows in self._streamed(max(1, PART // max(1, first.nbytes))):
            kept[done : done + len(rows)] = self._prepare(rows)
            done += len(rows)
        return kept

    @property
    def is_kept(self) -> bool:
        return self._kept is not None

    def rows(self, index: slice | np.ndarray | Tensor) -> Tensor:
        kept = self._kept
        if kept is not None:
            return kept[index if isinstance(index, slice) else torch.as_tensor(index).to(self.device)]
        on_host = index.numpy() if isinstance(index, Tensor) and isinstance(self.array, np.ndarray) else index
        return self._prepare(self._uploaded(self.array[on_host]))

    def chunks(self, size: int) -> Iterator[Tensor]:
        kept = self._kept
        yield from self._streamed(size, self._prepare) if kept is None else kept.split(size)

    def _uploaded(self, part: np.ndarray | Tensor) -> Tensor:
        return _wide(part.to(self.device) if isinstance(part, Tensor) else torch.tensor(part, device=self.device))

    def _streamed(self, size: int, prepare: Prepare = lambda x: x) -> Iterator[Tensor]:
        """Yield rows in order. On a GPU they pass through two pinned buffers: one is filled while the other's copy and
        the work on it are under way."""
        parts = (self.array[begin : begin + size] for begin in range(0, len(self.array), size))
        if self.device.type != "cuda" or isinstance(self.array, Tensor):
            for part in parts:
                rows = self._uploaded(part)
                if isinstance(part, np.ndarray):
                    let_go(part)
                yield prepare(rows)
            return
        like = torch.from_numpy(np.empty((0, *self.array.shape[1:]), self.array.dtype))
        shape = (min(size, len(self.array)), *like.shape[1:])
        buffers = [torch.empty(shape, dtype=like.dtype, pin_memory=True) for _ in range(2)]
        copied = [torch.cuda.Event() for _ in buffers]
        for number, part in enumerate(parts):
            assert isinstance(part, np.ndarray)
            buffer, event = buffers[number % 2], copied[number % 2]
            event.synchronize()  # returns at once for an event that was never recorded
            np.copyto(buffer[: len(part)].numpy(), part)
            let_go(part)
            rows = buffer[: len(part)].to(self.device, non_blocking=True)
            event.record()
            yield prepare(_wide(rows))


def _wide(rows: Tensor) -> Tensor:
    """What is stored in float16 is computed with in float32."""
    return rows.float() if rows.dtype == torch.float16 else rows
