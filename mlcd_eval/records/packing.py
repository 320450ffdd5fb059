"""Columns of samples in little room: as arrays that numpy writes and reads without pickling, and without loss but for
what no metric needs (metrics/columns.py).

Texts, and whatever else is no number or list of numbers, have no place here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from itertools import chain
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.columns import EXPECTED, ORDERED, places
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.support.foreign import reading

VALUES, LENGTHS, BEYOND = " values", " lengths", " beyond"
"""Ends of an array's name: a column or the entries of its lists; the lengths of these; what goes beyond EXPECTED."""
LARGEST = 1 << 30
"""Bytes of a file's arrays. ImageNet's take 300 kB, and those of 40,000 images with 80 labels each 7 MB."""


def packed(columns: Columns) -> bytes:
    """The contents of an `.npz` file with every column that holds numbers. Equal columns have equal contents."""
    file = io.BytesIO()
    np.savez_compressed(file, **_arrays(columns))  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(contents: bytes, path: Path) -> dict[str, Sequence[Any] | NDArray[Any]]:
    """The columns again: ints as int64, floats as float64, ORDERED ones as places.

    path: of the file, for messages. Raises DataError for contents that `packed` did not return.
    """
    with reading(f"{path} does not hold outcomes of samples"):
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise DataError(f"{path} is too large: its arrays have {size:,} bytes, expected at most {LARGEST:,}")
        with np.load(io.BytesIO(contents), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    try:
        return _columns({name: _whole(array) for name, array in arrays.items()})
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{path} does not hold outcomes of samples: {type(error).__name__} {error}") from error


def _columns(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Sequence[Any] | NDArray[Any]]:
    columns: dict[str, Sequence[Any] | NDArray[Any]] = {}
    for name in [name.removesuffix(VALUES) for name in arrays if name.endswith(VALUES)]:
        values, lengths = arrays[name + VALUES], arrays.get(name + LENGTHS)
        if lengths is None:
            columns[name] = values
        else:
            columns[name] = [part.tolist() for part in np.split(values, np.cumsum(lengths)[:-1])]
    for name, expected in EXPECTED.items():
        if name + BEYOND in arrays:
            columns[name] = expected(columns) + arrays[name + BEYOND]
    return columns


def _arrays(columns: Columns) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        array = _numbers(values)
        if array is None:
            if (lists := _lists(values)) is not None:
                arrays |= {name + VALUES: _small(lists[0]), name + LENGTHS: _small(lists[1])}
            continue
        if name in ORDERED:
            array = places(array)
        beyond = _beyond(name, array, columns)
        arrays |= {name + VALUES: _small(array)} if beyond is None else {name + BEYOND: _small(beyond)}
    return arrays


def _numbers(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any] | None:
    """Numbers, or lists of equally many, as an array; None for anything else, whose text may be long."""
    if len(values) and not isinstance(values[0], (Number, np.generic, np.ndarray, list, tuple)):
        return None
    if len(values) and isinstance(values[0], (list, tuple)) and not _are_numbers(values[0]):
        return None
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "biuf" else None


def _lists(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Lists of numbers as one array and their lengths; None for anything else."""
    if not all(isinstance(entry, (list, tuple)) for entry in values):
        return None
    flat = list(chain.from_iterable(values))
    if not _are_numbers(flat):
        return None
    return np.array(flat) if flat else np.zeros(0, np.int64), np.array([len(entry) for entry in values])


def _are_numbers(entries: Sequence[Any]) -> bool:
    return all(isinstance(entry, Number) for entry in entries)


def _beyond(name: str, array: NDArray[Any], columns: Columns) -> NDArray[Any] | None:
    """What a column adds to what is expected of it; None unless that gives it back exactly."""
    if name not in EXPECTED:
        return None
    try:
        expected = EXPECTED[name](columns)
    except KeyError:
        return None
    beyond = array - expected
    return beyond if np.array_equal(expected + beyond, array) else None


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in fewer bytes, `_whole` of which is the array: ints from 0 on as (bytes of the largest, ...)
    uint8, lowest bytes first, of which the highest compress well; floats in the least precision that holds them."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            kinds = (array.astype(kind) for kind in (np.float16, np.float32))
            return next((less for less in kinds if np.array_equal(less, array, equal_nan=True)), array)
    if array.dtype.kind == "b":
        return array
    if array.size and array.min() < 0:
        return array.astype(np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(-array.max() - 1)))
    count = max(1, (int(array.max(initial=0)).bit_length() + 7) // 8)
    return np.stack([(array >> 8 * place & 255).astype(np.uint8) for place in range(count)])


def _whole(small: NDArray[Any]) -> NDArray[Any]:
    """Raises ValueError for what `_small` did not return."""
    if not isinstance(small, np.ndarray):  # numpy gives the bytes of a member that is no array
        raise ValueError("a member of the archive is no array")
    if small.ndim < (2 if small.dtype == np.uint8 else 1) or small.dtype.kind not in "buif":
        raise ValueError(f"an array has the form {small.shape} {small.dtype}")
    if small.dtype == np.uint8:
        planes = np.stack([plane.astype(np.int64) << 8 * place for place, plane in enumerate(small)])
        whole: NDArray[Any] = planes.sum(axis=0)
        return whole
    if small.dtype.kind == "b":
        return small
    return small.astype(np.float64 if small.dtype.kind == "f" else np.int64)
