"""NYU Depth v2's labelled images and their depth, read one by one from their MATLAB file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.storage.nyu_mat import NyuMat
from mlcd_eval.data.storage.pixel_values import PixelFacts, known_depth
from mlcd_eval.data.storage.rows import RowShard, ranges
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import memoised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_VERSION = 1  # of what is checked and hashed


class NyuImages:
    """The official splits, 795 images of train and 654 of test; an image's unit is its scene."""

    kind: Kind = "depth"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, name: str, mat: NyuMat, cache: Path | None) -> None:
        self.name, self._mat, self._cache = name, mat, cache
        self.splits: tuple[str, ...] = tuple(mat.splits)
        self._values: dict[str, list[PixelValues]] = {}

    def split(self, name: str) -> Split:
        """One shard is 1,024 images."""
        self._check(name)
        numbers, shards = self._mat.splits[name], []
        for rows in ranges(len(numbers)):
            part = numbers[rows.start : rows.stop]
            samples, identity = partial(self._samples, part), partial(self._identity, part)
            shards.append(RowShard(f"{name}/{rows.start}-{rows.stop - 1}", samples, self._cache, identity))
        return Split(self.name, name, shards)

    def annotations(self, split: str) -> Sequence[PixelValues]:
        """The depth of each image. Raises DataError for one that is negative, infinite, or nowhere known."""
        self._check(split)
        if split not in self._values:
            numbers = self._mat.splits[split]
            read = partial(self._read, numbers)
            identity = f"{_VERSION} {self._identity(numbers)}"
            facts = (
                read() if self._cache is None else memoised(self._cache / "pixel_values", identity, PixelFacts, read)
            )
            self._values[split] = [
                PixelValues(
                    _key(number),
                    size,
                    digest,
                    known,
                    self._mat.scenes[number],
                    partial(self._depth, number),
                    partial(self._picture, number),
                )
                for number, size, digest, known in zip(numbers, facts.sizes, facts.digests, facts.known, strict=True)
            ]
        return self._values[split]

    def _check(self, split: str) -> None:
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")

    def _identity(self, numbers: Sequence[int]) -> str:
        return f"{self._mat.identity} {numbers}"

    def _samples(self, numbers: Sequence[int]) -> Iterator[Sample]:
        return (Sample(_key(number), self._picture(number)) for number in numbers)

    def _picture(self, number: int) -> Image.Image:
        from PIL import Image

        return Image.fromarray(self._mat.image(number))

    def _depth(self, number: int) -> NDArray[np.float32]:
        return known_depth(
            self._mat.depth(number)[..., None], f"the depth of image {_key(number)!r} of {self._mat.path}"
        )

    def _read(self, numbers: Sequence[int]) -> PixelFacts:
        facts = PixelFacts([], [], [])
        for number in numbers:
            facts.add(self._depth(number), f"the depth of image {_key(number)!r} of {self._mat.path}")
        return facts


def _key(number: int) -> str:
    return f"{number:05}"
