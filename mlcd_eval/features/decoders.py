"""`--decoder`: how images become pixels. `pil` is each model's own preprocessing and exact.

`torch` resizes by PyTorch instead of Pillow, on 8-bit pixels and antialiased as Pillow does it. It is faster, and some
pixels differ by one step of 255, so that features are kept apart from those of `pil`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.wrapped import WrappedEncoder

if TYPE_CHECKING:
    import torch

    from mlcd_eval.encoders.towers.preprocess import Halves

TORCH = "resized by torch on 8-bit pixels"


def with_decoder(encoder: Encoder, decoder: str) -> Encoder:
    """Return an encoder of images with the decoder `pil` or `torch`; other models prepare their images themselves."""
    return TorchResizedEncoder(encoder) if decoder == "torch" and encoder.info.layers else encoder


class TorchResizedEncoder(WrappedEncoder):
    """An encoder whose images are resized by PyTorch, which is part of its features' identity."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.info = replace(encoder.info, preprocessing=f"{TORCH}; {encoder.info.preprocessing}")

    @cached_property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The encoder's preprocessing with another resize. Raises IncompatibleError if its steps are not known."""
        steps = _steps(self._encoder.preprocess)
        if steps is None:
            raise IncompatibleError(
                f"--decoder torch: model {self.info.spec!r} is preprocessed by "
                f"{type(self._encoder.preprocess).__name__}, expected a checkpoint's or torchvision's Resize and "
                f"CenterCrop; use --decoder pil"
            )
        return steps


@dataclass(frozen=True)
class TorchResize:
    """resizes: torchvision transforms of tensors, in order. normalise: 8-bit image -> the encoder's input."""

    resizes: Sequence[Any]
    normalise: Any

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, H, W) float32."""
        return self.normalise(Image.fromarray(self.resized(image)))

    def halves(self, _: Any) -> Halves:
        """Return the two stages."""
        return self.resized, self.normalise

    def resized(self, image: Image.Image) -> Any:
        """RGB image -> (H, W, 3) uint8."""
        import numpy as np
        import torch

        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        for resize in self.resizes:
            pixels = resize(pixels)
        return pixels.permute(1, 2, 0).contiguous().numpy()


def _steps(preprocess: Any) -> TorchResize | None:
    """Return a transform's steps for PyTorch, None unless all of them are known."""
    from torchvision.transforms import v2

    from mlcd_eval.encoders.stages import halves_of
    from mlcd_eval.encoders.towers.preprocess import Preprocess as OwnPreprocess

    halves = halves_of(preprocess)
    if halves is None:
        return None
    resized, normalise = halves
    if isinstance(preprocess, OwnPreprocess):
        size = preprocess.image_size
        bicubic = v2.InterpolationMode.BICUBIC
        return TorchResize((v2.Resize(size, bicubic, antialias=True), v2.CenterCrop(size)), normalise)
    resizes: list[Any] = []
    for step in getattr(resized, "transforms", [None]):
        match type(step).__name__:
            case "Resize":
                resizes.append(v2.Resize(step.size, step.interpolation, max_size=step.max_size, antialias=True))
            case "CenterCrop":
                resizes.append(v2.CenterCrop(step.size))
            case "MaybeConvertMode":  # open_clip's; images are RGB already
                continue
            case _:
                return None
    return TorchResize(tuple(resizes), normalise)
