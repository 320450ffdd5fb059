"""NYU Depth v2's labelled images in their own two MATLAB files (Silberman et al. 2012)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.storage.mat5 import number_arrays
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.disk_memo import file_identity
from mlcd_eval.support.foreign import reading

LABELLED, LISTS = "nyu_depth_v2_labeled.mat", "splits.mat"
SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
LARGEST_CHUNK = 1 << 28
"""Numbers that the file may compress together: HDF5 reserves as many before it reads one."""
LONGEST_NAME = 1_000
_IMAGES, _DEPTHS, _SCENES = "images", "rawDepths", "scenes"


class NyuMat:
    """The two files in a folder. HDF5 gives arrays of MATLAB with their axes reversed.

    Raises ConfigError without h5py, and DataError for files that are missing, damaged, or hold other arrays.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.lists = folder / LABELLED, folder / LISTS
        if importlib.util.find_spec("h5py") is None:
            raise ConfigError(f"{self.path} is an HDF5 file, which needs h5py: pip install 'mlcd-eval[hdf5]'")
        if not self.lists.is_file():
            raise DataError(f"{self.lists} is missing, expected the numbers of train and test images")
        with self._open() as file:
            images, depths = file(_IMAGES), file(_DEPTHS)
            fits = images.ndim == 4 and images.shape[1] == 3 and images.dtype == np.uint8
            if not fits or depths.shape != (len(images), *images.shape[2:]) or depths.dtype.kind != "f":
                raise DataError(
                    f"{self.path} has {_IMAGES} of {images.shape} {images.dtype} and {_DEPTHS} of {depths.shape} "
                    f"{depths.dtype}, expected (N, 3, width, height) uint8 and (N, width, height) float"
                )
            self.splits = {split: self._numbers(split, len(images)) for split in SPLITS}

    @property
    def identity(self) -> str:
        """A text that changes when one of the files does."""
        return f"{file_identity(self.path)} {file_identity(self.lists)}"

    @cached_property
    def scenes(self) -> list[str]:
        """The scene of each image, such as kitchen_0004."""
        with self._open() as file, reading(f"{self.path} cannot be read"):
            references = np.asarray(file(_SCENES)).ravel()
            return [self._text(file, reference) for reference in references]

    def image(self, number: int) -> NDArray[np.uint8]:
        """The picture (height, width, 3) of an image, counted from 0."""
        pixels: NDArray[np.uint8] = self._row(_IMAGES, number)
        return pixels

    def depth(self, number: int) -> NDArray[np.float64]:
        """Its depth (height, width) in metres as it was measured, not filled in, 0 where it is not known."""
        return self._row(_DEPTHS, number).astype(np.float64)

    def _row(self, name: str, number: int) -> NDArray[Any]:
        with self._open() as file, reading(f"{self.path} cannot be read"):
            return np.ascontiguousarray(np.asarray(file(name)[number]).T)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """A function that returns the arrays of the file by name, without reading them."""
        import h5py

        with reading(f"{self.path} is no HDF5 file"):
            file = h5py.File(self.path, "r")
        with file:
            yield lambda name: self._array(file, name)

    def _array(self, file: Any, name: Any) -> Any:
        """An array that is in the file itself, by its name or a reference."""
        import h5py

        with reading(f"{self.path} cannot be read"):
            if isinstance(name, str) and (
                name not in file or not isinstance(file.get(name, getlink=True), h5py.HardLink)
            ):
                raise DataError(f"{self.path} has no array {name!r}, expected one: it is no {LABELLED}")
            array = file[name]
            if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
                raise DataError(f"{self.path} does not hold {name!r} itself, expected an array in the file")
            if array.chunks is not None and np.prod(array.chunks, dtype=float) > LARGEST_CHUNK:
                raise DataError(
                    f"{self.path} has {name!r} in chunks of {array.chunks}, expected at most {LARGEST_CHUNK:,} numbers"
                )
            return array

    def _text(self, file: Any, reference: Any) -> str:
        characters = file(reference)
        if characters.dtype.kind != "u" or characters.size > LONGEST_NAME:
            raise DataError(
                f"{self.path} has the name of a scene of {characters.size} {characters.dtype}, expected at most "
                f"{LONGEST_NAME} characters"
            )
        return "".join(map(chr, np.asarray(characters).ravel().tolist()))

    def _numbers(self, split: str, count: int) -> list[int]:
        """The images of a split, counted from 0."""
        name = SPLITS[split]
        found = number_arrays(self.lists).get(name)
        if found is None or not found.size:
            raise DataError(f"{self.lists} has no numbers {name}, expected those of the {split} images")
        numbers = found.astype(np.float64).ravel()
        if not ((numbers >= 1) & (numbers <= count)).all() or len(np.unique(numbers)) < len(numbers):
            raise DataError(f"{self.lists} has wrong {name}: expected each image once, by numbers from 1 to {count}")
        return [int(number) - 1 for number in numbers]
