"""What is reported of points that were found, and what the same place and the colour alone would find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.metrics.correspondence import WITHIN, num_right
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.shared.plain_patches import colours

if TYPE_CHECKING:
    from PIL import Image

ROTATIONS = (0, 30, 60, 90, 120, 180)
"""Ends of the ranges of degrees between two cameras, the first four of which are Probe3D's."""

Columns = dict[str, Sequence[Any]]


def columns_of(pairs: Sequence[PointPair], found: Sequence[NDArray[np.float64]], alphas: Sequence[str]) -> Columns:
    """Columns of samples (metrics/correspondence.py), an entry per pair. found: (x, y) (K, 2) of each pair's points."""
    columns: dict[str, list[Any]] = {
        "key": [pair.pair_id for pair in pairs],
        "unit": [pair.unit for pair in pairs],
        "category": [pair.category for pair in pairs],
        "points": [len(pair.target) for pair in pairs],
    }
    for pair, places in zip(pairs, found, strict=True):
        distance = np.hypot(*(places - np.array(pair.target)).T)
        left, top, right, bottom = pair.box
        for scale, length in (("bbox", max(right - left, bottom - top)), ("img", max(pair.sizes[1]))):
            for alpha in alphas:
                right_ones = columns.setdefault(f"right_{scale}@{alpha}", [])
                right_ones.append(num_right(distance, length, float(alpha)))
    if shapes_are_known(pairs):
        away = [pair.metres(places) for pair, places in zip(pairs, found, strict=True) if pair.metres is not None]
        columns |= {f"within@{metres}": [int((each < float(metres)).sum()) for each in away] for metres in WITHIN}
    return dict(columns)


def shapes_are_known(pairs: Sequence[PointPair]) -> bool:
    """Whether it is known of every pair how far an answer is from a point on the object itself."""
    return all(pair.metres is not None for pair in pairs)


def values_by(groups: Sequence[str | None], columns: Columns, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Group -> the value of each metric, and its pairs and points; those of no group left out."""
    from mlcd_eval.metrics.table import metric_value

    values: dict[str, dict[str, Any]] = {}
    for group in sorted({each for each in groups if each}):
        rows = [row for row, each in enumerate(groups) if each == group]
        part = {name: [column[row] for row in rows] for name, column in columns.items()}
        counts = {"num_pairs": len(rows), "num_points": sum(part["points"])}
        values[group] = {name: metric_value(name, part) for name in names} | counts
    return values


def mean_of_groups(values: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """The mean over groups of each metric's value, as Probe3D and SD-DINO report SPair-71k by its categories; empty
    without groups."""
    return {name: float(np.mean([each[name] for each in values.values()])) for name in names if values}


def rotation_of(pair: PointPair) -> str | None:
    """The range of degrees that a pair's cameras are apart, such as 030-060; None where they are not known."""
    if pair.degrees is None:
        return None
    place = min(int(np.searchsorted(ROTATIONS, pair.degrees, side="right")), len(ROTATIONS) - 1)
    return f"{ROTATIONS[place - 1]:03}-{ROTATIONS[place]:03}"


def same_places(pairs: Sequence[PointPair]) -> list[NDArray[np.float64]]:
    """Where each point is found if nothing moves: at the same share of the image's width and height."""
    found = []
    for pair in pairs:
        (height, width), (new_height, new_width) = pair.sizes
        larger = np.array([new_width / width, new_height / height])
        found.append((np.array(pair.source) + 0.5) * larger - 0.5)
    return found


class _Seen(NamedTuple):
    picture: Callable[[], Image.Image]


def coloured(features: Features, pairs: Sequence[PointPair]) -> Features:
    """The images with patches that hold nothing but their mean colour, in a grid as the features'."""
    seen = {key: _Seen(picture) for pair in pairs for key, picture in zip(pair.images, pair.pictures, strict=True)}
    return Features(colours(list(seen.values()), features.layout), list(seen), frame=features.frame)
