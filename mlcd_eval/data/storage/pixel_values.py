"""Depth and normals of pixels: pictures whose numbers mean them, or NumPy's arrays."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.storage.images import decode, file_contents, size_of
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import files_identity, memoised
from mlcd_eval.support.foreign import reading

if TYPE_CHECKING:
    from PIL import Image

Quantity = Literal["depth", "normals"]
CHANNELS: Mapping[Quantity, int] = {"depth": 1, "normals": 3}

_VERSION = 1  # of what is checked and hashed
_ROWS = 1024  # whose facts are kept in one file
_LEAST = 1e-3  # of a normal's length: of less it has no direction
_NPY = b"\x93NUMPY"


class Encoding(NamedTuple):
    """What the numbers of a picture mean; those of an array mean themselves.

    depth: number / scale, or scale / number if inverse, unknown where it is 0. normals: (number - zero) / scale, made
    unit vectors, unknown where all three numbers are 0.
    """

    quantity: Quantity
    scale: float
    zero: float = 0.0
    inverse: bool = False


class Measured(NamedTuple):
    """An image and the file of its pixels' values, each the contents of a file or its path. unit: as in PixelValues,
    None for the image itself. finer: how many times as high and wide the image is as its values."""

    key: str
    image: bytes | Path
    file: bytes | Path
    encoding: Encoding
    unit: str | None = None
    finer: int = 1


@dataclass
class PixelFacts:
    """What is known of images once their values have been read: (height, width), digest and known pixels of each."""

    sizes: list[tuple[int, int]]
    digests: list[str]
    known: list[int]

    def add(self, values: NDArray[np.float32], where: str) -> None:
        """Add an image's values (height, width, C). Raises DataError, naming `where`, for one of no known pixel."""
        height, width, _ = values.shape
        known = int(np.isfinite(values).all(axis=2).sum())
        if not known:
            raise DataError(f"{where} has no known pixel: got {height * width:,} unknown ones, expected some")
        self.sizes.append((height, width))
        self.digests.append(hashlib.sha256(f"{values.shape} ".encode() + values.tobytes()).hexdigest())
        self.known.append(known)


def pixel_values(rows: Sequence[Measured], cache: Path | None) -> list[PixelValues]:
    """The rows' values, each read once to be checked; what is found of files is kept below cache unless it is None.

    Raises DataError for a file that is missing, holds no such numbers, has another size than its image, no known pixel,
    or a depth that is negative or infinite.
    """
    every = []
    for begin in range(0, len(rows), _ROWS):
        part = rows[begin : begin + _ROWS]
        identity = None if cache is None else _identity(part)
        read = partial(_read, part)
        facts = (
            read()
            if cache is None or identity is None
            else memoised(cache / "pixel_values", identity, PixelFacts, read)
        )
        for row, size, digest, known in zip(part, facts.sizes, facts.digests, facts.known, strict=True):
            values = partial(read_values, row)
            picture: partial[Image.Image] = partial(decode, row.image, row.key)
            unit = row.key if row.unit is None else row.unit
            every.append(PixelValues(row.key, size, digest, known, unit, values, picture))
    return every


def read_values(row: Measured) -> NDArray[np.float32]:
    """The values (height, width, C) of a row, NaN where they are not known; raises DataError."""
    contents = row.file if isinstance(row.file, bytes) else file_contents(row.file, _file_of(row))
    values = _array(row, contents) if contents.startswith(_NPY) else _meant(row.encoding, _numbers(row, contents))
    if row.encoding.quantity == "depth":
        return known_depth(values, _file_of(row))
    length = np.linalg.norm(values, axis=2, keepdims=True)
    return np.where(length >= _LEAST, values / np.maximum(length, _LEAST), np.nan).astype(np.float32)


def known_depth(values: NDArray[np.float64], where: str) -> NDArray[np.float32]:
    """Depths (height, width, 1), NaN where they are 0. Raises DataError, naming `where`, for negative and infinite
    ones."""
    if (values < 0).any() or np.isinf(values).any():
        wrong = values[(values < 0) | np.isinf(values)][0]
        raise DataError(f"{where} has the depth {wrong:g}, expected finite ones, and 0 or NaN for unknown")
    return np.where(values > 0, values, np.nan).astype(np.float32)


def _meant(encoding: Encoding, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a picture's numbers, NaN where they are not known."""
    unknown = (numbers == 0).all(axis=2, keepdims=True)
    if encoding.inverse:
        return np.where(unknown, np.nan, encoding.scale / np.where(unknown, 1, numbers))
    return np.where(unknown, np.nan, (numbers - encoding.zero) / encoding.scale)


def _read(rows: Sequence[Measured]) -> PixelFacts:
    facts = PixelFacts([], [], [])
    for row in rows:
        if isinstance(row.file, Path) and not row.file.is_file():
            raise DataError(f"{_file_of(row)} is missing: there is no such file")
        values = read_values(row)
        height, width, _ = values.shape
        image_height, image_width = size_of(row.image, row.key)
        if (row.finer * height, row.finer * width) != (image_height, image_width):
            times = "" if row.finer == 1 else f" / {row.finer}"
            raise DataError(
                f"{_file_of(row)} has another size than its image: got {width} x {height} pixels, expected "
                f"{image_width} x {image_height}{times}"
            )
        facts.add(values, _file_of(row))
    return facts


def _array(row: Measured, contents: bytes) -> NDArray[np.float64]:
    """The array (height, width, C) of a .npy file."""
    with reading(f"{_file_of(row)} cannot be read"):
        array = np.load(io.BytesIO(contents), allow_pickle=False)
    channels = CHANNELS[row.encoding.quantity]
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] != channels or values.dtype.kind not in "fiu":
        expected = "(height, width)" if channels == 1 else f"(height, width, {channels})"
        raise DataError(f"{_file_of(row)} has the shape {array.shape} of {array.dtype}, expected numbers {expected}")
    return values.astype(np.float64)


def _numbers(row: Measured, contents: bytes) -> NDArray[np.float64]:
    """The numbers (height, width, C) of a picture."""
    from PIL import Image

    modes = ("L", "I;16", "I;16B", "I") if row.encoding.quantity == "depth" else ("RGB",)
    with (
        reading(f"{_file_of(row)} cannot be read"),
        Image.open(io.BytesIO(contents), formats=("PNG", "WEBP")) as opened,
    ):
        mode, numbers = opened.mode, np.asarray(opened) if opened.mode in modes else None
    if numbers is None:
        expected = "one number per pixel, grey" if row.encoding.quantity == "depth" else "three numbers per pixel, RGB"
        raise DataError(f"{_file_of(row)} is a picture of mode {mode}, expected {expected}")
    return numbers.reshape(*numbers.shape[:2], -1).astype(np.float64)


def _identity(rows: Sequence[Measured]) -> str | None:
    """A text that changes when a file or the meaning of its numbers does; None where a row is not in a file."""
    facts = (((row.image, row.file), [row.key, *row.encoding, row.finer]) for row in rows)
    return files_identity(f"{_VERSION} {_LEAST}", facts)


def _file_of(row: Measured) -> str:
    where = f" ({row.file})" if isinstance(row.file, Path) else ""
    what = "file of depth" if row.encoding.quantity == "depth" else "file of normals"
    return f"the {what} of image {row.key!r}{where}"
