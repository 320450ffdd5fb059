"""An encoder's preprocessing in two stages: resizing and cropping, which gives 8-bit pixels, and normalisation.

Pixels of 8 bits are a quarter of normalised ones, so that worker processes send less and less is copied to a GPU. Each
normalised value depends only on the channel and the pixel's value, one of 256, so that normalisation is a table. The
transform itself computes the table, on the CPU, which makes the table's values equal to the transform's bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.encoders.probe import fixed_image
from mlcd_eval.encoders.towers.preprocess import Halves

NORMALISES = {"ToTensor", "MaybeToTensor", "Normalize"}
"""Names of torchvision's and timm's transforms that change each value by itself."""


@dataclass(frozen=True)
class Stages:
    """prepare: RGB image -> what an encoder's input is made from: (H, W, C) uint8 if there is a table, else the input
    (C, H, W) float32. shape, dtype: those of `prepare`'s result. table: (C, 256) float32, input values by channel and
    pixel value. jpeg, alter: as an encoder's.
    """

    prepare: Callable[[Image.Image], torch.Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    table: torch.Tensor | None = None
    jpeg: Callable[[bytes], Image.Image] | None = None
    alter: Callable[[Image.Image, str], Image.Image] | None = None

    def to(self, device: torch.device) -> Stages:
        """Return the stages with their table on a device."""
        table = None if self.table is None else self.table.to(device)
        return replace(self, table=table)

    def finish(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the encoder's input (B, C, H, W) float32 for rows (B, ...) on the table's device."""
        if self.table is None:
            return rows
        channels = len(self.table)
        first = torch.arange(0, 256 * channels, 256, dtype=torch.int32, device=rows.device)
        positions = (rows.int() + first).flatten()
        return self.table.flatten().index_select(0, positions).view(rows.shape).permute(0, 3, 1, 2)


def stages(encoder: Encoder) -> Stages:
    """Return an encoder's preprocessing for its device: two stages for CUDA, where the transform can be split.

    On a CPU worker processes do all of it, since the forward pass needs every core of this process.
    """
    split = split_preprocess(encoder.preprocess) if encoder.device.type == "cuda" else None
    found = split or Stages(encoder.preprocess, (3, *encoder.info.image_size))
    return replace(found, jpeg=encoder.jpeg, alter=encoder.alter)


def split_preprocess(preprocess: Preprocess) -> Stages | None:
    """Return a transform's two stages: of this project's, torchvision's Compose (open_clip, timm), or a transformers
    image processor. None for another transform, or if the stages do not reproduce it on a test image bit for bit."""
    halves = halves_of(preprocess)
    if halves is None:
        return None
    resized, normalise = halves
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    try:
        table = torch.as_tensor(normalise(Image.fromarray(values))).reshape(3, 256).float()
        prepare = _Prepare(resized)
        rows = prepare(fixed_image())
        split = Stages(prepare, tuple(rows.shape), torch.uint8, table)
        exact = rows.dtype == torch.uint8 and torch.equal(split.finish(rows[None])[0], preprocess(fixed_image()))
    except (TypeError, ValueError, RuntimeError, AttributeError):  # a transform of the same name that does other things
        return None
    return split if exact else None


@dataclass(frozen=True)
class _Prepare:
    resized: Callable[[Image.Image], Any]

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(self.resized(image)))


def halves_of(preprocess: Any) -> Halves | None:
    """Return a transform's two halves, None if it is of no known type."""
    if hasattr(preprocess, "halves"):
        halves: Halves | None = preprocess.halves(halves_of)
        return halves
    if hasattr(preprocess, "processor"):
        return _of_processor(preprocess.processor)
    if hasattr(preprocess, "transforms"):
        return _of_compose(preprocess)
    return None


def _of_compose(compose: Any) -> Halves | None:
    """Split torchvision's Compose where it makes a tensor of the image."""
    steps = list(compose.transforms)
    names = [type(step).__name__ for step in steps]
    first = next((position for position, name in enumerate(names) if name in NORMALISES), None)
    if first is None or not set(names[first:]) <= NORMALISES:
        return None
    return type(compose)(steps[:first]), type(compose)(steps[first:])


def _of_processor(processor: Any) -> Halves:
    """Split a transformers image processor by its flags."""

    def resized(image: Image.Image) -> np.ndarray:
        output = processor(images=image, do_rescale=False, do_normalize=False, return_tensors="np")
        return np.ascontiguousarray(output["pixel_values"][0].transpose(1, 2, 0))

    def normalise(image: Image.Image) -> torch.Tensor:
        output = processor(images=image, do_resize=False, do_center_crop=False, do_pad=False, return_tensors="pt")
        return output["pixel_values"][0]

    return resized, normalise
