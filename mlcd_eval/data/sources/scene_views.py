"""Objects of rendered scenes, each cut out of every view of its scene, which are to be found by each other: the same
object from another side, in other light and at another distance."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, PositiveInt

from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.plan_files import Plan, PlanFiles, read_plan
from mlcd_eval.data.storage.class_maps import Labelled, read_classes
from mlcd_eval.data.storage.images import decode
from mlcd_eval.data.storage.rows import RowShard
from mlcd_eval.data.storage.scene_files import SceneFiles
from mlcd_eval.errors import DataError

_RECIPE = 1  # raised when the pictures change
GREY = 128  # what is not of the object
MARGIN = 1.15  # sides of the square that is cut, over the longer one of the object
LONGEST_SIDE = 512  # pixels, more than the scenes have


class SceneObjects(PlanFiles):
    """The scheme `scene-views`."""

    suffix = ".scene_views.json"

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The objects that a file describes: {"of": FOLDER, "split": SPLIT, "least_pixels": 300, "side": 96}."""
        path, plan = read_plan(_Plan, address)
        return SceneViews(name, path, plan, cache)


class _Plan(Plan):
    least_pixels: PositiveInt
    side: PositiveInt = Field(le=LONGEST_SIDE)


class SceneViews:
    """Objects as the classes of the split test, a sample per view in which enough of it is seen; an object that is seen
    in one view only is left out. Raises DataError where there are no two."""

    kind: Kind = "classification"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    splits: tuple[str, ...] = ("test",)

    def __init__(self, name: str, path: Path, plan: _Plan, cache: Path | None) -> None:
        self.name, self._path, self._plan, self._cache = name, path, plan, cache
        self._files = SceneFiles(path.parent / plan.of)
        if plan.split not in self._files.splits:
            raise DataError(f"{path} names the split {plan.split!r} of {plan.of}: got {', '.join(self._files.splits)}")

    @cached_property
    def num_classes(self) -> int | None:
        """How many objects there are."""
        return len({sample.label for sample in self._samples})

    def split(self, name: str) -> Split:
        """One shard of all views."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        return Split(self.name, name, [RowShard("test", self._rows, self._cache, self._identity)])

    def _rows(self) -> Iterator[Sample]:
        return iter(self._samples)

    def _identity(self) -> str:
        contents = self._files.contents(self._plan.split)
        digest = hashlib.sha256(json.dumps([_RECIPE, self._plan.model_dump()]).encode())
        for member, data in contents.items():
            digest.update(f"{member} {len(data)} ".encode() + data)
        return digest.hexdigest()

    @cached_property
    def _samples(self) -> list[Sample]:
        contents, samples, objects = self._files.contents(self._plan.split), list[Sample](), 0
        cut = partial(_cut, contents, self._plan, self._path)
        for scene in self._files.splits[self._plan.split]:
            things = range(1, len(scene.things) + 1)
            masks = [cut(f"{scene.name}/{view}", things) for view in range(len(scene.cameras))]
            for thing in things:
                seen = {view: each[thing] for view, each in enumerate(masks) if thing in each}
                if len(seen) > 1:
                    samples += [
                        Sample(f"{scene.name}/{thing}/{view}", picture, label=objects) for view, picture in seen.items()
                    ]
                    objects += 1
        if objects < 2:
            raise DataError(
                f"{self._path} describes {objects} objects that are seen twice with {self._plan.least_pixels} pixels: "
                "expected at least 2"
            )
        return samples


def _cut(contents: dict[str, bytes], plan: _Plan, path: Path, view: str, things: range) -> dict[int, bytes]:
    """Thing -> its PNG, of the things that have enough pixels in a view."""
    missing = [name for name in (f"{view}.webp", f"{view}.instances.png") if name not in contents]
    if missing:
        raise DataError(f"{path}: the split {plan.split!r} of {plan.of} has no file {missing[0]}")
    picture, mask = contents[f"{view}.webp"], contents[f"{view}.instances.png"]
    pixels = np.asarray(decode(picture, view).convert("RGB"))
    number = read_classes(Labelled(view, picture, mask, {0: 0, **{thing: thing for thing in things}}, view))
    if number.shape != pixels.shape[:2]:
        raise DataError(f"{path}: the mask of {view} is {number.shape}, expected its picture's {pixels.shape[:2]}")
    seen = [thing for thing in things if (number == thing).sum() >= plan.least_pixels]
    return {thing: _alone(pixels, number == thing, plan.side) for thing in seen}


def _alone(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], side: int) -> bytes:
    """The PNG of an object on grey, in the middle of a square."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    whole = int(np.ceil(MARGIN * max(height, width)))
    square = np.full((whole, whole, 3), GREY, np.uint8)
    top, left = (whole - height) // 2, (whole - width) // 2
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    square[top : top + height, left : left + width][mask[part]] = pixels[part][mask[part]]
    file = io.BytesIO()
    Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
