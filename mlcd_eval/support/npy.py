"""Arrays as .npy files that are complete or absent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mlcd_eval.support.fileio import atomic_write


def write_npy(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray], dtype: np.dtype | str = "<f4") -> None:
    """Atomically write an array of the given shape and type, whose rows come in pieces.

    Unlike numpy's own `save` and `tofile`, it says what is wrong when the disk is full.
    """
    with atomic_write(path) as file:
        descr = npy.dtype_to_descr(np.dtype(dtype))
        npy.write_array_header_2_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype=dtype).data)
