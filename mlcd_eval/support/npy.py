"""Arrays as .npy files that are complete or absent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mlcd_eval.errors import DataError
from mlcd_eval.support.fileio import atomic_write


def read_npy(path: Path, mapped: bool = True) -> np.ndarray:
    """The array of a .npy file, mapped read-only where asked; nothing is unpickled.

    Raises DataError for a header that is longer than the file, for which numpy would take as much memory, and what
    numpy raises for other damage.
    """
    with path.open("rb") as file:
        start, size = file.read(12), path.stat().st_size
    if start[6:7] > b"\1" and (length := int.from_bytes(start[8:], "little")) > size:
        raise DataError(f"{path} is damaged: a header of {length:,} bytes, expected at most its {size:,}")
    return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)


def write_npy(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray], dtype: np.dtype | str = "<f4") -> None:
    """Atomically write an array of the given shape and type, whose rows come in pieces.

    Unlike numpy's own `save` and `tofile`, it says what is wrong when the disk is full.
    """
    with atomic_write(path) as file:
        descr = npy.dtype_to_descr(np.dtype(dtype))
        npy.write_array_header_2_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype=dtype).data)
