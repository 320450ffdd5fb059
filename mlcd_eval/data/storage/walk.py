"""The files below a folder, through linked folders too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlcd_eval.errors import DataError

_JPEG = (".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx")
_PNM = (".pbm", ".pgm", ".pnm", ".ppm")
IMAGE_SUFFIXES = frozenset((*_JPEG, *_PNM, ".apng", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"))
"""The suffixes that Pillow knows for images.FORMATS, except PFM, whose floats are not pixels of 0 to 255."""
NOTES = frozenset([".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".md", ".tsv", ".txt", ".xml", ".yaml", ".yml"])
"""Files that may lie beside the images without a warning."""


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder in torchvision's order, through linked folders too.

    Raises DataError for a linked folder that leads back to a folder above it.
    """
    walked = []
    for where, folders, files in os.walk(folder, followlinks=True):
        for name in folders:
            _check_link(folder, Path(where), name)
        walked.append((where, files))
    for where, files in sorted(walked):
        yield from (Path(where, file) for file in sorted(files))


def _check_link(top: Path, where: Path, name: str) -> None:
    if not (where / name).is_symlink():
        return
    target = os.path.realpath(where / name)
    above = [where, *where.parents][: len(where.parts) - len(top.parts) + 1]
    if target in map(os.path.realpath, above):
        raise DataError(f"{where / name} links to {target}, a folder above it: expected folders that come to an end")


def images_of(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Those files whose suffix is that of an image; warns of the others, but for notes and hidden files."""
    others = [path for path in files if path.suffix.lower() not in IMAGE_SUFFIXES | NOTES and path.name[0] != "."]
    if others:
        warnings.warn(
            f"{len(others)} files of {folder} are left out, first {others[0].relative_to(folder)}: got "
            f"{others[0].suffix or 'no suffix'}, expected one of {' '.join(sorted(IMAGE_SUFFIXES))}",
            stacklevel=3,
        )
    return [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
