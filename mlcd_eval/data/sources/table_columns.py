"""Which columns of a table hold images, labels, captions and splits, and what its cells mean."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mlcd_eval.data.base import EncodedImage, Kind
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.storage.location import is_web_address
from mlcd_eval.errors import ConfigError, DataError, nearest

NAMES = {
    "image": ("image", "path", "filepath", "file_path", "image_path", "image_name", "filename", "file_name", "file"),
    "label": ("label", "labels", "class", "class_name", "cls", "category", "target"),
    "caption": ("caption", "captions", "title", "text", "texts", "sentence", "sentences", "comment"),
    "split": ("split",),
    "group": ("group",),
}
"""What a column is usually called, in small letters."""
SPLITS = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "test": "test",
    "query": "test",
    "gallery": "gallery",
}
"""A cell of the column of splits -> our name of the split."""

LONGEST_NAME = 255
"""Bytes of a file's name, on Linux' file systems."""
_INTEGER = re.compile(r"-?\d{1,18}")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """The columns that are read. target: of labels or captions. split: None where the table is one split, `test`.
    group: of labelled images, None without one."""

    image: str
    target: str
    kind: Kind
    split: str | None
    group: str | None = None

    @property
    def used(self) -> list[str]:
        """Those that are read."""
        return [self.image, self.target, *filter(None, (self.split, self.group))]


def choose_columns(ref: str, columns: Sequence[str], options: Options) -> Columns:
    """Columns by what they are called, or as the options say.

    Raises ConfigError for a column that the table lacks, and where several or none may be meant.
    """
    chosen = {role: named_column(ref, role, columns, options) for role in NAMES}
    if "label" in options and "caption" in options:
        raise ConfigError(f"{ref} is given both label and caption: expected one of them")
    for role, other in (("label", "caption"), ("caption", "label")):
        if role in options:
            chosen[other] = None
    image, label, caption = chosen["image"], chosen["label"], chosen["caption"]
    if label and caption:
        raise ConfigError(
            f"{ref} has labels ({label}) and captions ({caption}): choose by ?label={label} or ?caption={caption}"
        )
    target = label or caption
    for column, what, option in (
        (image, "the image", "?image=COLUMN"),
        (target, "the label or caption", "?label=COLUMN or ?caption=COLUMN"),
    ):
        if column is None:
            got = f"the columns {', '.join(columns)}"
            raise ConfigError(f"{ref} has no column for {what}: got {got}; choose one by {option}")
    assert image is not None and target is not None
    group = chosen["group"] if label else None
    return Columns(image, target, "classification" if label else "retrieval", chosen["split"], group)


def named_column(ref: str, role: str, columns: Sequence[str], options: Options) -> str | None:
    """The column of a role, by the options or by what it is called; None where none is.

    Raises ConfigError for a column that the table lacks, and where several may be meant.
    """
    if role in options:
        if options[role] not in columns:
            raise ConfigError(
                f"{ref} has no column {options[role]!r} for {role}: got the columns {', '.join(columns)}"
                f"{nearest(options[role], columns)}"
            )
        return options[role]
    named = [column for column in columns if column.lower() in NAMES[role]]
    if len(named) > 1:
        raise ConfigError(f"{ref} has several columns for {role}: got {', '.join(named)}; choose by ?{role}=COLUMN")
    return named[0] if named else None


def has_columns(columns: Sequence[str]) -> bool:
    """Whether a table can be read without options."""
    try:
        choose_columns("", columns, {})
    except ConfigError:
        return False
    return True


class Where(NamedTuple):
    """A row, for messages. number: from 0."""

    number: int
    path: Path

    def __str__(self) -> str:
        return f"row {self.number + 1} of {self.path}"


def check_below(folder: Path, text: str, where: object) -> None:
    """Raise DataError if a path as it is written leads out of the folder, whose links are not followed, or has a name
    that no file system takes."""
    names = text.encode("utf-8", "surrogatepass").split(b"/") if len(text) > LONGEST_NAME // 4 else ()
    if any(len(name) > LONGEST_NAME for name in names):
        raise DataError(f"{where} has the name {text[:40]!r}..., expected names of at most {LONGEST_NAME} bytes")
    if text.startswith("/") or ".." in text:
        top = os.path.normpath(folder.absolute())
        if not Path(os.path.normpath(Path(top, text))).is_relative_to(top):
            raise DataError(
                f"{where} has the image {text!r}, which is outside {folder}: expected a path below it "
                f"(?images=DIR names another folder for data that has this option)"
            )


def place_of(name: str, places: Sequence[Path], where: object) -> Path | None:
    """The first of the folders that has a file of a name; raises DataError as `check_below`."""
    check_below(places[0], name, where)
    return next((place for place in places if (place / name).is_file()), None)


@dataclass(frozen=True)
class Cells:
    """The meaning of a table's cells. folder: that of the images. Every method raises DataError, naming `where`."""

    columns: Columns
    folder: Path

    def split(self, row: Row, where: Where) -> str:
        """The split of a row."""
        if self.columns.split is None:
            return "test"
        name = str(row[self.columns.split]).strip().lower()
        if name not in SPLITS:
            expected = f"{', '.join(SPLITS)}{nearest(name, SPLITS)}"
            raise DataError(f"{where} is of the split {name!r}: expected one of {expected}")
        return SPLITS[name]

    def key(self, row: Row, where: Where) -> str:
        """The path as it is written, which is below the folder; the row's number where the image itself is there."""
        image = row[self.columns.image]
        if _contents(image) is not None:
            return str(where.number)
        path = image.get("path") if isinstance(image, Mapping) else image
        text = path.strip() if isinstance(path, str) else ""
        if not text:
            raise DataError(f"{where} has no image: got {path!r} in column {self.columns.image!r}, expected a path")
        if is_web_address(text):
            raise DataError(f"{where} has the web address {text!r}: expected a file (download it, as by img2dataset)")
        check_below(self.folder, text, where)
        return text

    def image(self, row: Row, key: str) -> EncodedImage:
        """The image's contents, or its path."""
        contents = _contents(row[self.columns.image])
        return self.folder / key if contents is None else contents

    def check_file(self, row: Row, key: str, where: Where) -> None:
        """Raise where the image's file is missing, with the folder beside that has one of this name."""
        image = self.image(row, key)
        if not isinstance(image, Path):
            return
        with contextlib.suppress(OSError, ValueError):  # what else is wrong with the file is said when it is read
            try:
                image.lstat()
            except FileNotFoundError:
                there = min((str(beside) for beside in self.folder.iterdir() if (beside / key).is_file()), default=None)
                raise DataError(
                    f"{where} has the image {key!r}, which is missing: there is no file {image.absolute()} "
                    f"(?images={there or 'DIR'} names {'that' if there else 'the'} folder)"
                ) from None

    def label(self, row: Row, where: Where) -> int | str:
        """A class index, or a class in words."""
        value = row[self.columns.target]
        if isinstance(value, str) and value.strip():
            text = value.strip()
            return int(text) if _INTEGER.fullmatch(text) else text
        if isinstance(value, int):
            return int(value)
        expected = "a class index or a word"
        raise DataError(f"{where} has no label: got {value!r} in column {self.columns.target!r}, expected {expected}")

    def group(self, row: Row, where: Where) -> str:
        """The group of a row."""
        assert self.columns.group is not None, "the table has groups"
        value = row[self.columns.group]
        if value is None or not str(value).strip():
            raise DataError(f"{where} has no group: got {value!r} in column {self.columns.group!r}, expected a name")
        return str(value).strip()

    def captions(self, row: Row, where: Where) -> list[str]:
        """The texts of a row that are not blank."""
        value = row[self.columns.target]
        texts = [value] if isinstance(value, str) or value is None else value
        if not isinstance(texts, list) or not all(text is None or isinstance(text, str) for text in texts):
            raise DataError(f"{where} has no caption: got {value!r} in column {self.columns.target!r}, expected text")
        return [text.strip() for text in texts if text and text.strip()]


def _contents(image: Any) -> bytes | None:
    """The bytes of an image that is in the table, plain or as `datasets` writes it, {bytes, path}; None for a path."""
    if isinstance(image, str):
        return None
    if isinstance(image, Mapping):
        image = image.get("bytes")
    return image if isinstance(image, bytes) else None
