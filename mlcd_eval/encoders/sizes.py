"""Images of another size than a tower's own: which sizes it takes, and the same preprocessing at another size."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Positions = Literal["interpolated", "native"]


@dataclass(frozen=True)
class Sizes:
    """What a tower takes besides its own size. multiple: pixels along a side
    of a patch, of which height and width are multiples.
    positions: `interpolated` where those of training are, `native` where a tower has none that depend on the size
    (convolutions) or computes them for any (rotary ones)."""

    multiple: int
    positions: Positions

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of patches of a height and width."""
        return size[0] // self.multiple, size[1] // self.multiple


def sizes_of(
    image_size: tuple[int, int], patches: Any, preprocess: Any, positions: Positions, patch: int | None = None
) -> Sizes | None:
    """Return the sizes of a tower that takes others than its own.

    patches: those of an image (B, h, w, D), None without. patch: their side in pixels as the tower has it, if it does.
    None where there is no square grid whose patches are of whole pixels, or nothing is known of how the preprocessing
    scales.
    """
    side = image_size[0]
    if patches is None or side != image_size[1] or patches.shape[1] != patches.shape[2]:
        return None
    cells = patches.shape[1]
    if patch is None or side // patch != cells:
        patch = side // cells if side % cells == 0 else None
    return None if patch is None or rescaled(preprocess, side, side) is None else Sizes(patch, positions)


def rescaled(preprocess: Any, side: int, own: int) -> Any:
    """Return a preprocessing that gives squares of `side` pixels and shows as much of an image as one that gives `own`,
    None for a transform of no known type.

    Known are transforms with a method `at_side`, and those of torchvision, timm and open_clip that scale and crop.
    """
    if hasattr(preprocess, "at_side"):
        return preprocess.at_side(side)
    if hasattr(preprocess, "transforms"):
        steps = rescaled_steps(preprocess.transforms, side / own)
        return None if steps is None else type(preprocess)(steps)
    return _step(preprocess, side / own) if hasattr(preprocess, "crop_size") else None


def rescaled_steps(steps: Sequence[Any], factor: float) -> list[Any] | None:
    """Return steps of a transform with their sizes scaled, None where one is not known."""
    scaled = [_step(step, factor) for step in steps]
    return None if any(step is None for step in scaled) else scaled


_SCALED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Resize", "CenterCrop", "ResizeKeepRatio", "CenterCropOrPad"), ("size",)),
    "ImageClassification": ("resize_size", "crop_size"),
}
"""Class of a step -> its attributes that are sizes: torchvision's, and those that timm and open_clip add."""
_KEPT = ("MaybeConvertMode", "ToTensor", "MaybeToTensor", "Normalize")


def _step(step: Any, factor: float) -> Any:
    """Return a step of a transform with its sizes scaled, None for one that is not known."""
    name = type(step).__name__
    if name in _KEPT:
        return step
    if name not in _SCALED or getattr(step, "max_size", None) is not None:
        return None
    other = copy.copy(step)
    for attribute in _SCALED[name]:
        setattr(other, attribute, _scaled(getattr(step, attribute), factor))
    return other


def _scaled(size: Any, factor: float) -> Any:
    return round(size * factor) if isinstance(size, int) else type(size)(round(each * factor) for each in size)
