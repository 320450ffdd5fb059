"""Choices among images and texts, in JSON lines: `{"id": "a7", "images": ["a.jpg"], "texts": ["right", "wrong"]}`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.listed import AnnotatedImages
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.json_file import validated_json
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import json_lines, parse_json


class PairFiles(Source):
    """The scheme `pairs`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The items of one file."""
        path = existing_file(address)
        folder = Path(options["images"]).expanduser() if "images" in options else path.parent
        return PairFile(name, options.get("split", "test"), _read(path, folder), folder, path, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix."""
        return Path(address).stem

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME.jsonl."""
        files = (root / f"{name}.jsonl" for name in names_of(facts))
        return next((str(file) for file in files if file.is_file()), None)

    def discover(self, root: Path) -> list[str]:
        """The files directly in the root whose first line is an item."""
        return [str(file) for file in root.glob("*.jsonl") if _begins_with_an_item(file)]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str | int | None = None
    images: list[str] = Field(min_length=1)
    texts: list[str] = Field(min_length=1)
    category: str = ""


class ListedPairs(AnnotatedImages[Pairs]):
    """One split of items. Image i and text i of an item belong together; what one side has more is wrong.

    folder: where the images are, whose paths are their keys; each is there once, in the order in which the items first
    name them. where: what the items are from. Raises DataError for no items, and for an image outside the folder.
    """

    kind: Kind = "pairs"

    def __init__(
        self, name: str, split: str, items: Sequence[Pairs], folder: Path, where: Path, cache: Path | None
    ) -> None:
        if not items:
            raise DataError(f"{where} has no items: expected images with texts to choose from")
        keys = dict.fromkeys(key for item in items for key in item.images)
        for key in keys:
            check_below(folder, key, where)
        super().__init__(name, {split: [Sample(key, folder / key) for key in keys]}, {split: items}, cache)


class PairFile(ListedPairs):
    """One file of items. Ids are the numbers of the lines where none are given. Raises DataError for a line that is no
    item or holds no choice, and for repeated ids."""

    choose = ", see ?split="


def _read(path: Path, folder: Path) -> list[Pairs]:
    items: dict[str, Pairs] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not at U+2028, which a text may have
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    for number, value in json_lines(lines, path):
        item = _item(value, number, f"line {number} of {path}", folder)
        if item.pairs_id in items:
            raise DataError(f"line {number} of {path} has the id {item.pairs_id!r} again, expected each once")
        items[item.pairs_id] = item
    if not items:
        raise DataError(f"{path} has no items: expected lines such as {__doc__.partition('`')[2].partition('`')[0]}")
    return list(items.values())


def _item(value: Any, number: int, where: str, folder: Path) -> Pairs:
    item = validated_json(_Item, value, where)
    if len(item.images) == len(item.texts) == 1:
        raise DataError(f"{where} holds no choice: got one image and one text, expected at least two of one of them")
    for image in item.images:
        check_below(folder, image, where)
    return Pairs(str(number if item.id is None else item.id), tuple(item.images), tuple(item.texts), item.category)


def _begins_with_an_item(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            _item(parse_json(file.readline(1 << 16)), 1, "", path.parent)
    except (DataError, ValueError):
        return False
    return True
