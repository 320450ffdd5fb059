"""Pictures of a webdataset, each seen in several altered ways, which are to be found by each other. They are made when
they are read: turned, cut, in other light, blurred and stored as JPEG."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from pydantic import Field, PositiveInt

from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.plan_files import Plan, PlanFiles, read_plan
from mlcd_eval.data.sources.wds import WebDatasets
from mlcd_eval.data.storage.images import decode
from mlcd_eval.data.storage.rows import RowShard
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

_RECIPE = 1  # raised when the views change
TURN = 30  # degrees at most, either way
LEAST_SHARE = 0.65  # of a side that is seen
LIGHT = (0.5, 1.5)  # factors of brightness, contrast and colour
BLUR = 1.5  # radius in pixels at most
QUALITY = 60
MOST_VIEWS = 1_000  # of a picture
LONGEST_SIDE = 2_048  # pixels


class PictureViews(PlanFiles):
    """The scheme `views`."""

    suffix = ".views.json"

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The views that a file describes: {"of": FOLDER, "split": SPLIT, "pictures": [KEY], "views": 4, "side": 96}"""
        path, plan = read_plan(_Plan, address)
        folder = str(path.parent / plan.of)
        with reading(f"{path} names pictures of {plan.of!r}, which cannot be read"):
            pictures = WebDatasets().open(folder, {}, name=name, cache=cache, offline=offline).split(plan.split)
        return ViewSet(name, path, plan, pictures, cache)


class _Plan(Plan):
    pictures: list[str] = Field(min_length=2)
    views: PositiveInt = Field(ge=2, le=MOST_VIEWS)
    side: PositiveInt = Field(le=LONGEST_SIDE)


class ViewSet:
    """Pictures of a split as the classes of the split test, a sample per view."""

    kind: Kind = "classification"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    splits: tuple[str, ...] = ("test",)

    def __init__(self, name: str, path: Path, plan: _Plan, pictures: Split, cache: Path | None) -> None:
        self.name, self._path, self._plan, self._pictures, self._cache = name, path, plan, pictures, cache
        self.num_classes: int | None = len(plan.pictures)

    def split(self, name: str) -> Split:
        """One shard of all views."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        rows = partial(_views, self._path, self._plan, self._pictures)
        return Split(self.name, name, [RowShard("test", rows, self._cache, self._identity)])

    def _identity(self) -> str:
        return f"{_RECIPE} {json.dumps(self._plan.model_dump())} {self._pictures.scan().fingerprint}"


def _views(path: Path, plan: _Plan, pictures: Split) -> Iterator[Sample]:
    found = {sample.key: sample for shard in pictures.shards for sample in shard.samples()}
    for number, key in enumerate(plan.pictures):
        if key not in found:
            raise DataError(f"{path} lists the picture {key!r}: expected one of {plan.of}, split {plan.split}")
        picture = decode(found[key].image, key)
        for view in range(plan.views):
            yield Sample(f"{key}/{view}", altered(picture, f"{key}/{view}", plan.side), label=number)


def altered(picture: Image.Image, key: str, side: int) -> bytes:
    """Return a picture as JPEG of side x side pixels, altered by a source of chance that the key seeds."""
    chance = np.random.default_rng(list(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()))
    picture = picture.resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
    seen = picture.rotate(chance.uniform(-TURN, TURN), Image.Resampling.BICUBIC, fillcolor=picture.getpixel((0, 0)))
    width, height = (2 * side * chance.uniform(LEAST_SHARE, 1) for _ in range(2))
    left, top = chance.uniform(0, 2 * side - width), chance.uniform(0, 2 * side - height)
    seen = seen.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        seen = kind(seen).enhance(chance.uniform(*LIGHT))
    seen = seen.filter(ImageFilter.GaussianBlur(chance.uniform(0, BLUR)))
    file = io.BytesIO()
    seen.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
