"""Patch features by annotation: which image a sentence or question is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlcd_eval.data.base import Annotation
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    import torch


def patches_of(images: Features, annotations: Sequence[Annotation], role: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Annotation numbers (B,) -> the patches (B, h, w, D) of their images.

    Raises DataError for features that are not finite and for annotations of images that could not be read.
    """
    import torch

    check_finite(images.array, f"patch features of {role}", images.keys)
    row = {key: number for number, key in enumerate(images.keys)}
    lost = [annotation.image for annotation in annotations if annotation.image not in row]
    if lost:
        raise DataError(
            f"{role}: {len(lost)} of {len(annotations)} annotations are of images that cannot be read, first "
            f"{lost[0]!r}"
        )
    of_image = np.array([row[annotation.image] for annotation in annotations])
    return lambda index: torch.from_numpy(np.ascontiguousarray(images.array[of_image[index]]))
