"""An encoder that is shown whole images: each stands at the top left of a square, so that no crop takes any of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from PIL import Image, ImageOps

from mlcd_eval.encoders.base import Encoder, Preprocess

GROUND = (124, 116, 104)  # ImageNet's mean colour, close to nothing once normalised
LARGEST = 8192  # pixels on a side of the square: 200 MB, and more than any encoder is given


@dataclass(frozen=True)
class Letterbox:
    """A preprocess behind the padding. Picklable where that is."""

    preprocess: Preprocess

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, H, W), the image's longer side filling it. An image longer than LARGEST is scaled first."""
        if max(image.size) > LARGEST:
            image = ImageOps.contain(image, (LARGEST, LARGEST))
        square = Image.new("RGB", (max(image.size), max(image.size)), GROUND)
        square.paste(image, (0, 0))
        return self.preprocess(square)


def whole_image(encoder: Encoder) -> Encoder:
    """The same encoder behind a letterbox, which is part of its features' identity."""
    other = copy.copy(encoder)
    other.preprocess = Letterbox(encoder.preprocess)
    other.info = replace(encoder.info, preprocessing=f"letterboxed on {GROUND}; {encoder.info.preprocessing}")
    return other
