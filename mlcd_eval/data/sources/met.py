"""The Met data set: MET_database.json ([{id, path}]) and testset.json or valset.json ([{path, MET_id}]) (Ypsilantis et
al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Search
from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.listed import SearchedImages, file_in
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.json_file import read_json, validated_json

_DATABASE = "MET_database.json"
Entry = TypeVar("Entry", bound=BaseModel)


class Exhibits(FolderSource):
    """The scheme `met`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The lists of a folder, or of its folder ground_truth, and the images below its folder images. A query without
        an exhibit has no positive."""
        folder = Path(address).expanduser()
        exhibits = _read(folder, f"mini_{_DATABASE}" if options.get("database") == "mini" else _DATABASE, _Exhibit)
        queries = _read(folder, f"{options.get('queries', 'test')}set.json", _Query)
        images = Path(options["images"]).expanduser() if "images" in options else folder / "images"
        for path in (*(exhibit.path for exhibit in exhibits), *(query.path for query in queries)):
            check_below(images, path, folder)
        photos: dict[int, list[str]] = {}
        for exhibit in exhibits:
            photos.setdefault(exhibit.id, []).append(exhibit.path)
        splits = {
            "test": [Sample(query.path, images / query.path) for query in queries],
            "gallery": [Sample(exhibit.path, images / exhibit.path) for exhibit in exhibits],
        }
        searches = [
            Search(query.path, () if query.exhibit is None else tuple(photos.get(query.exhibit, ())))
            for query in queries
        ]
        return SearchedImages(name, splits, searches, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the lists."""
        return any((folder / place).is_file() for place in (_DATABASE, f"ground_truth/{_DATABASE}"))


class _Exhibit(BaseModel):
    id: int
    path: str


class _Query(BaseModel):
    path: str
    exhibit: int | None = Field(default=None, alias="MET_id")


def _read(folder: Path, file: str, kind: type[Entry]) -> list[Entry]:
    path = file_in(folder, file, f"ground_truth/{file}")
    rows: list[Entry] = validated_json(list[kind], read_json(path), path)  # type: ignore[valid-type]
    return rows
