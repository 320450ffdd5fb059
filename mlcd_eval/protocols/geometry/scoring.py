"""What protocols of geometry report of a way to say what pixels are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Inputs, Scores
from mlcd_eval.protocols.geometry.images import MeasuredImages, at_pixels
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.patch_images import checked_images
from mlcd_eval.protocols.shared.plain_patches import BASELINES, plain_images

if TYPE_CHECKING:
    from torch import Tensor

Columns = dict[str, list[Any]]
Say = Callable[["Tensor"], "Tensor"]
"""Patches (h, w, D) on a device -> what is said of them (h, w, T)."""
Learn = Callable[[Mapping[str, MeasuredImages], Inputs], tuple[Say, dict[str, Any]]]
"""Images by role, and the inputs -> what was learned, and for the record how."""

Maps = Callable[[NDArray[np.float64], NDArray[np.float32]], Mapping[str, Any]]
"""As `Report.errors` -> `truth`, `prediction` and `error` of pixels (as_levels)."""


@dataclass(frozen=True)
class Report:
    """How what was learned is scored. errors: what is said (height, width, T) and the truth (height, width, C) of an
    image -> its columns, None where no pixel is scored; maps: the same -> pictures among its columns. metrics: names,
    first the primary one; of_baselines: those that are reported of plain patches; stage: what is made, for progress."""

    learn: Learn
    errors: Callable[[NDArray[np.float64], NDArray[np.float32]], Mapping[str, float] | None]
    maps: Maps
    metrics: Sequence[str]
    of_baselines: Sequence[str]
    stage: str


def geometry_scores(inputs: Inputs, report: Report, of_plain: Report) -> Scores:
    """Return the scores, and beside them what patches score that hold nothing but their place or colour.

    of_plain: the report of these, by the exact fit also where a head is trained by gradient steps.

    Raises DataError for features that are not finite, where no image of a role could be read, and where no pixel of the
    scored split is scored.
    """
    from mlcd_eval.metrics.table import measure

    images = checked_images(inputs, PixelValues)
    test = images["test"]
    columns, details = _scored(images, inputs, report, inputs.with_pictures)
    unscored = test.num_unread + len(test.annotations) - len(columns["key"])
    metrics = [measure(name, columns, inputs.seed, unscored) for name in report.metrics]
    unknown = {role: _share_unknown(each.annotations) for role, each in images.items()}
    details = {"grid": list(test.grid), **details, "unknown_pixels": unknown}
    details["baselines"] = {name: _baseline(images, name, inputs, of_plain) for name in BASELINES}
    return Scores(metrics=metrics, primary=report.metrics[0], samples=columns, details=details)


def _share_unknown(images: Sequence[PixelValues]) -> float:
    return 1 - sum(each.known for each in images) / sum(each.size[0] * each.size[1] for each in images)


def _scored(
    images: Mapping[str, MeasuredImages], inputs: Inputs, report: Report, with_maps: bool
) -> tuple[Columns, dict[str, Any]]:
    """Return the columns of the test images that have a scored pixel."""
    from mlcd_eval.support.resident import Rows

    say, details = report.learn(images, inputs)
    test = images["test"]
    patches, columns, count = Rows(test.array, inputs.device), Columns(key=[], unit=[]), len(test.annotations)
    with inputs.stage(report.stage, count, "images") as advance:
        for row, each in enumerate(test.annotations):
            said = at_pixels(say(patches[row : row + 1][0]), each.size, test.frame)
            truth = each.values()
            errors = report.errors(said, truth)
            advance(1)
            if errors is None:
                continue
            maps = report.maps(said, truth) if with_maps else {}
            for name, value in {"key": each.image, "unit": each.unit, **errors, **maps}.items():
                columns.setdefault(name, []).append(value)
    if not columns["key"]:
        raise DataError(f"no pixel of {count} test images can be scored: got none in the range and the crop")
    return columns, details


def _baseline(images: Mapping[str, MeasuredImages], name: str, inputs: Inputs, report: Report) -> dict[str, Any]:
    """Return the metrics of patches that hold one plain thing, and their intervals."""
    columns, _ = _scored(plain_images(images, name, inputs.seed), inputs, report, with_maps=False)
    return brief_metrics(report.of_baselines, columns, inputs.seed)
