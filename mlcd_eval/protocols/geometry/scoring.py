"""What protocols of geometry report of a way to say what pixels are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Inputs, Scores
from mlcd_eval.protocols.geometry.images import MeasuredImages, at_pixels, measured_images
from mlcd_eval.protocols.segmentation.baselines import BASELINES
from mlcd_eval.protocols.segmentation.scoring import BASELINE_IMAGES
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    from torch import Tensor

Columns = dict[str, list[Any]]
Say = Callable[["Tensor"], "Tensor"]
"""Patches (h, w, D) on a device -> what is said of them (h, w, T)."""
Learn = Callable[[Mapping[str, MeasuredImages], Inputs], tuple[Say, dict[str, Any]]]
"""Images by role, and the inputs -> what was learned, and for the record how."""


@dataclass(frozen=True)
class Report:
    """How what was learned is scored. errors: what is said (height, width, T) and the truth (height, width, C) of an
    image -> its columns, None where no pixel is scored. metrics: names, first the primary one; of_baselines: those that
    are reported of plain patches; stage: what is made, for progress."""

    learn: Learn
    errors: Callable[[NDArray[np.float64], NDArray[np.float32]], Mapping[str, float] | None]
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

    for role, features in inputs.images.items():
        check_finite(features.array, f"patch features of {role}", features.keys)
    images = {role: measured_images(each, inputs.annotations[role], role) for role, each in inputs.images.items()}
    test = images["test"]
    columns, details = _scored(images, inputs, report)
    unscored = test.num_unread + len(test.values) - len(columns["key"])
    metrics = [measure(name, columns, inputs.seed, unscored) for name in report.metrics]
    sizes = {role: [(each.size[0] * each.size[1], each.known) for each in of.values] for role, of in images.items()}
    unknown = {role: 1 - sum(known for _, known in of) / sum(size for size, _ in of) for role, of in sizes.items()}
    details = {"grid": list(test.grid), **details, "unknown_pixels": unknown}
    details["baselines"] = {name: _baseline(images, name, inputs, of_plain) for name in BASELINES}
    return Scores(metrics=metrics, primary=report.metrics[0], samples=columns, details=details)


def _scored(images: Mapping[str, MeasuredImages], inputs: Inputs, report: Report) -> tuple[Columns, dict[str, Any]]:
    """Return the columns of the test images that have a scored pixel."""
    from mlcd_eval.support.resident import Rows

    say, details = report.learn(images, inputs)
    test = images["test"]
    patches, columns = Rows(test.array, inputs.device), Columns(key=[], unit=[])
    with inputs.stage(report.stage, len(test.values), "images") as advance:
        for row, each in enumerate(test.values):
            said = at_pixels(say(patches[row : row + 1][0]), each.size)
            errors = report.errors(said, each.values())
            advance(1)
            if errors is None:
                continue
            for name, value in {"key": each.image, "unit": each.unit, **errors}.items():
                columns.setdefault(name, []).append(value)
    if not columns["key"]:
        raise DataError(f"no pixel of {len(test.values)} test images can be scored: got none in the range and the crop")
    return columns, details


def _baseline(images: Mapping[str, MeasuredImages], name: str, inputs: Inputs, report: Report) -> dict[str, Any]:
    """Return the metrics of patches that hold one plain thing, and their intervals."""
    from mlcd_eval.metrics.table import measure

    chance = np.random.default_rng(inputs.seed)
    plain = {}
    for role, each in images.items():
        values = each.values
        if role != "test" and len(values) > BASELINE_IMAGES:
            rows = sorted(chance.choice(len(values), BASELINE_IMAGES, replace=False).tolist())
            values = [values[row] for row in rows]
        plain[role] = MeasuredImages(BASELINES[name](values, each.grid), values)
    columns, _ = _scored(plain, inputs, report)
    metrics = [measure(metric, columns, inputs.seed) for metric in report.of_baselines]
    return {metric.name: {"value": metric.value, "ci95": metric.ci95} for metric in metrics}
