"""An encoder that sees whole images: each is placed at the top left of a square or oblong frame, so that nothing is
cropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.encoders.towers.preprocess import Halves
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.decoders import JpegsOnGpu
from mlcd_eval.features.wrapped import WrappedEncoder

GROUND = (124, 116, 104)  # ImageNet's mean colour, close to zero after normalisation
LARGEST = 8192  # pixels on a side of the square: 200 MB, and larger than any encoder's input
_RAMP = 1024  # pixels on a side of the images by which a crop is measured


@dataclass(frozen=True)
class Letterbox:
    """Padding to a square, then a preprocess. Picklable if the preprocess is.

    shown: the share of the square's side, in its middle, that the preprocess does not crop. frame: height and width of
    the upper left part of this share that the image fills as far as its aspect allows; only their ratio counts. The
    rest is GROUND.
    """

    preprocess: Preprocess
    shown: float = 1.0
    frame: tuple[int, int] = (1, 1)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return an RGB image as (3, H, W), the frame of which is filled along one side at least. An image over LARGEST
        is scaled down first."""
        return self.preprocess(self._square(image))

    def halves(self, halves_of: Callable[[Any], Halves | None]) -> Halves | None:
        """Return the preprocess's two stages, of which the first one takes the square, if it has them."""
        halves = halves_of(self.preprocess)
        if halves is None:
            return None
        resized, normalise = halves
        return lambda image: resized(self._square(image)), normalise

    def _square(self, image: Image.Image) -> Image.Image:
        if max(image.size) > LARGEST:
            image = ImageOps.contain(image, (LARGEST, LARGEST))
        height, width = self.frame
        most = max(self.frame)
        part = max(-(-image.height * most // height), -(-image.width * most // width))  # as `spans` has it
        side = round(part / self.shown)
        margin = (side - part) // 2
        square = Image.new("RGB", (side, side), GROUND)
        square.paste(image, (margin, margin))
        return square


class LetterboxedEncoder(WrappedEncoder):
    """An encoder whose images are letterboxed first, which is part of its features' identity.

    Raises IncompatibleError for a preprocess that shows neither a whole square nor the middle of it.
    """

    def __init__(self, encoder: Encoder, frame: tuple[int, int] = (1, 1)) -> None:
        encoder = encoder.on_cpu if isinstance(encoder, JpegsOnGpu) else encoder
        super().__init__(encoder)
        self._frame = frame
        self._shown = shown_of_a_square(encoder.preprocess)
        margin = "" if self._shown == 1 else f" with a margin around the middle {self._shown:.4f}"
        oblong = "" if frame[0] == frame[1] else f" to the upper left {frame[0]} x {frame[1]}"
        self.info = replace(
            encoder.info, preprocessing=f"letterboxed on {GROUND}{oblong}{margin}; {encoder.info.preprocessing}"
        )

    @property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The letterbox with the encoder's preprocess."""
        return Letterbox(self._encoder.preprocess, self._shown, self._frame)


def shown_of_a_square(preprocess: Preprocess) -> float:
    """Return the share of a square's side that a preprocess shows: 1, or less if it crops the middle after resizing.

    It is measured by preprocessing two ramps of grey. Raises IncompatibleError if the preprocess does something else.
    """
    position = (np.arange(_RAMP) + 0.5) / _RAMP
    slant = 0.2  # rows are rounded at different positions, which cancels in their mean
    ramp = (255 * ((1 - slant) * position + slant * position[:, None])).round().astype(np.uint8)
    dark, bright = (preprocess(Image.new("RGB", (_RAMP, _RAMP), (grey,) * 3)) for grey in (0, 255))
    parts = []
    for axis, image in ((2, ramp), (1, ramp.T)):
        output = (preprocess(Image.fromarray(image).convert("RGB")) - dark) / (bright - dark)
        side = output.shape[axis]
        seen = (output.mean(dim=(0, 3 - axis), dtype=torch.float64).numpy() - slant / 2) / (1 - slant)
        inner = np.arange(side)[side // 8 : side - side // 8]  # away from the edges, where filters are cut off
        slope = np.polyfit((inner + 0.5) / side, seen[inner], 1)[0]
        part = side / max(round(side / slope), side) if slope > 0 else 0.0  # the resized image had whole pixels
        centred = np.abs(seen[inner] - (0.5 + part * ((inner + 0.5) / side - 0.5))).max()
        parts.append(part if centred < max(0.01, 1 / side) else 0.0)
    if parts[0] != parts[1] or not parts[0]:
        raise IncompatibleError(
            f"the encoder cannot be shown whole images: its preprocessing shows {parts[0]:.3f} of a square's width and "
            f"{parts[1]:.3f} of its height (0: not its middle), expected the same part of both"
        )
    return parts[0]
