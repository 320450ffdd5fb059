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
    owner: object = part
    while isinstance(owner, np.ndarray) and not isinstance(owner.base, mmap.mmap):
        owner = owner.base
    if not (isinstance(owner, np.memmap) and owner.mode == "r" and part.flags.c_contiguous):
        return
    pages = owner.base
    if len(pages) < LARGE or not hasattr(mmap, "MADV_DONTNEED"):
        return
    begin = part.ctypes.data - np.frombuffer(pages, np.uint8).ctypes.data
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (begin + part.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        pages.madvise(mmap.MADV_DONTNEED, first, last - first)
