"""An encoder that sees images as they are meant to be seen: turned or mirrored as their EXIF orientation says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image, ImageOps

from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.encoders.towers.preprocess import Halves
from mlcd_eval.features.decoders import JpegsOnGpu
from mlcd_eval.features.wrapped import WrappedEncoder
from mlcd_eval.support.foreign import reading


@dataclass(frozen=True)
class Upright:
    """EXIF orientation applied, as `datasets` does when it decodes, then a preprocess. Picklable if the preprocess
    is."""

    preprocess: Preprocess

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return an RGB image, which still holds its EXIF, as the preprocess does: (3, H, W)."""
        return self.preprocess(_upright(image))

    def halves(self, halves_of: Callable[[Any], Halves | None]) -> Halves | None:
        """Return the preprocess's two stages, of which the first one takes the upright image, if it has them."""
        halves = halves_of(self.preprocess)
        if halves is None:
            return None
        resized, normalise = halves
        return lambda image: resized(_upright(image)), normalise


def _upright(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF orientation says. Raises DataError if its EXIF is damaged."""
    with reading("the EXIF orientation of an image cannot be read"):
        return ImageOps.exif_transpose(image)


class UprightEncoder(WrappedEncoder):
    """An encoder whose images are upright, which is part of its features' identity. Images are turned on the CPU."""

    def __init__(self, encoder: Encoder) -> None:
        encoder = encoder.on_cpu if isinstance(encoder, JpegsOnGpu) else encoder
        super().__init__(encoder)
        self.info = replace(encoder.info, preprocessing=f"EXIF orientation applied; {encoder.info.preprocessing}")

    @property
    def as_they_are(self) -> Encoder:
        """The encoder of the same images without turning them."""
        return self._encoder

    @property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The encoder's preprocess of the upright image."""
        return Upright(self._encoder.preprocess)
