"""Images in one folder a class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.location import LocalFolder
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.rows import file_split
from mlcd_eval.errors import DataError, nearest

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
SPLITS = ("train", "val", "test")


class ImageFolder:
    """root/{train,val,test}/CLASS/**/IMAGE, or root/CLASS/**/IMAGE, which is then the split `test`.

    Labels number the sorted class folders of train (or of the first split there is). Class names are the lines of
    root/classnames.txt in that order, else the folders' names with spaces for underscores; templates for zero-shot
    stand in root/zeroshot_classification_templates.txt. A sample's key is the path from the split's folder.
    """

    kind: Kind = "classification"

    def __init__(self, root: Path, name: str, cache: Path | None) -> None:
        folder = LocalFolder(root)  # complains where there is none
        self.name = name
        self._cache = cache
        self._folders = {split: root / split for split in SPLITS if split in folder.folders()} or {"test": root}
        self.splits = tuple(self._folders)
        first = self._folders[self.splits[0]]
        self._classes = _class_folders(first)
        if not self._classes:
            raise DataError(f"{first} has no class folders: expected one folder of images a class")
        names = read_class_names(folder) or tuple(name.replace("_", " ") for name in self._classes)
        if len(names) != len(self._classes):
            raise DataError(
                f"{root}/classnames.txt has {len(names)} names: expected {len(self._classes)}, one for each "
                f"class folder of {first}, sorted"
            )
        self.class_names: tuple[str, ...] | None = names
        self.templates = read_templates(folder)
        for split in self.splits[1:]:
            for unknown in sorted(set(_class_folders(self._folders[split])) - set(self._classes)):
                raise DataError(
                    f"{self._folders[split] / unknown} is a class that {self.splits[0]} does not have: "
                    f"expected one of the {len(self._classes)} folders of {first}{nearest(unknown, self._classes)}"
                )

    def split(self, name: str) -> Split:
        """Lists the split's files; one shard is 1,024 of them."""
        if name not in self._folders:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        root = self._folders[name]
        samples = [
            Sample(path.relative_to(root).as_posix(), path, label=label)
            for label, folder in enumerate(self._classes)
            for path in _images(root / folder)
        ]
        return file_split(self.name, name, samples, self._cache)


def _class_folders(folder: Path) -> list[str]:
    return [name for name in LocalFolder(folder).folders() if not name.startswith(".")]


def _images(folder: Path) -> Iterator[Path]:
    """Image files below a folder, in torchvision's order; linked folders are followed."""
    for where, _, files in sorted(os.walk(folder, followlinks=True)):
        yield from (Path(where, file) for file in sorted(files) if Path(file).suffix.lower() in SUFFIXES)
