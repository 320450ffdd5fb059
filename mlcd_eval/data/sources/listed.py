"""Splits that are lists of image files, and lists of what each image is to find: what readers of such layouts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mlcd_eval.data.annotations import Annotation, Search
from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError

Of = TypeVar("Of", bound=Annotation)


class ListedImages:
    """Image files by split. Raises DataError for a split that has a key twice, and for one that there is not.

    choose: how a message says that another split is chosen."""

    kind: Kind = "classification"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    choose = ""

    def __init__(self, name: str, splits: Mapping[str, Sequence[Sample]], cache: Path | None) -> None:
        self.name, self._listed, self._cache = name, splits, cache
        self.splits: tuple[str, ...] = tuple(splits)
        self._opened: dict[str, Split] = {}
        for split, samples in splits.items():
            if repeated := [key for key, count in Counter(sample.key for sample in samples).items() if count > 1]:
                raise DataError(f"the split {split!r} of {name} lists {repeated[0]!r} again, expected each image once")

    def split(self, name: str) -> Split:
        """The split; one shard is 1,024 of its files."""
        self.check(name)
        if name not in self._opened:
            self._opened[name] = file_split(self.name, name, self._listed[name], self._cache)
        return self._opened[name]

    def check(self, split: str) -> None:
        """Raise DataError for a split that there is not."""
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}{self.choose}")


class AnnotatedImages(ListedImages, Generic[Of]):
    """Image files by split, and what is said of them: split -> annotations, none of a split that is not there."""

    def __init__(
        self,
        name: str,
        splits: Mapping[str, Sequence[Sample]],
        annotations: Mapping[str, Sequence[Of]],
        cache: Path | None,
    ) -> None:
        super().__init__(name, splits, cache)
        self._annotations = annotations

    def annotations(self, split: str) -> Sequence[Of]:
        """What is said of a split."""
        self.check(split)
        return self._annotations.get(split, ())


class WithPixels(Protocol):
    """A row of a layout: an image, and a file of what its pixels are."""

    @property
    def key(self) -> str:
        """Of its sample."""

    @property
    def image(self) -> Path | bytes:
        """The encoded image, or its file."""


Row = TypeVar("Row", bound=WithPixels)


class PixelImages(ListedImages, Generic[Row, Of]):
    """Images by split, and what is said of their pixels, which `read` reads of a split's rows when it is asked for."""

    def __init__(
        self,
        name: str,
        rows: Mapping[str, Sequence[Row]],
        read: Callable[[Sequence[Row], Path | None], list[Of]],
        cache: Path | None,
    ) -> None:
        self._rows, self._reader, self._of_cache = rows, read, cache
        images = {split: [Sample(row.key, row.image) for row in of_split] for split, of_split in rows.items()}
        is_on_disk = all(isinstance(row.image, Path) for of_split in rows.values() for row in of_split)
        super().__init__(name, images, cache if is_on_disk else None)
        self._read: dict[str, list[Of]] = {}

    def annotations(self, split: str) -> Sequence[Of]:
        """What is said of each image's pixels; raises DataError for files that do not fit their images."""
        self.check(split)
        if split not in self._read:
            self._read[split] = self._reader(self._rows[split], self._of_cache)
        return self._read[split]


class SearchedImages(AnnotatedImages[Search]):
    """The splits test, of queries, and gallery. searches: what each query is to find."""

    kind: Kind = "instances"

    def __init__(
        self, name: str, splits: Mapping[str, Sequence[Sample]], searches: Sequence[Search], cache: Path | None
    ) -> None:
        super().__init__(name, splits, {"test": searches}, cache)


def file_in(folder: Path, *places: str) -> Path:
    """The first of the places that is a file; raises DataError where none is."""
    for place in places:
        if (folder / place).is_file():
            return folder / place
    raise DataError(
        f"{folder} has no file {places[0]}: expected it there{' or in ' if places[1:] else ''}"
        f"{' or '.join(str(Path(place).parent) for place in places[1:])}"
    )


def words_of(path: Path, count: int, begin: int = 0) -> list[list[str]]:
    """The words of each line from a line on, blank lines left out; raises DataError for another number of words."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    rows = []
    for number, line in enumerate(lines[begin:], begin + 1):
        words = line.split()
        if words and len(words) != count:
            raise DataError(f"line {number} of {path} has {len(words)} words: got {line[:80]!r}, expected {count}")
        rows += [words] if words else []
    if not rows:
        raise DataError(f"{path} names no images: expected lines of {count} words")
    return rows
