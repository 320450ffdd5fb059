"""Objects in clips: region similarity J, boundary accuracy F, and their mean, recall and decay over frames, as DAVIS
defines them (Perazzi et al. 2016; Pont-Tuset et al. 2017; davis2017-evaluation, metrics.py and utils.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import Mean, column

Mask = NDArray[np.bool_]

REACH = 0.008
"""How far boundaries may be apart, as a share of the image's diagonal; rounded up to pixels."""
RECALLED = 0.5
"""A frame counts in the recall where its value is above."""
_QUARTERS = 4


class OverFrames(NamedTuple):
    """Of an object's values by frame. decay: the mean of the first quarter of the frames, less that of the last."""

    mean: float
    recall: float
    decay: float


def region_similarity(prediction: Mask, truth: Mask) -> float:
    """J: intersection over union of masks (H, W), 1 where both are empty."""
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0


def boundary_accuracy(prediction: Mask, truth: Mask) -> float:
    """F: the harmonic mean of the share of the prediction's boundary that is near the truth's, and the reverse.

    Near is within a disk of REACH of the diagonal. 1 where neither mask has a boundary, 0 where one has none.
    """
    reach = math.ceil(REACH * math.hypot(*truth.shape))
    ours, theirs = boundary(prediction), boundary(truth)
    if not ours.any() or not theirs.any():
        return 1.0 if ours.any() == theirs.any() else 0.0
    precision, recall = _share_near(ours, theirs, reach), _share_near(theirs, ours, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from the one below, to the right, or below to the right; the last row and column are
    compared along themselves only."""
    found = np.zeros_like(mask)
    found[:-1] |= mask[:-1] ^ mask[1:]
    found[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    found[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return found


def _share_near(ours: Mask, theirs: Mask, reach: int) -> float:
    """The share of our boundary's pixels that are at most `reach` pixels from theirs."""
    from scipy import ndimage

    rows, columns = (np.flatnonzero((ours | theirs).any(axis=axis)) for axis in (1, 0))  # elsewhere is neither
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    away = ndimage.distance_transform_edt(~theirs[part])
    return float((away[ours[part]] <= reach).mean())


def over_frames(values: NDArray[np.float64]) -> OverFrames:
    """Mean, recall and decay of the values (T,) of an object's frames; quarters share their ends."""
    ends = np.round(np.linspace(1, len(values), _QUARTERS + 1) + 1e-10).astype(int) - 1
    first, last = values[ends[0] : ends[1] + 1], values[ends[-2] : ends[-1] + 1]
    return OverFrames(float(values.mean()), float((values > RECALLED).mean()), float(first.mean()) - float(last.mean()))


def _of_objects(name: str, heading: str, higher_is_better: bool = True) -> dict[str, MetricKind]:
    return {name: MetricKind(heading, Mean(column(name)), over="unit", higher_is_better=higher_is_better)}


TRACKING: Mapping[str, MetricKind] = {
    **_of_objects("jf_mean", "J&F"),
    **_of_objects("j_mean", "J mean"),
    **_of_objects("j_recall", "J recall"),
    **_of_objects("j_decay", "J decay", higher_is_better=False),
    **_of_objects("f_mean", "F mean"),
    **_of_objects("f_recall", "F recall"),
    **_of_objects("f_decay", "F decay", higher_is_better=False),
}
"""Columns, of each object: unit, its clip, and one of a metric's name. Means are over the objects of all clips."""
