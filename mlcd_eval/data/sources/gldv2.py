"""Google Landmarks v2. Retrieval: retrieval_solution_v2.1.csv (id, images, Usage) and the list of the index.
Recognition: recognition_solution_v2.1.csv (id, landmarks, Usage), and the images of train with their landmarks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mlcd_eval.data.annotations import Search
from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.scheme import DataFacts, FolderSource, Options
from mlcd_eval.data.sources.csv_files import CsvTable
from mlcd_eval.data.sources.listed import SearchedImages, file_in
from mlcd_eval.data.storage.table_index import Row
from mlcd_eval.errors import DataError

_TRUTH, _NAMED = "retrieval_solution_v2.1.csv", "recognition_solution_v2.1.csv"
_TASK = "recognition"
_TRAIN = ("train_clean.csv", "train.csv")
_INDEX = ("index_image_to_landmark.csv", "index.csv")
_NAME = re.compile(r"[0-9a-f]{3,32}")

Positives = Callable[[Sequence[str], str], tuple[str, ...]]
"""A query's words and a sentence's beginning, for an error -> the images that it is to find."""


class Landmarks(FolderSource):
    """The scheme `gldv2`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The folders index (train for recognition) and test, whose images lie in folders by the first three letters of
        their names. A query of no landmark has no positive."""
        folder = Path(address).expanduser()
        is_recognition = options.get("task") == _TASK
        gallery, positives_of = (_recognition if is_recognition else _retrieval)(folder)
        truth, column = (_NAMED, "landmarks") if is_recognition else (_TRUTH, "images")
        path, usage = file_in(folder, truth, f"metadata/{truth}"), options.get("usage", "Private")
        searches, queries = [], []
        for row in _rows(path, ("id", column, "Usage")):
            if row["Usage"] == usage:
                positives = positives_of(row[column].split(), f"{path} lists {{!r}} for the query {row['id']!r}")
                queries.append(Sample(row["id"], _path(folder / "test", row["id"], path)))
                searches.append(Search(row["id"], positives))
        if not searches:
            raise DataError(f"{path} has no query of Usage {usage}: expected some, see ?usage=")
        return SearchedImages(name, {"test": queries, "gallery": gallery}, searches, cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, if it has the solution; of a name that says so, for recognition."""
        folder = super().find(root, facts, split)
        return f"{folder}?task={_TASK}" if folder and facts.name.endswith(_TASK) else folder

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the solution."""
        files = (_TRUTH, _NAMED)
        return any((folder / place).is_file() for file in files for place in (file, f"metadata/{file}"))


def _retrieval(folder: Path) -> tuple[list[Sample], Positives]:
    """The images of the index, and a query's own list of them."""
    index = file_in(folder, *_INDEX, *(f"metadata/{file}" for file in _INDEX))
    gallery = [Sample(image, _path(folder / "index", image, index)) for image in _column(index)]
    known = {sample.key for sample in gallery}

    def positives(images: Sequence[str], where: str) -> tuple[str, ...]:
        if unknown := [image for image in images if image not in known]:
            raise DataError(f"{where.format(unknown[0])}: expected an image of {index}")
        return tuple(images)

    return gallery, positives


def _recognition(folder: Path) -> tuple[list[Sample], Positives]:
    """The images of train, those of the clean part where its list is there, and all images of a query's landmarks."""
    train = file_in(folder, *_TRAIN, *(f"metadata/{file}" for file in _TRAIN))
    of_landmark: dict[str, list[str]] = {}
    is_clean = train.name == _TRAIN[0]
    for row in _rows(train, ("landmark_id", "images" if is_clean else "id")):
        of_landmark.setdefault(row["landmark_id"], []).extend(row["images"].split() if is_clean else [row["id"]])
    gallery = [
        Sample(image, _path(folder / "train", image, train)) for images in of_landmark.values() for image in images
    ]
    return gallery, lambda landmarks, _: tuple(image for each in landmarks for image in of_landmark.get(each, ()))


def _path(folder: Path, image: str, where: Path) -> Path:
    if not _NAME.fullmatch(image):
        raise DataError(f"{where} has the image {image[:80]!r}: expected hexadecimal digits")
    return folder.joinpath(*image[:3], f"{image}.jpg")


def _column(path: Path) -> Iterator[str]:
    yield from (row["id"] for row in _rows(path, ("id",)))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    table = CsvTable(path, ",", "utf-8-sig")
    table.require(columns)
    yield from table.read(list(columns))
