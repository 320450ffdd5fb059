"""NAVI as it comes (Jampani et al. 2023): OBJECT/SCENE/images, depth and annotations.json, and its own lists of pairs,
whose points are where depth and cameras put them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Point, PointPair
from mlcd_eval.data.base import Sample
from mlcd_eval.data.sources.listed import words_of
from mlcd_eval.data.sources.point_layouts.navi_shots import Shot, metres_away, shots_of, view_of
from mlcd_eval.data.sources.point_layouts.part import FEWEST, POINTS, Box, Part, box_of, drawn, in_pixels, seeded
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.scene_geometry import NEAR
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import file_identity, memoised

LISTS = "custom_splits/pairwise_pixel_correspondences"
SPLITS = ("wild_set", "multiview")
FORM = "OBJECT/SCENE/images/NAME.jpg"
CANDIDATES = 500
"""Pixels drawn of an image's object; those that another image shows too are what a pair's points are drawn from."""
_VERSION = 1  # of what is found


class _Row(NamedTuple):
    """A line of a list. degrees: between the two cameras."""

    images: tuple[str, str]
    degrees: float


class _Seen(NamedTuple):
    """Points that an image shows: where, in pixels, and in the object's axes (N, 3), in millimetres."""

    places: list[Point]
    points: NDArray[np.float64]


@dataclass
class _Shared:
    """What is found of a pair: its points in both images and in the object's axes, and the object's box in the
    target."""

    source: list[Point]
    target: list[Point]
    points: list[tuple[float, float, float]]
    box: Box


@dataclass
class _Found:
    """Of each row, None where fewer than FEWEST points are in both images."""

    shared: list[_Shared | None]


def navi(folder: Path) -> dict[str, Part]:
    """The pairs of each list, in the wild and of several views of one scene. Raises DataError."""
    parts = {}
    for split in SPLITS:
        path = folder / LISTS / f"pairs-{split}.txt"
        if path.is_file():
            rows = [_row(words, folder, path) for words in words_of(path, 3)]
            keys = sorted({key for row in rows for key in row.images})
            parts[split] = Part([Sample(key, folder / key) for key in keys], partial(_pairs, folder, path, rows, keys))
    if not parts:
        raise DataError(f"{folder / LISTS} has no pairs, expected pairs-wild_set.txt or pairs-multiview.txt")
    return parts


def _row(words: Sequence[str], folder: Path, path: Path) -> _Row:
    source, target, angle = words
    for image in (source, target):
        check_below(folder, image, path)
        places = PurePosixPath(image).parts
        if len(places) != 4 or places[2] != "images":
            raise DataError(f"{path} names the image {image!r}, expected {FORM}")
    if _object_of(source) != _object_of(target):
        raise DataError(f"{path} has a pair of two objects: got {source} and {target}, expected images of one")
    try:
        degrees = float(angle)
    except ValueError:
        degrees = math.nan
    if not 0 <= degrees <= 180:
        raise DataError(f"{path} has the angle {angle!r} for {source} and {target}, expected 0 to 180 degrees")
    return _Row((source, target), degrees)


def _object_of(image: str) -> str:
    return PurePosixPath(image).parts[0]


def _pairs(folder: Path, path: Path, rows: list[_Row], keys: list[str], cache: Path | None) -> list[PointPair]:
    shots = shots_of(folder, keys, path)
    find = partial(_find, rows, shots)
    identity = None if cache is None else _identity(rows, shots)
    found = find() if cache is None or identity is None else memoised(cache / "navi", identity, _Found, find)
    pairs = [_pair(row, shared, shots) for row, shared in zip(rows, found.shared, strict=True) if shared is not None]
    return sorted(pairs, key=lambda pair: pair.images[1])  # so that the depth of each target is read once


def _pair(row: _Row, shared: _Shared, shots: Mapping[str, Shot]) -> PointPair:
    source, target = (shots[key] for key in row.images)
    return PointPair(
        f"{source.key}>{target.key}",
        row.images,
        (source.size, target.size),
        tuple(shared.source),
        tuple(shared.target),
        shared.box,
        _object_of(source.key),
        _object_of(source.key),
        row.degrees,
        (source.picture, target.picture),
        is_turned=source.is_turned or target.is_turned,
        metres=partial(metres_away, target, tuple(shared.points)),
    )


def _find(rows: Sequence[_Row], shots: Mapping[str, Shot]) -> _Found:
    """Read the depth of each image twice: for the points that it shows, and for those of others that it shows too."""
    seen = {key: _seen(shots[key]) for key in dict.fromkeys(row.images[0] for row in rows)}
    shared: list[_Shared | None] = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda number: rows[number].images[1])
    for key, numbers in groupby(order, key=lambda number: rows[number].images[1]):
        target = view_of(shots[key])
        box = box_of(target.numbers > 0)
        for number in numbers:
            source = rows[number].images[0]
            there, inverse = target.places(seen[source].points)
            visible = np.flatnonzero(target.shows(there, inverse))
            if len(visible) >= FEWEST:
                chosen = visible[drawn(len(visible), f"{source}>{key}")]
                shared[number] = _Shared(
                    [seen[source].places[each] for each in chosen],
                    list(in_pixels(there[chosen], shots[key].size)),
                    [(round(x, 3), round(y, 3), round(z, 3)) for x, y, z in seen[source].points[chosen].tolist()],
                    box,
                )
    return _Found(shared)


def _seen(shot: Shot) -> _Seen:
    view = view_of(shot)
    of_object = np.flatnonzero(view.numbers)
    count = min(CANDIDATES, len(of_object))
    chosen = np.sort(seeded(shot.key).choice(of_object, count, replace=False))
    pixels = np.stack(np.divmod(chosen, shot.size[1]), axis=1)
    return _Seen([(float(x), float(y)) for y, x in pixels.tolist()], view.points(pixels))


def _identity(rows: Sequence[_Row], shots: Mapping[str, Shot]) -> str | None:
    """A text that changes when what is found does; None where a file of depth cannot be."""
    digest = hashlib.sha256(f"{_VERSION} {CANDIDATES} {FEWEST} {POINTS} {NEAR}".encode())
    digest.update(json.dumps([row.images for row in rows]).encode())
    for shot in shots.values():
        try:
            digest.update(f"{astuple(shot)} {file_identity(shot.depth)}\n".encode())
        except (OSError, ValueError):
            return None  # reading says what is wrong
    return digest.hexdigest()
