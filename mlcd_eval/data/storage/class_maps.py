"""The class of each pixel, from pictures whose pixels are numbers: PNG, grey or with a palette."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import UNLABELLED, ClassMap
from mlcd_eval.data.storage.images import decode, file_contents, size_of
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import files_identity, memoised
from mlcd_eval.support.foreign import reading

if TYPE_CHECKING:
    from PIL import Image

_VERSION = 1  # of what is checked and hashed
_ROWS = 1024  # whose facts are kept in one file
_NUMBERS = ("1", "L", "P", "I;16", "I")  # Pillow's modes of one number per pixel
_LARGEST = 1 << 16  # numbers that a PNG's 16 bits tell apart
_BEYOND = -2


class Labelled(NamedTuple):
    """An image and its mask, each the contents of a file or its path. classes: number in the mask -> class, or
    UNLABELLED; any other number is an error. unit: as in ClassMap, None for the image itself."""

    key: str
    image: bytes | Path
    mask: bytes | Path
    classes: Mapping[int, int]
    unit: str | None = None


@dataclass
class _Facts:
    """What is known of rows once their masks have been read: (height, width) and digest of each."""

    sizes: list[tuple[int, int]]
    digests: list[str]


def class_maps(rows: Sequence[Labelled], cache: Path | None) -> list[ClassMap]:
    """The rows' class maps, each read once to be checked; what is found of files is kept below cache unless it is None.

    Raises DataError for a mask that is missing, is no picture of numbers, or has another size than its image or a
    number that means no class.
    """
    maps = []
    for begin in range(0, len(rows), _ROWS):
        part = rows[begin : begin + _ROWS]
        identity = None if cache is None else _identity(part)
        read = partial(_read, part)
        facts = read() if cache is None or identity is None else memoised(cache / "class_maps", identity, _Facts, read)
        for row, size, digest in zip(part, facts.sizes, facts.digests, strict=True):
            pixels = partial(read_classes, row)
            picture: partial[Image.Image] = partial(decode, row.image, row.key)
            maps.append(ClassMap(row.key, size, digest, row.key if row.unit is None else row.unit, pixels, picture))
    return maps


def read_classes(row: Labelled) -> NDArray[np.int16]:
    """The classes (height, width) of a row; raises DataError."""
    numbers = _numbers(row)
    table = np.full(_LARGEST, _BEYOND, np.int16)
    table[list(row.classes)] = list(row.classes.values())
    classes = table[numbers]
    if (classes == _BEYOND).any():
        beyond = np.unique(numbers[classes == _BEYOND])
        raise DataError(f"{_mask_of(row)} has the number {beyond[0]}, which means no class: {_expected(row)}")
    return classes


def _read(rows: Sequence[Labelled]) -> _Facts:
    facts = _Facts([], [])
    for row in rows:
        classes = read_classes(row)
        height, width = size_of(row.image, row.key)
        if classes.shape != (height, width):
            raise DataError(
                f"{_mask_of(row)} has another size than its image: got {classes.shape[1]} x {classes.shape[0]} pixels, "
                f"expected {width} x {height}"
            )
        facts.sizes.append((height, width))
        facts.digests.append(hashlib.sha256(f"{classes.shape} ".encode() + classes.tobytes()).hexdigest())
    return facts


def _identity(rows: Sequence[Labelled]) -> str | None:
    """A text that changes when a file or the meaning of its numbers does; None where a row is not in a file."""
    facts = (((row.image, row.mask), [row.key, sorted(row.classes.items())]) for row in rows)
    return files_identity(f"{_VERSION} {UNLABELLED} {_BEYOND}", facts)


def _numbers(row: Labelled) -> NDArray[np.int64]:
    from PIL import Image

    if isinstance(row.mask, Path) and not row.mask.is_file():
        raise DataError(f"{_mask_of(row)} is missing: there is no such file")
    # not from the path: Pillow reserves what a damaged length says, of a file in memory only what is there
    contents = row.mask if isinstance(row.mask, bytes) else file_contents(row.mask, _mask_of(row))
    with reading(f"{_mask_of(row)} cannot be read"), Image.open(io.BytesIO(contents), formats=("PNG",)) as opened:
        if opened.mode not in _NUMBERS:
            raise DataError(
                f"{_mask_of(row)} has no number per pixel: got a picture of mode {opened.mode}, expected grey or a "
                f"palette"
            )
        return np.asarray(opened).astype(np.int64)


def _mask_of(row: Labelled) -> str:
    where = f" ({row.mask})" if isinstance(row.mask, Path) else ""
    return f"the mask of image {row.key!r}{where}"


def _expected(row: Labelled) -> str:
    classes = [number for number, label in row.classes.items() if label != UNLABELLED]
    ignored = [number for number, label in row.classes.items() if label == UNLABELLED]
    also = f", or {min(ignored)}{' and others' if ignored[1:] else ''} for none" if ignored else ""
    return f"expected the numbers of {len(classes)} classes, {min(classes)} to {max(classes)}{also}"
