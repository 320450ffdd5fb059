"""Images in one folder per class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.scheme import Options, Source
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError, nearest

_JPEG = (".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx")
_PNM = (".pbm", ".pgm", ".pnm", ".ppm")
SUFFIXES = frozenset((*_JPEG, *_PNM, ".apng", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"))
"""The suffixes that Pillow knows for images.FORMATS, except PFM, whose floats are not pixels of 0 to 255."""
NOTES = frozenset([".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".md", ".tsv", ".txt", ".xml", ".yaml", ".yml"])
"""Files that may lie beside the images without a warning."""
SPLITS = ("train", "val", "test")


class ImageFolders(Source):
    """The scheme `imagefolder`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> ImageFolder:
        """The data set in a folder."""
        return ImageFolder(Path(address).expanduser(), name, cache)


class ImageFolder:
    """root/{train,val,test}/CLASS/**/IMAGE, or root/CLASS/**/IMAGE, which is then the split `test`. Without test, val
    is the split `test`, as ImageNet is scored.

    Labels number the sorted class folders of train, or without train of the first split. Class names are the lines of
    root/classnames.txt in that order, else the folders' names with spaces for underscores; templates for zero-shot
    are the lines of root/zeroshot_classification_templates.txt. A sample's key is the path from the split's folder.
    """

    kind: Kind = "classification"

    def __init__(self, root: Path, name: str, cache: Path | None) -> None:
        folder = LocalFolder(root)  # raises DataError for a missing one
        self.name = name
        self._cache = cache
        self._folders = {split: root / split for split in SPLITS if split in folder.folders()} or {"test": root}
        if "test" not in self._folders and "val" in self._folders:
            self._folders["test"] = self._folders.pop("val")
        self.splits = tuple(self._folders)
        first = self._folders[self.splits[0]]
        self._classes = _class_folders(first)
        if not self._classes:
            raise DataError(f"{first} has no class folders: expected one folder of images per class")
        names = read_class_names(folder) or tuple(name.replace("_", " ") for name in self._classes)
        if len(names) != len(self._classes):
            raise DataError(
                f"{root}/classnames.txt has {len(names)} names: expected {len(self._classes)}, one for each "
                f"class folder of {first}, sorted"
            )
        self.class_names: tuple[str, ...] | None = names
        self.templates = read_templates(folder)
        self._opened: dict[str, Split] = {}
        for split in self.splits[1:]:
            for unknown in sorted(set(_class_folders(self._folders[split])) - set(self._classes)):
                raise DataError(
                    f"{self._folders[split] / unknown} is a class that {self.splits[0]} does not have: "
                    f"expected one of the {len(self._classes)} folders of {first}{nearest(unknown, self._classes)}"
                )

    def split(self, name: str) -> Split:
        """The split, whose files are listed once; one shard is 1,024 of them."""
        if name not in self._folders:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        if name not in self._opened:
            root = self._folders[name]
            files = [(label, path) for label, folder in enumerate(self._classes) for path in _files(root / folder)]
            _warn_of_left_out(root, [path for _, path in files if path.suffix.lower() not in SUFFIXES | NOTES])
            samples = [
                Sample(path.relative_to(root).as_posix(), path, label=label)
                for label, path in files
                if path.suffix.lower() in SUFFIXES
            ]
            self._opened[name] = file_split(self.name, name, samples, self._cache, dangling=True)
        return self._opened[name]


def _class_folders(folder: Path) -> list[str]:
    return [name for name in LocalFolder(folder).folders() if not name.startswith(".")]


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in torchvision's order; linked folders are followed."""
    for where, _, files in sorted(os.walk(folder, followlinks=True)):
        yield from (Path(where, file) for file in sorted(files))


def _warn_of_left_out(root: Path, files: Sequence[Path]) -> None:
    visible = [path for path in files if not path.name.startswith(".")]
    if visible:
        warnings.warn(
            f"{len(visible)} files of {root} are left out, first {visible[0].relative_to(root)}: got "
            f"{visible[0].suffix or 'no suffix'}, expected one of {' '.join(sorted(SUFFIXES))}",
            stacklevel=3,
        )
