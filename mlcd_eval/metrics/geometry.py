"""Errors of depth and of surface normals, and the field's metrics of them.

Depth is scored image by image, and the mean over images is reported, as Eigen et al. 2014 and all after them do. Of
normals the angles of all images' pixels are one set (Fouhey et al. 2013), except for the median, which is a mean over
images too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import Columns, Mean, Sums, column

Window = tuple[int, int, int, int]
"""First row, row behind the last, and so for columns."""


def nyu_eigen(height: int, width: int) -> Window:
    """Where depth of NYUv2 is scored: rows 45 to 471 and columns 41 to 601 of 480 x 640 (Eigen et al. 2014)."""
    return 45 * height // 480, 471 * height // 480, 41 * width // 640, 601 * width // 640


def kitti_eigen(height: int, width: int) -> Window:
    """Where Eigen et al. 2014 score depth of KITTI."""
    return int(0.3324324 * height), int(0.91351351 * height), int(0.0359477 * width), int(0.96405229 * width)


def kitti_garg(height: int, width: int) -> Window:
    """Where Garg et al. 2016, and most papers since, score depth of KITTI.

    BTS shows its model KITTI's benchmark crop alone (`KITTI_BENCHMARK`), which holds all of this part of its images.
    """
    return int(0.40810811 * height), int(0.99189189 * height), int(0.03594771 * width), int(0.96405229 * width)


KITTI_BENCHMARK = (352, 1216)
"""Height and width of KITTI's benchmark crop (KB crop): the lowest rows, in the middle of the columns."""


def kitti_kb_garg(height: int, width: int) -> Window:
    """Garg et al.'s part of the benchmark crop, which AdaBins, Monocular-Depth-Estimation-Toolbox, and with its code
    DINOv2 score (depth/datasets/kitti.py, eval_kb_crop and eval_mask)."""
    rows, columns = min(KITTI_BENCHMARK[0], height), min(KITTI_BENCHMARK[1], width)
    top, left = height - rows, (width - columns) // 2
    first, behind, leftmost, right = kitti_garg(rows, columns)
    return top + first, top + behind, left + leftmost, left + right


CROPS: Mapping[str, Callable[[int, int], Window]] = {
    "none": lambda height, width: (0, height, 0, width),
    "nyu_eigen": nyu_eigen,
    "kitti_eigen": kitti_eigen,
    "kitti_garg": kitti_garg,
    "kitti_kb_garg": kitti_kb_garg,
}
"""Name -> height and width of a depth map to the part of it that is scored."""


def scored_pixels(depth: NDArray[Any], nearest: float, farthest: float, crop: str) -> NDArray[np.bool_]:
    """Which pixels (height, width) are scored: known ones between both ends, which are not scored, in the crop."""
    first, behind, left, right = CROPS[crop](*depth.shape)
    inside = np.zeros(depth.shape, bool)
    inside[first:behind, left:right] = True
    scored: NDArray[np.bool_] = inside & (depth > nearest) & (depth < farthest)  # NaN is neither
    return scored


def depth_errors(prediction: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """The errors of one image by their names, over pixels (N,), N > 0, whose depths are all above 0.

    delta1 to delta3: the share of pixels whose ratio, the larger depth over the smaller, is below 1.25, its square and
    its cube. silog: the standard deviation of the difference of logarithms, which a common factor does not change.
    """
    ours, theirs = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    error, logs = ours - theirs, np.log(ours) - np.log(theirs)
    ratio = np.maximum(ours / theirs, theirs / ours)
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "abs_rel": float((np.abs(error) / theirs).mean()),
        **{f"delta{power}": float((ratio < 1.25**power).mean()) for power in (1, 2, 3)},
        "log10": float(np.abs(np.log10(ours) - np.log10(theirs)).mean()),
        "silog": float(logs.std()),
    }


def angles(prediction: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """The angle (N,) in degrees between unit vectors (N, 3)."""
    cosines = (np.asarray(prediction, np.float64) * np.asarray(truth, np.float64)).sum(axis=1)
    degrees: NDArray[np.float64] = np.rad2deg(np.arccos(cosines.clip(-1, 1)))
    return degrees


def angle_errors(degrees: NDArray[np.float64]) -> dict[str, float]:
    """The columns of one image, of the angles (N,) of its pixels, N > 0."""
    return {
        "pixels_scored": len(degrees),
        "sum_angle": float(degrees.sum()),
        "median_angle": float(np.median(degrees)),
        **{f"pixels_within@{name}": int((degrees < float(name)).sum()) for name in WITHIN},
    }


WITHIN = ("11.25", "22.5", "30")
"""Degrees, as papers write them (Fouhey et al. 2013)."""


def _per_pixel(name: str) -> Sums:
    def terms(columns: Columns) -> NDArray[Any]:
        return np.column_stack([columns[name], columns["pixels_scored"]])

    return Sums(terms)


def _of_image(heading: str, name: str, higher: bool = False, unit: str = "fraction") -> MetricKind:
    return MetricKind(heading, Mean(column(name)), over="unit", higher_is_better=higher, unit=unit)


DEPTH: Mapping[str, MetricKind] = {
    "rmse": _of_image("RMSE", "rmse", unit="metres"),
    "abs_rel": _of_image("AbsRel", "abs_rel"),
    "delta1": _of_image("delta < 1.25", "delta1", higher=True),
    "delta2": _of_image("delta < 1.25^2", "delta2", higher=True),
    "delta3": _of_image("delta < 1.25^3", "delta3", higher=True),
    "log10": _of_image("log10 error", "log10", unit="decades"),
    "silog": _of_image("SILog", "silog"),
}
"""Columns: unit, and those of `depth_errors`, an entry for each image that has a scored pixel. Resamples are of units.
Papers print silog times 100."""

NORMALS: Mapping[str, MetricKind] = {
    "mean_angle": MetricKind(
        "mean angle", _per_pixel("sum_angle"), over="unit", higher_is_better=False, unit="degrees"
    ),
    "median_angle": _of_image("median angle, mean of images", "median_angle", unit="degrees"),
}
"""Columns: unit, and those of `angle_errors`."""

NORMALS_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    "angle_within@": lambda degrees: MetricKind(
        f"below {degrees} degrees", _per_pixel(f"pixels_within@{degrees}"), over="unit"
    ),
}
