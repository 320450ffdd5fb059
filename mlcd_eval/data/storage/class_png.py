"""A map of classes as text for JSON lines: a PNG of one number per pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading


def as_png(classes: NDArray[Any]) -> dict[str, str]:
    """Return classes (height, width) of at most 65,534, UNLABELLED where there is none, as a dict with a PNG."""
    from PIL import Image

    file = io.BytesIO()
    levels = (classes.astype(np.int32) - UNLABELLED).astype(np.uint16)  # 0 is none
    Image.fromarray(levels if levels.max() > 255 else levels.astype(np.uint8)).save(file, "PNG", compress_level=3)
    return {"png": base64.b64encode(file.getvalue()).decode("ascii")}


def of_png(held: Mapping[str, Any], what: str) -> NDArray[np.int32]:
    """Return the classes that `as_png` made a dict of. Raises DataError, which names `what`, for another one."""
    from PIL import Image

    with (
        reading(f"{what} is no map of classes"),
        Image.open(io.BytesIO(base64.b64decode(held.get("png", "")))) as image,
    ):
        levels = np.asarray(image)
    if levels.ndim != 2:
        raise DataError(f"{what} is no map of classes: got a picture of {levels.shape}, expected one number per pixel")
    return levels.astype(np.int32) + UNLABELLED
