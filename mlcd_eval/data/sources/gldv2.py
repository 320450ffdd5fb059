"""Google Landmarks v2, retrieval: retrieval_solution_v2.1.csv (id, images, Usage) and the list of the index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mlcd_eval.data.annotations import Search
from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.scheme import DataFacts, Options, Source, folder_of
from mlcd_eval.data.sources.csv_files import CsvTable
from mlcd_eval.data.sources.listed import SearchedImages, file_in
from mlcd_eval.data.storage.table_index import Row
from mlcd_eval.errors import DataError

_TRUTH = "retrieval_solution_v2.1.csv"
_INDEX = ("index_image_to_landmark.csv", "index.csv")
_NAME = re.compile(r"[0-9a-f]{3,32}")


class Landmarks(Source):
    """The scheme `gldv2`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The folders index and test, whose images lie in folders by the first three letters of their names."""
        folder = Path(address).expanduser()
        truth, usage = file_in(folder, _TRUTH, f"metadata/{_TRUTH}"), options.get("usage", "Private")
        index = file_in(folder, *_INDEX, *(f"metadata/{file}" for file in _INDEX))
        gallery = [Sample(image, _path(folder / "index", image, index)) for image in _column(index)]
        known = {sample.key for sample in gallery}
        searches, queries = [], []
        for row in _rows(truth, ("id", "images", "Usage")):
            if row["Usage"] != usage:
                continue
            query, positives = row["id"], tuple(row["images"].split())
            if unknown := [image for image in positives if image not in known]:
                raise DataError(f"{truth} lists {unknown[0]!r} for the query {query!r}: expected an image of {index}")
            queries.append(Sample(query, _path(folder / "test", query, truth)))
            searches.append(Search(query, positives))
        if not searches:
            raise DataError(f"{truth} has no query of Usage {usage}: expected some, see ?usage=")
        return SearchedImages(name, {"test": queries, "gallery": gallery}, searches, cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, if it has the solution."""
        return folder_of(root, facts, _has_layout)

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have the solution."""
        return [str(folder) for folder in root.glob("*") if _has_layout(folder)]


def _has_layout(folder: Path) -> bool:
    return any((folder / place).is_file() for place in (_TRUTH, f"metadata/{_TRUTH}"))


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
