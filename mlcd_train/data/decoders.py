"""`data.decoder`: from an encoded image to augmented 8-bit pixels.

`pil` decodes and resizes as mlcd-eval does, and is exact. `torch` decodes JPEG by TorchCodec, to the same pixels, and
resizes 8-bit pixels by PyTorch, antialiased; it is faster, and pixels differ by a step or two of 255 (`difference`
measures it).
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mlcd_eval.data.base import EncodedImage
from mlcd_eval.data.storage.images import FORMATS, MAX_RATIO, decode
from mlcd_eval.errors import DataError
from mlcd_eval.features.decoders import check_torchcodec
from mlcd_train.augment import augmented, view_of
from mlcd_train.data.batches import Bad
from mlcd_train.sections import Augmentation

Decoder = Literal["pil", "torch"]

Resize: TypeAlias = "Callable[[EncodedImage, str, random.Random], Tensor]"


class BadImage(DataError):
    """An image that is not trained on. bad: why."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(bad.message)
        self.bad = bad


@dataclass(frozen=True)
class Load:
    """Decodes and augments images to (size, size, 3) uint8. min_side: pixels of the shorter side."""

    decoder: Decoder
    augmentation: Augmentation
    size: int
    min_side: int = 1

    def __call__(self, image: EncodedImage, key: str, chance: random.Random) -> Tensor:
        """The pixels of an image; raises BadImage."""
        is_torch = self.decoder == "torch"
        try:
            decoded = decode(image, key, _jpeg) if is_torch else decode(image, key)
        except DataError as error:
            raise BadImage(Bad(_reason(image), str(error))) from error
        if isinstance(decoded, Image.Image):
            self._check_side(decoded.size, key)
            if not is_torch:
                return augmented(decoded, chance, self.augmentation, self.size)
            decoded = torch.from_numpy(np.array(decoded)).permute(2, 0, 1)
        self._check_side((decoded.shape[2], decoded.shape[1]), key)
        return self._resized(decoded, chance)

    def _check_side(self, size: tuple[int, int], key: str) -> None:
        if min(size) < self.min_side:
            message = (
                f"image {key!r} has {size[0]} x {size[1]} pixels, expected at least {self.min_side} (data.min_side)"
            )
            raise BadImage(Bad("too small", message))

    def _resized(self, pixels: Tensor, chance: random.Random) -> Tensor:
        """(3, H, W) uint8 -> (size, size, 3): a crop, resized, and perhaps flipped, drawn as for Pillow."""
        (left, top, right, bottom), flipped = view_of((pixels.shape[2], pixels.shape[1]), chance, self.augmentation)
        crop = pixels[None, :, top:bottom, left:right].contiguous(memory_format=torch.channels_last)
        size = (self.size, self.size)
        resized = torch.nn.functional.interpolate(crop, size, mode="bicubic", antialias=True)[0].permute(1, 2, 0)
        return resized.flip(1) if flipped else resized


def _jpeg(contents: bytes) -> Tensor:
    """(3, H, W) uint8 of a JPEG file. Raises RuntimeError for a damaged one."""
    from torchcodec.decoders import decode_jpeg

    pixels: Tensor = decode_jpeg(contents)
    return pixels


def _reason(image: EncodedImage) -> str:
    """Why an image cannot be used, by its header."""
    try:
        source: Any = io.BytesIO(image) if isinstance(image, bytes) else image
        size = source.size if isinstance(source, Image.Image) else Image.open(source, formats=FORMATS).size
    except Image.DecompressionBombError:
        return "too large"
    except Exception:
        return "undecodable"
    return "too long" if max(size) > MAX_RATIO * min(size) else "undecodable"


def check_decoder(decoder: Decoder) -> None:
    """Raise ConfigError where a decoder's package is missing."""
    if decoder == "torch":
        check_torchcodec("data.decoder: torch")


def difference(decoder: Decoder, augmentation: Augmentation, size: int) -> str:
    """How much the pixels of a decoder differ from Pillow's on a test image, for provenance."""
    if decoder == "pil":
        return "pil: exact"
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
    load = {name: Load(name, augmentation, size) for name in ("pil", decoder)}
    steps = torch.cat(
        [
            (
                load[decoder](file.getvalue(), "", random.Random(n)).int()
                - load["pil"](file.getvalue(), "", random.Random(n))
            )
            .abs()
            .flatten()
            for n in range(8)
        ]
    )
    return f"torch: differs from Pillow by {steps.double().mean():.2f} of 255 on average, at most {int(steps.max())}"
