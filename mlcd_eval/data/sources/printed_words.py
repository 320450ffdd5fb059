"""Words on rendered pages (word_pages.py) as regions, from a file NAME.words.json with the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from mlcd_eval.data import word_pages
from mlcd_eval.data.annotations import Region
from mlcd_eval.data.base import Sample, Split
from mlcd_eval.data.sources.region_set import Part, RegionSet
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.rows import RowShard

if TYPE_CHECKING:
    from PIL import Image

SUFFIX = ".words.json"
MOST_PAGES, LONGEST_SIDE = 1_000, 2_048


class _Plan(BaseModel):
    """words: the vocabulary, of words of the same number of letters; pages: of each split; side: of a page, pixels."""

    model_config = ConfigDict(extra="forbid")

    words: list[str] = Field(min_length=2, max_length=1000)
    train: PositiveInt = Field(le=MOST_PAGES)
    val: PositiveInt = Field(le=MOST_PAGES)
    test: PositiveInt = Field(le=MOST_PAGES)
    side: PositiveInt = Field(ge=128, le=LONGEST_SIDE)

    @field_validator("words")
    @classmethod
    def _alike(cls, words: list[str]) -> list[str]:
        odd = [word for word in words if not (word.isascii() and word.isalpha() and len(word) == len(words[0]))]
        if odd:
            raise ValueError(f"got {odd[0]!r}, expected words of {len(words[0])} letters from a to z, as the first has")
        if len(set(words)) < len(words):
            raise ValueError("got a word twice, expected each once")
        return words


def printed_words(path: Path, name: str, cache: Path | None) -> RegionSet:
    """The data set of a file."""
    plan: _Plan = validated_json(_Plan, read_json(path), path)
    parts = {split: partial(_part, plan, split, name, cache) for split in word_pages.FACES_OF}
    return RegionSet(name, parts, tuple(plan.words))


def _part(plan: _Plan, split: str, dataset: str, cache: Path | None) -> Part:
    import PIL

    version = f"printed words {word_pages.VERSION} {split} {json.dumps(plan.model_dump())} {PIL.__version__}"
    rows = RowShard(split, partial(_pages, plan, split), cache, lambda: version)
    return Part(Split(dataset, split, [rows]), partial(_regions, plan, split))


def _numbers(plan: _Plan, split: str) -> range:
    return range(int(getattr(plan, split)))


def _page(plan: _Plan, split: str, number: int) -> Image.Image:
    return word_pages.page(plan.words, split, number, plan.side)


def _pages(plan: _Plan, split: str) -> Iterator[Sample]:
    for number in _numbers(plan, split):
        yield Sample(_key(split, number), _page(plan, split, number))


def _key(split: str, number: int) -> str:
    return f"{split}_{number:05d}"


def _regions(plan: _Plan, split: str) -> list[Region]:
    """Every word of every page."""
    label = {word: number for number, word in enumerate(plan.words)}
    regions = []
    for number in _numbers(plan, split):
        key = _key(split, number)
        for place, word in enumerate(word_pages.layout(plan.words, split, number, plan.side)):
            left, top, right, bottom = word.box
            regions.append(
                Region(
                    image=key,
                    region_id=f"{key}/{place}",
                    label=label[word.text],
                    size=(plan.side, plan.side),
                    box=word.box,
                    area=(right - left) * (bottom - top),
                    truth=None,
                    thing=f"{key}/{place}",
                    unit=key,
                    picture=partial(_page, plan, split, number),
                )
            )
    return regions
