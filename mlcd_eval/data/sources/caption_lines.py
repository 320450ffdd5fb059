"""A line for each image in a file per language: XTD (Aggarwal and Kale 2020) and Multi30k (Elliott et al. 2016).

A file of image names says which line is of which image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.multilingual import CODES, Captioned, CaptionsByLanguage, image_path, text_lines
from mlcd_eval.errors import DataError


class _CaptionLines(FolderSource):
    """index, captions: names of the file of image names and of those of captions, in which {split} is the option of
    that name and {language} a code; folders: where below the address they may be."""

    index: str
    captions: str
    folders: Sequence[str]
    split = ""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The split test. Raises DataError for files that are missing, or whose numbers of lines differ."""
        folder, split = Path(address).expanduser(), options.get("split", self.split)
        index = self._index(folder, split)
        if index is None:
            raise DataError(
                f"{folder} has no {self.index.format(split=split)}, in itself or in {', '.join(self.folders)}: "
                "expected the data set's own folder"
            )
        images = Path(options["images"]).expanduser() if "images" in options else folder / "images"
        names = [line.strip() for line in text_lines(index)]
        captions = {code: _lines(file, index, len(names)) for code, file in self._captions(folder, split).items()}
        if not captions:
            expected = self.captions.format(split=split, language="LANGUAGE")
            raise DataError(f"{folder} has captions in no language: expected files such as {expected}")
        items = [
            Captioned(name, image_path(images, name, index), {code: (texts[row],) for code, texts in captions.items()})
            for row, name in enumerate(names)
        ]
        return CaptionsByLanguage(name, {"test": items}, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the list of images of the usual split."""
        return self._index(folder, self.split) is not None

    def _index(self, folder: Path, split: str) -> Path | None:
        files = (place / self.index.format(split=split) for place in self._places(folder))
        return next((file for file in files if file.is_file()), None)

    def _places(self, folder: Path) -> list[Path]:
        return [folder, *(folder / name for name in self.folders)]

    def _captions(self, folder: Path, split: str) -> dict[str, Path]:
        """Language -> its file. Raises DataError where a language has two."""
        before, after = (re.escape(part) for part in self.captions.format(split=split, language="\0").split("\0"))
        pattern, found = re.compile(f"{before}([a-z]{{2,3}}){after}(?:\\.gz)?"), dict[str, Path]()
        for place in self._places(folder):
            for file in sorted(place.iterdir()) if place.is_dir() else ():
                if (match := pattern.fullmatch(file.name)) and match[1] != "txt":  # the file of image names
                    code = CODES.get(match[1], match[1])
                    if code in found:
                        raise DataError(f"{found[code]} and {file} are both captions in {code!r}: expected one file")
                    found[code] = file
        return dict(sorted(found.items()))


class XTD(_CaptionLines):
    """The scheme `xtd`."""

    index, captions, folders = "test_image_names.txt", "test_1kcaptions_{language}.txt", ("XTD10", "MIC", "STAIR")


class Multi30k(_CaptionLines):
    """The scheme `multi30k`: its task 1, one caption per image."""

    index, captions, folders = "{split}.txt", "{split}.{language}", ("raw", "image_splits")
    split = "test_2016_flickr"


def _lines(path: Path, index: Path, expected: int) -> list[str]:
    lines = text_lines(path)
    if len(lines) != expected:
        raise DataError(
            f"{path} has {len(lines):,} lines: expected {expected:,}, one for each image that {index} names"
        )
    return lines
