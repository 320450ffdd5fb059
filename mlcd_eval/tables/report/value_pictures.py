"""What depth and normals look like: the image, what is true and what is predicted of its pixels, and the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlcd_eval.data.storage.value_png import LEVELS, of_levels
from mlcd_eval.tables.report.class_pictures import NONE, RIGHT, WRONG, shown_at
from mlcd_eval.tables.report.examples import Picture
from mlcd_eval.tables.report.pictures import as_picture

_DARKEST = 40  # of known pixels; unknown ones are black


def value_pictures(row: Mapping[str, Any], image: Image.Image) -> list[Picture]:
    """Four pictures of a sample: depths from dark, which is near, to light, normals as colours of their axes, and
    errors from blue to orange."""
    key, error = row["key"], row["error"]
    truth, prediction, errors = (
        shown_at(of_levels(row[name], f"{name} of {key}"), image.size) for name in ("truth", "prediction", "error")
    )
    if "abs_rel" in row:
        span = f"{row['truth']['low']:.3g} (dark) to {row['truth']['high']:.3g}"
        found = f"{row['abs_rel']:.0%} of the depth on average, orange from {error['high']:.0%} on"
    else:
        span = "red, green and blue are x, y and z"
        degrees = row["sum_angle"] / row["pixels_scored"]
        found = f"{degrees:.0f} degrees on average, orange from {error['high']:.0f} on"
    return [
        as_picture("image", f"image {key}", np.asarray(image)),
        as_picture(f"truth: {span}", f"truth of {key}: {span}", _shown(truth)),
        as_picture("prediction", f"prediction of {key}, as the truth is shown", _shown(prediction)),
        as_picture(f"error: {found}", f"error of {key}: {found}", _between(errors)),
    ]


def _shown(levels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Levels (h, w, 1 or 3) as grey or as colours."""
    pixels = _DARKEST + (255 - _DARKEST) * levels / LEVELS
    return np.where(levels >= 0, pixels, NONE).astype(np.uint8)


def _between(levels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Levels (h, w, 1) between the colours of right and wrong."""
    share = levels / LEVELS
    return np.where(levels >= 0, (1 - share) * np.array(RIGHT) + share * np.array(WRONG), NONE).astype(np.uint8)
