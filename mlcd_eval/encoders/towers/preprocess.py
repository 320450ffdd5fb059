"""The inference transform of this project's checkpoints: CLIP's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Halves: TypeAlias = "tuple[Callable[[Image.Image], Any], Callable[[Image.Image], torch.Tensor]]"
"""An image -> 8-bit pixels (H, W, 3), and an 8-bit image -> the encoder's input (3, H, W)."""


class Preprocess(BaseModel):
    """Resize the shorter side (bicubic, antialiased, on 8-bit pixels), crop the centre square, normalise. Picklable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, image_size, image_size) float32."""
        return self.normalise(self.resized(image))

    def at_side(self, side: int) -> Preprocess:
        """Return the same for squares of another side."""
        return self.model_copy(update={"image_size": side})

    def halves(self, _: Callable[[Any], Halves | None]) -> Halves:
        """Return the two steps."""
        return self.resized, self.normalise

    def resized(self, image: Image.Image) -> Image.Image:
        """RGB image -> its centre square of image_size."""
        size, (width, height) = self.image_size, image.size
        resized = (size, size * height // width) if width <= height else (size * width // height, size)
        image = image.resize(resized, Image.Resampling.BICUBIC)
        left, top = round((resized[0] - size) / 2), round((resized[1] - size) / 2)
        return image.crop((left, top, left + size, top + size))

    def normalise(self, image: Image.Image) -> torch.Tensor:
        """RGB image (H, W) -> (3, H, W) float32."""
        pixels = np.asarray(image, dtype=np.float32) / 255
        normalised = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return torch.from_numpy(normalised.transpose(2, 0, 1).copy())

    def __str__(self) -> str:
        return f"resize shorter side to {self.image_size} bicubic, centre crop, mean {self.mean}, std {self.std}"
