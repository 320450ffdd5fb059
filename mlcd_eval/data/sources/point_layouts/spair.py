"""SPair-71k as it comes (Min et al. 2019): PairAnnotation/{trn,val,test}/NUMBER-SOURCE-TARGET:CATEGORY.json and
JPEGImages/CATEGORY/NAME.jpg."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Point, PointPair
from mlcd_eval.data.base import Sample
from mlcd_eval.data.sources.point_layouts.part import Part, check_inside
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.images import decode, size_of
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.errors import DataError

MARK = "PairAnnotation"
SPLITS = {"train": "trn", "val": "val", "test": "test"}
FORM = "NUMBER-SOURCE-TARGET:CATEGORY.json"
_NAME = re.compile(r"\d+-(?P<source>[^-]+)-(?P<target>[^-]+):(?P<category>\w+)\.json")


class _Pair(BaseModel):
    """What is read of a pair's file. Sizes are width, height and channels; boxes left, top, right and bottom."""

    src_imname: str
    trg_imname: str
    src_imsize: list[int] = Field(min_length=2)
    trg_imsize: list[int] = Field(min_length=2)
    trg_bndbox: tuple[float, float, float, float]
    category: str
    src_kps: list[Point]
    trg_kps: list[Point]


class _Named(NamedTuple):
    """A pair by the name of its file."""

    path: Path
    images: tuple[str, str]
    category: str


def spair(folder: Path) -> dict[str, Part]:
    """The pairs of each split that has a folder. Raises DataError for a file of another name, and for no pairs."""
    images, parts = folder / "JPEGImages", {}
    for split, place in SPLITS.items():
        if not (folder / MARK / place).is_dir():
            continue
        named = [_named(path, images) for path in sorted((folder / MARK / place).glob("*.json"))]
        keys = sorted({key for each in named for key in each.images})
        if keys:
            samples = [Sample(key, images / f"{key}.jpg") for key in keys]
            parts[split] = Part(samples, partial(_pairs, named, images))
    if not parts:
        raise DataError(f"{folder / MARK} has no pairs, expected {FORM} in trn, val or test")
    return parts


def _named(path: Path, images: Path) -> _Named:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path} has another name than a pair's, expected {FORM}")
    category = match["category"]
    source, target = f"{category}/{match['source']}", f"{category}/{match['target']}"
    for key in (source, target):
        check_below(images, key, path)
    return _Named(path, (source, target), category)


def _pairs(named: list[_Named], images: Path, _: Path | None) -> list[PointPair]:
    sizes: dict[str, tuple[int, int]] = {}
    return [_pair(each, images, sizes) for each in named]


def _pair(named: _Named, images: Path, sizes: dict[str, tuple[int, int]]) -> PointPair:
    path, (source, target) = named.path, named.images
    pair = validated_json(_Pair, read_json(path), path)
    said = [f"{pair.category}/{Path(name).stem}" for name in (pair.src_imname, pair.trg_imname)]
    if said != [source, target]:
        raise DataError(f"{path} is of the images {said[0]} and {said[1]}, expected {source} and {target} by its name")
    for key, (width, height, *_) in ((source, pair.src_imsize), (target, pair.trg_imsize)):
        if key not in sizes:
            sizes[key] = size_of(images / f"{key}.jpg", key)
        if sizes[key] != (height, width):
            raise DataError(
                f"{path} says another size than image {key!r} has: got {width} x {height} pixels, expected "
                f"{sizes[key][1]} x {sizes[key][0]}"
            )
    if len(pair.src_kps) != len(pair.trg_kps):
        raise DataError(
            f"{path} has {len(pair.src_kps)} points in src_kps and {len(pair.trg_kps)} in trg_kps, expected as many"
        )
    for key, points in ((source, pair.src_kps), (target, pair.trg_kps)):
        check_inside(points, sizes[key], key, path)
    left, top, right, bottom = pair.trg_bndbox
    if not (left < right and top < bottom):
        raise DataError(f"{path} has the empty trg_bndbox {list(pair.trg_bndbox)}, expected left < right, top < bottom")
    pictures = partial(decode, images / f"{source}.jpg", source), partial(decode, images / f"{target}.jpg", target)
    return PointPair(
        path.stem,
        (source, target),
        (sizes[source], sizes[target]),
        tuple(pair.src_kps),
        tuple(pair.trg_kps),
        pair.trg_bndbox,
        pair.category,
        source,
        None,
        pictures,
    )
