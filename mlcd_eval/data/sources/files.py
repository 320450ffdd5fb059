"""Images in a folder, flat or nested, without labels: for galleries, clustering and training."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.walk import IMAGE_SUFFIXES, files_below, images_of
from mlcd_eval.errors import DataError


class ImageFiles(FolderSource):
    """The scheme `files`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The images of a folder."""
        return ImageFileSet(Path(address).expanduser(), name, cache, options.get("split", "test"))

    def has_layout(self, folder: Path) -> bool:
        """Whether it has images in it."""
        return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.glob("*.*"))


class ImageFileSet:
    """root/**/IMAGE, sorted by path, as one split. A sample's key is the path from the root.

    Raises DataError for a folder that is missing or has no images.
    """

    kind: Kind = "images"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, root: Path, name: str, cache: Path | None, split: str) -> None:
        LocalFolder(root)  # raises DataError for a missing one
        self._root, self.name, self._cache = root, name, cache
        self.splits: tuple[str, ...] = (split,)
        self._opened: Split | None = None

    def split(self, name: str) -> Split:
        """The split, whose files are listed once; one shard is 1,024 of them."""
        if name not in self.splits:
            raise DataError(
                f"{self.name} has no split {name!r}: its images are the split {self.splits[0]!r}, see ?split="
            )
        if self._opened is None:
            images = images_of(self._root, list(files_below(self._root)))
            if not images:
                raise DataError(
                    f"{self._root} has no images: expected files ending in {' '.join(sorted(IMAGE_SUFFIXES))}"
                )
            samples = [Sample(path.relative_to(self._root).as_posix(), path) for path in images]
            self._opened = file_split(self.name, name, samples, self._cache, dangling=True)
        return self._opened
