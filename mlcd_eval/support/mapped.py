"""Arrays in files that are mapped into memory and read part by part."""

from __future__ import annotations

import mmap

import numpy as np

LARGE = 1 << 30
"""Bytes of a file whose pages are let go; those of smaller ones may be read again and stay."""


def let_go(part: np.ndarray) -> None:
    """Take the pages of a large file that lie in a part of an array, which was read, out of the process's memory.

    Nothing else changes: whoever reads them again gets them from the file. An array that is not read from a file, or
    whose file can be written to by it, stays as it is.
    """
    pages = _file_of(part)
    if pages is None or len(pages) < LARGE or not part.flags.c_contiguous or not hasattr(mmap, "MADV_DONTNEED"):
        return
    begin = part.ctypes.data - np.frombuffer(pages, np.uint8).ctypes.data
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (begin + part.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        pages.madvise(mmap.MADV_DONTNEED, first, last - first)


def _file_of(array: np.ndarray) -> mmap.mmap | None:
    """The file that an array is a part of, None where there is none or it is not for reading only."""
    owner, mode = array, None
    while isinstance(owner, np.ndarray):
        mode, owner = getattr(owner, "mode", mode), owner.base  # type: ignore[assignment]
    return owner if isinstance(owner, mmap.mmap) and mode == "r" else None
