"""An encoder that is shown whole images: each stands at the top left of a square, so that no crop takes any of it."""

from __future__ import annotations

from collections.abc import Sequence
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


class WholeImage(Encoder):
    """The same encoder behind a letterbox, which is part of its features' identity."""

    def __init__(self, encoder: Encoder) -> None:
        words = f"letterboxed on {GROUND}; {encoder.info.preprocessing}"
        self.info = replace(encoder.info, preprocessing=words)
        self._encoder = encoder

    @property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The encoder's, behind the padding."""
        return Letterbox(self._encoder.preprocess)

    @property
    def reentrant(self) -> bool:  # type: ignore[override]
        """As the encoder."""
        return self._encoder.reentrant

    @property
    def device(self) -> torch.device:
        """As the encoder."""
        return self._encoder.device

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """By the encoder."""
        return self._encoder.encode_images(pixels, layers)
