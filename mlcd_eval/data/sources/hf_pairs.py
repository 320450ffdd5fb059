"""Choices among images and texts from the Hugging Face library `datasets`, in columns as mteb's copies have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.hf import HuggingFaceDatasets, HuggingFaceRows
from mlcd_eval.data.storage.rows import RowShard, image_digest, ranges
from mlcd_eval.errors import ConfigError, DataError, nearest

Place = tuple[int, str]
"""A row and a column."""


class HuggingFacePairSets(HuggingFaceDatasets):
    """The scheme `hf-pairs`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The items of a hub repository or a folder."""
        return HuggingFacePairs(address, options, name=name, cache=cache, offline=offline)


class HuggingFacePairs(HuggingFaceRows):
    """`hf-pairs:ORG/NAME` with the options config, revision and split_{train,val,test} of `hf:`.

    images, texts: the columns, separated by commas, those that belong together first. A row is an item, called by its
    number. Images of equal contents are one image, called by its hash. Raises ConfigError for columns that are missing
    or hold something else.
    """

    kind: Kind = "pairs"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> None:
        from datasets import Image

        super().__init__(f"hf-pairs:{address}", options, name, cache, offline)
        ref, features = self._ref, self._features
        self._images, self._texts = (options[side].split(",") for side in ("images", "texts"))
        for side, columns in (("images", self._images), ("texts", self._texts)):
            for column in columns:
                if column not in features:
                    known = f"{', '.join(features)}{nearest(column, features)}"
                    raise ConfigError(f"{ref} has no column {column!r} for {side}: got {known}")
                if isinstance(features[column], Image) != (side == "images"):
                    raise ConfigError(f"column {column!r} of {ref} holds no {side}: got {features[column]}")
        if len(self._images) == len(self._texts) == 1:
            raise ConfigError(f"{ref} holds no choice: got one column of images and one of texts, expected two of one")
        self._opened: dict[str, Any] = {}
        self._keys: dict[str, list[tuple[str, ...]]] = {}

    def split(self, name: str) -> Split:
        """The images, each once; one shard is 1,024 of them."""
        rows, first = self._rows(name), self._first_places(name)
        shards = []
        for part in ranges(len(first)):
            samples = partial(self._samples, rows, first[part.start : part.stop])
            shards.append(RowShard(f"{name}/{part.start}-{part.stop - 1}", samples, self._cache))
        return Split(self.name, name, shards)

    def annotations(self, split: str) -> Sequence[Pairs]:
        """Every row's item; raises DataError for a text that is missing."""
        items = []
        for number, (row, keys) in enumerate(
            zip(self._rows(split).remove_columns(self._images), self._keys_of(split), strict=True)
        ):
            texts = tuple(row[column] for column in self._texts)
            if not all(isinstance(text, str) for text in texts):
                raise DataError(f"row {number} of {self.name} {split} has the texts {texts!r:.80}, expected strings")
            items.append(Pairs(str(number), keys, texts))
        return items

    def _rows(self, split: str) -> Any:
        if split not in self._sources:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        if split not in self._opened:
            from datasets import Image

            rows = self._read(self._sources[split]).select_columns([*self._images, *self._texts])
            for column in self._images:
                rows = rows.cast_column(column, Image(decode=False))
            self._opened[split] = rows
        return self._opened[split]

    def _keys_of(self, split: str) -> list[tuple[str, ...]]:
        """The names of each row's images. Kept, since naming images by their contents reads all of them."""
        if split not in self._keys:
            self._keys[split] = [
                tuple(image_digest(_encoded(row[column]), f"row {number}")[:16] for column in self._images)
                for number, row in enumerate(self._rows(split).select_columns(self._images))
            ]
        return self._keys[split]

    def _first_places(self, split: str) -> list[tuple[Place, str]]:
        """(place, key) of each image's first occurrence."""
        first: dict[str, Place] = {}
        for number, keys in enumerate(self._keys_of(split)):
            for column, key in zip(self._images, keys, strict=True):
                first.setdefault(key, (number, column))
        return [(place, key) for key, place in first.items()]

    def _samples(self, rows: Any, chosen: Sequence[tuple[Place, str]]) -> Iterator[Sample]:
        for (number, column), key in chosen:
            yield Sample(key, _encoded(rows[number][column]))


def _encoded(image: Any) -> bytes | Path:
    if image is None or (image["bytes"] is None and image["path"] is None):
        raise DataError("an item has no image: got an empty cell, expected an image")
    return image["bytes"] if image["bytes"] is not None else Path(image["path"])
