"""An image under an alteration, which depends on the image, its key and the alteration's name only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from mlcd_eval.data.alterations.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from mlcd_eval.data.alterations.digital import (
    as_jpeg,
    brightness,
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from mlcd_eval.data.alterations.names import LEAST, RECIPE, STABILITY
from mlcd_eval.data.alterations.noise import Corrupted, Pixels, gaussian_noise, impulse_noise, shot_noise
from mlcd_eval.data.alterations.small_changes import small_change
from mlcd_eval.data.alterations.weather import fog, frost, snow
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.interval import generator

Corruption = Callable[[Pixels, int, np.random.Generator], Corrupted]

SIDE, SHORTER = 224, 256
"""Pixels of the middle that ImageNet-C corrupts, and of the shorter side from which it is cut."""
QUALITY = 85  # of the JPEG files of ImageNet-C

FUNCTIONS: dict[str, Corruption] = {
    function.__name__: function
    for function in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        defocus_blur,
        glass_blur,
        motion_blur,
        zoom_blur,
        snow,
        frost,
        fog,
        brightness,
        contrast,
        elastic_transform,
        pixelate,
        jpeg_compression,
    )
}


def altered(image: Image.Image, key: str, name: str) -> Image.Image:
    """Return an RGB image under an alteration, with the EXIF of the original.

    A corruption is applied as in ImageNet-C: to the middle 224 x 224 pixels of the image at a shorter side of 256,
    which are then stored as JPEG of quality 85. Its source of chance is seeded by key and name. Raises DataError for an
    image with a side of fewer than LEAST pixels.
    """
    if min(image.size) < LEAST:
        raise DataError(
            f"image {key!r} cannot be altered by {name}: got {image.width} x {image.height} pixels, expected sides of "
            f"at least {LEAST}"
        )
    kind, _, which = name.partition("/")
    if kind == STABILITY:
        made = Image.fromarray(small_change(np.asarray(image), which))
    else:
        chance = generator(RECIPE, f"{name} {key.encode('utf-8', 'surrogateescape').hex()}")
        corrupted = FUNCTIONS[kind](np.asarray(framed(image)), int(which), chance)
        made = Image.fromarray(as_jpeg(corrupted.astype(np.uint8), QUALITY))
    if "exif" in image.info:
        made.info["exif"] = image.info["exif"]
    return made


def framed(image: Image.Image) -> Image.Image:
    """Return the middle of the image as torchvision's Resize(256) and CenterCrop(224) cut it."""
    width, height = image.size
    size = [int(SHORTER * side / min(width, height)) for side in (width, height)]
    resized = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    left, top = (round((side - SIDE) / 2) for side in size)
    return resized.crop((left, top, left + SIDE, top + SIDE))
