"""Arrays of numbers from a MATLAB file of version 5, checked at each step: scipy's reader dies of damaged lengths.

The format is MathWorks' "MAT-File Format" (2021), chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError

LARGEST = 1 << 24
"""Bytes of a file, and of what it compresses."""
_HEADER, _TAG = 128, 8
_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = range(6, 16)  # classes of arrays, from double to uint64
_COMPLEX = 0x0800

Element = tuple[int, bytes]
"""The type of its data, and the data."""


def number_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Name -> array, of those that hold real numbers; others are left out. Raises DataError for a damaged file."""
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path} is too large: got {path.stat().st_size:,} bytes, expected at most {LARGEST:,}")
    contents = path.read_bytes()
    if len(contents) < _HEADER or contents[124:128] != b"\x00\x01IM":
        raise DataError(f"{path} is no MATLAB file of version 5, little-endian, expected one")
    arrays = {}
    try:
        for kind, data in _elements(contents[_HEADER:]):
            if kind == _COMPRESSED:
                kind, data = next(_elements(zlib.decompressobj().decompress(data, LARGEST)), (0, b""))
            found = _array(list(_elements(data))) if kind == _MATRIX else None
            if found is not None:
                arrays[found[0]] = found[1]
    except (ValueError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return arrays


def _elements(contents: bytes) -> Iterator[Element]:
    """Data elements one after another, each padded to 8 bytes; raises ValueError for one that is cut off."""
    begin = 0
    while begin + _TAG <= len(contents):
        kind, length = struct.unpack_from("<II", contents, begin)
        if kind >> 16:  # a small element, of at most 4 bytes in its tag
            kind, length, start, behind = kind & 0xFFFF, kind >> 16, begin + 4, begin + _TAG
        else:
            start = begin + _TAG
            behind = start + length + (0 if kind == _COMPRESSED else -length % 8)
        if start + length > len(contents) or (start == begin + 4 and length > 4):
            raise ValueError(f"an element of {length:,} bytes at byte {begin} of {len(contents):,} is cut off")
        yield kind, contents[start : start + length]
        begin = behind


def _array(parts: list[Element]) -> tuple[str, NDArray[np.generic]] | None:
    """Name and array of a matrix's parts: flags, dimensions, name and numbers; None for other contents."""
    if len(parts) < 4:
        return None
    flags = int.from_bytes(parts[0][1][:4], "little")
    if flags & 0xFF not in _NUMBERS or flags & _COMPLEX or parts[3][0] not in _TYPES:
        return None
    shape = np.frombuffer(parts[1][1], "<i4").tolist()
    values = np.frombuffer(parts[3][1], _TYPES[parts[3][0]])
    if min(shape, default=0) < 0 or len(values) != np.prod(shape, dtype=object):
        raise ValueError(f"an array of shape {shape} has {len(values):,} numbers")
    return parts[2][1].decode("latin-1"), values.reshape(shape, order="F")
