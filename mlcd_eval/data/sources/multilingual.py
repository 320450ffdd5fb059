"""Images with captions in several languages: what the layouts of such data share."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.data.annotations import Captions
from mlcd_eval.data.base import Kind, Sample
from mlcd_eval.data.sources.listed import AnnotatedImages
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

LARGEST_TEXT = 1 << 28
"""Bytes of a text file, unpacked where it is packed. XM3600's captions, the largest in use, take 60 MB."""
_COCO_SPLIT = re.compile(r"COCO_((?:train|val|test)\d{4})_\d+\.jpg")
CODES = {"jp": "ja"}
"""A code that a data set's files use -> the language's own."""


@dataclass(frozen=True)
class Captioned:
    """An image. key: its name in the data; texts: language -> captions."""

    key: str
    path: Path
    texts: Mapping[str, tuple[str, ...]]


class CaptionsByLanguage(AnnotatedImages[Captions]):
    """A data set of images whose captions are annotations, so that images are encoded once for all languages.

    images: split -> its images.
    """

    kind: Kind = "retrieval"

    def __init__(self, name: str, images: Mapping[str, Sequence[Captioned]], cache: Path | None) -> None:
        samples = {split: [Sample(image.key, image.path) for image in part] for split, part in images.items()}
        captions = {split: [Captions(image.key, image.texts) for image in part] for split, part in images.items()}
        super().__init__(name, samples, captions, cache)


def image_path(folder: Path, name: str, where: object) -> Path:
    """The path of an image: below the folder, or where COCO has it, in train2014 or val2014 of the folder. Raises
    DataError for a name that leads out of it."""
    check_below(folder, name, where)
    of_coco = _COCO_SPLIT.fullmatch(name)
    if of_coco and not (folder / name).is_file() and (folder / of_coco[1]).is_dir():
        return folder / of_coco[1] / name
    return folder / name


def text_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, of which only line feeds are ends, without those at its end; unpacked where its name
    ends with .gz. Raises DataError for a file that is missing, damaged, too large or not UTF-8."""
    if not path.is_file():
        raise DataError(f"{path} is missing: expected a text file")
    with path.open("rb") as file, reading(f"{path} is damaged"):
        contents = (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(LARGEST_TEXT + 1)
    if len(contents) > LARGEST_TEXT:
        raise DataError(f"{path} is too large, expected at most {LARGEST_TEXT:,} bytes of text")
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")
