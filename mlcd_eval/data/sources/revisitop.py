"""Revisited Oxford and Paris: gnd_NAME.pkl, or the same as JSON, beside the folder jpg (Radenovic et al. 2018)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat

from mlcd_eval.data.annotations import Search
from mlcd_eval.data.base import Dataset, Sample, Split
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.listed import SearchedImages
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.images import decode
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.rows import RowShard, files_identity
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.data.storage.walk import files_below, images_of
from mlcd_eval.errors import DataError

SUFFIXES = (".pkl", ".json")
_JPG = ".jpg"  # which the names of the lists lack


class RevisitedLandmarks(Source):
    """The scheme `revisitop`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The queries and the gallery of a file of ground truth; with distractors the gallery has these too."""
        path = existing_file(address)
        values = read_json(path) if path.suffix == ".json" else read_pickle(path)
        truth = validated_json(_Truth, values, path)
        folder = Path(options["images"]).expanduser() if "images" in options else path.parent / "jpg"
        if len(truth.gnd) != len(truth.qimlist):
            raise DataError(f"{path} has {len(truth.gnd)} lists for {len(truth.qimlist)} queries: expected one each")
        for image in (*truth.imlist, *truth.qimlist):
            check_below(folder, image + _JPG, path)
        gallery = [Sample(image, folder / (image + _JPG)) for image in truth.imlist]
        if "distractors" in options:
            more = Path(options["distractors"]).expanduser()
            files = images_of(more, list(files_below(more)))
            gallery += [Sample(f"distractors/{file.relative_to(more).as_posix()}", file) for file in files]
        return RevisitedSet(name, path, truth, _searches(truth, path), folder, gallery, cache)

    def default_name(self, address: str) -> str:
        """The file's name without gnd_ and suffix."""
        return Path(address.partition("?")[0]).stem.removeprefix("gnd_")

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME/gnd_NAME.pkl or .json."""
        files = (root / name / f"gnd_{name}{suffix}" for name in names_of(facts) for suffix in SUFFIXES)
        return next((str(file) for file in files if file.is_file()), None)

    def discover(self, root: Path) -> list[str]:
        """The files gnd_NAME in the folders directly below the root."""
        return [str(file) for suffix in SUFFIXES for file in root.glob(f"*/gnd_*{suffix}")]


class _Lists(BaseModel):
    """Rows of imlist; bbx: left, top, right and bottom in pixels of what is to be found in the query's image."""

    easy: list[int]
    hard: list[int]
    junk: list[int]
    bbx: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Truth(BaseModel):
    imlist: list[str] = Field(min_length=1)
    qimlist: list[str] = Field(min_length=1)
    gnd: list[_Lists]


def _searches(truth: _Truth, path: Path) -> list[Search]:
    searches = []
    for query, lists in zip(truth.qimlist, truth.gnd, strict=True):
        for row in (*lists.easy, *lists.hard, *lists.junk):
            if not 0 <= row < len(truth.imlist):
                raise DataError(
                    f"{path} lists the image {row} for the query {query!r}: expected 0 to {len(truth.imlist) - 1}"
                )
        keys = (tuple(truth.imlist[row] for row in rows) for rows in (lists.easy, lists.hard, lists.junk))
        searches.append(Search(query, *keys))
    return searches


class RevisitedSet(SearchedImages):
    """Keys are the names in the lists. A query is its image cut to the box."""

    def __init__(
        self,
        name: str,
        path: Path,
        truth: _Truth,
        searches: Sequence[Search],
        folder: Path,
        gallery: Sequence[Sample],
        cache: Path | None,
    ) -> None:
        queries = [Sample(image, folder / (image + _JPG)) for image in truth.qimlist]
        super().__init__(name, {"test": queries, "gallery": gallery}, searches, cache)
        self._path, self._boxes = path, [lists.bbx for lists in truth.gnd]

    def split(self, name: str) -> Split:
        """The queries are one shard."""
        if name != "test":
            return super().split(name)
        queries = self._listed["test"]
        rows = partial(_cut, self._path, queries, self._boxes)
        identity = partial(_identity, queries, self._boxes)
        return Split(self.name, name, [RowShard("test", rows, self._cache, identity)])


def _identity(queries: Sequence[Sample], boxes: Sequence[tuple[float, ...]]) -> str:
    return f"{files_identity(queries)} {json.dumps(boxes)}"


def _cut(path: Path, queries: Sequence[Sample], boxes: Sequence[tuple[float, ...]]) -> Iterator[Sample]:
    for query, box in zip(queries, boxes, strict=True):
        left, top, right, bottom = map(round, box)
        image = decode(query.image, query.key)
        if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
            raise DataError(
                f"{path}: the box of the query {query.key!r} is not in its image: got {box}, expected a part of "
                f"{image.width} x {image.height} pixels"
            )
        yield Sample(query.key, image.crop((left, top, right, bottom)))
