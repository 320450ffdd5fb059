"""Images with the patches of their features, beside what the data says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Annotation, ClassMap, PixelValues
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.scored import of_kind

A = TypeVar("A", ClassMap, PixelValues)


@dataclass(frozen=True)
class PatchImages(Generic[A]):
    """Images row by row. array: (N, h, w, D), possibly memory-mapped; annotations: of each; num_unread: images that
    could not be read; frame: as Features have it."""

    array: NDArray[np.floating]
    annotations: Sequence[A]
    num_unread: int = 0
    frame: tuple[int, int] = (1, 1)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.array.shape[1], self.array.shape[2]

    @property
    def layout(self) -> Layout:
        """Where the images' pixels lie among the patches."""
        return Layout(self.grid, self.frame)


def checked_images(inputs: Inputs, kind: type[A]) -> dict[str, PatchImages[A]]:
    """The images of each role. Raises DataError for features that are not finite, and where no image of a role could be
    read."""
    for role, features in inputs.images.items():
        check_finite(features.array, f"patch features of {role}", features.keys)
    return {role: patch_images(each, inputs.annotations[role], kind, role) for role, each in inputs.images.items()}


def patch_images(features: Features, annotations: Sequence[Annotation], kind: type[A], role: str) -> PatchImages[A]:
    """The images of a role in the order of their features. Raises DataError where none could be read."""
    by_key = {each.image: each for each in of_kind(annotations, kind)}
    read = [by_key[key] for key in features.keys]
    if not read:
        raise DataError(f"the {role} split has no images that can be read: got 0, expected at least 1")
    return PatchImages(features.array, read, len(by_key) - len(read), features.frame)
