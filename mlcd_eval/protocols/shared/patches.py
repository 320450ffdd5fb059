"""Patch features by annotation: the patches of the image that a sentence or question is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlcd_eval.data.annotations import OnOneImage
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    import torch


def patches_of(
    images: Features, annotations: Sequence[OnOneImage], role: str, device: str
) -> Callable[[np.ndarray], torch.Tensor]:
    """Return a function from annotation numbers (B,) to the patches (B, h, w, D) of their images, on the device.

    Raises DataError for features that are not finite and for annotations of images that could not be read.
    """
    from mlcd_eval.support.resident import Rows

    check_finite(images.array, f"patch features of {role}", images.keys)
    row = {key: number for number, key in enumerate(images.keys)}
    unreadable = [annotation.image for annotation in annotations if annotation.image not in row]
    if unreadable:
        raise DataError(
            f"{role}: {len(unreadable)} of {len(annotations)} annotations are of images that cannot be read, first "
            f"{unreadable[0]!r}"
        )
    image_row = np.array([row[annotation.image] for annotation in annotations])
    patches = Rows(images.array, device)
    return lambda index: patches[image_row[index]]
