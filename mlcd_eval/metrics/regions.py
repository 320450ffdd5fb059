"""The metrics of classified regions: of all, as a mean over classes, and of the small, medium and large ones of COCO's
evaluation. Intervals are over images, or over scenes that several images show."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlcd_eval.metrics.boxes import BOXES
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import ClassMeans, Mean, within

SIZES: Mapping[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, math.inf),
}
"""Name -> areas in pixels of the image, from and below (pycocotools, cocoeval.py)."""


def size_of(area: float) -> str:
    """The name of the size of an area."""
    return next(name for name, (least, most) in SIZES.items() if least <= area < most)


REGIONS: Mapping[str, MetricKind] = {
    "region_acc1": MetricKind("region acc@1", Mean(within(1)), over="unit"),
    "region_acc5": MetricKind("region acc@5", Mean(within(5)), over="unit", classes=(5, math.inf)),
    "region_mean_acc1": MetricKind("region mAcc@1", ClassMeans(within(1)), over="unit"),
    "region_mean_acc5": MetricKind("region mAcc@5", ClassMeans(within(5)), over="unit", classes=(5, math.inf)),
    **{
        f"region_acc1_{name}": MetricKind(f"region acc@1 ({name})", Mean(within(1)), over="unit", among=("size", name))
        for name in SIZES
    },
}
"""Columns: label, rank, unit, and size, a name of SIZES."""

ON_REGIONS: Mapping[str, MetricKind] = {**REGIONS, **BOXES}
"""Those of classified regions, and of boxes of sentences."""
