"""What protocols of segmentation share: the features they read, and what is reported of a way to segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.metrics.dense import DENSE, class_ious
from mlcd_eval.protocols.base import Inputs, Scores
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.patch_images import checked_images
from mlcd_eval.protocols.shared.plain_patches import BASELINES, plain_images

Columns = dict[str, Sequence[Any]]
Segment = Callable[[Mapping[str, Images], int, Inputs, bool], tuple[Columns, dict[str, Any]]]
"""Images by role, the number of classes, the inputs, and whether boundaries are measured -> the columns of the test
images (metrics/dense.py), and how they were made."""
Baselines = Callable[[Mapping[str, Images], int, Inputs], dict[str, Any]]
"""Images by role, the number of classes and the inputs -> name -> `baseline_of` its columns."""


def segmentation_scores(inputs: Inputs, segment: Segment, baselines: Baselines | None = None) -> Scores:
    """Return the scores of a way to segment, with the IoU of each class, and what baselines score: those of plain
    patches by the same way unless others are given.

    Raises DataError for features that are not finite, and where no image of a role could be read.
    """
    from mlcd_eval.metrics.table import measure

    images = checked_images(inputs, ClassMap)
    names = _class_names(inputs, images)
    columns, details = segment(images, len(names), inputs, True)
    metrics = [measure(name, columns, inputs.seed, images["test"].num_unread) for name in DENSE]
    ious = class_ious(*(np.sum(columns[f"class_{each}"], axis=0) for each in ("intersection", "union")))
    of_classes = {name: None if np.isnan(iou) else float(iou) for name, iou in zip(names, ious, strict=True)}
    blind = (baselines or partial(plain_baselines, segment=segment))(images, len(names), inputs)
    details = {"grid": list(images["test"].grid), **details, "class_iou": of_classes, "baselines": blind}
    return Scores(metrics=metrics, primary="miou", samples=columns, details=details)


def _class_names(inputs: Inputs, images: Mapping[str, Images]) -> list[str]:
    """The names of all classes, as the data or its labels have them."""
    if inputs.class_names is not None:
        return list(inputs.class_names)
    most = max(int(each.pixels().max()) for of_role in images.values() for each in of_role.annotations)
    return [str(number) for number in range(most + 1)]


def baseline_of(columns: Columns, seed: int) -> dict[str, Any]:
    """Return the metrics of a baseline's columns, and their intervals."""
    return brief_metrics(("miou", "pixel_accuracy"), columns, seed)


def plain_baselines(images: Mapping[str, Images], num_classes: int, inputs: Inputs, segment: Segment) -> dict[str, Any]:
    """Return what patches score that hold one plain thing."""
    return {name: _baseline(images, name, num_classes, inputs, segment) for name in BASELINES}


def _baseline(
    images: Mapping[str, Images], name: str, num_classes: int, inputs: Inputs, segment: Segment
) -> dict[str, Any]:
    plain = plain_images(images, name, inputs.seed)
    return baseline_of(segment(plain, num_classes, inputs, False)[0], inputs.seed)
