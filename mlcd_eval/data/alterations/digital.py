"""Digital changes: of light, of places, and by storage."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mlcd_eval.data.alterations.noise import Corrupted, Pixels
from mlcd_eval.data.storage.images import decode

_ELASTIC = 244  # of the definition, where the images' 224 was meant


def brightness(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """A larger value of HSV; hue and saturation stay."""
    image = pixels / 255
    value = image.max(axis=2, keepdims=True)
    brighter = np.clip(value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 0, 1)
    return np.where(value > 0, image * (brighter / np.where(value > 0, value, 1)), brighter) * 255


def contrast(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Nearer to the mean of each channel."""
    means = pixels.mean(axis=(0, 1), keepdims=True)
    return np.clip((pixels - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1] + means, 0, 255)


def elastic_transform(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """A random affine map, then displacements that are smooth noise."""
    strength, sigma, reach = (
        (2, 0.7, 0.1),
        (2, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    )[severity - 1]
    size = np.array(pixels.shape[:2])
    middle, side = size // 2, size.min() // 3
    corners = np.array([middle + side, (middle[0] + side, middle[1] - side), middle - side], dtype=np.float64)
    moved = corners + rng.uniform(-reach * _ELASTIC, reach * _ELASTIC, size=(3, 2))
    backwards = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)  # (x, y, 1) of the result -> (x, y)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    from_x, from_y = np.einsum("ki,khw->ihw", backwards, np.stack([x, y, np.ones_like(x)]))
    turned = _at(pixels / 255, from_y, from_x, "mirror")
    shift_x, shift_y = (
        _smooth(rng.uniform(-1, 1, size=size), sigma * _ELASTIC) * (strength * _ELASTIC) for _ in range(2)
    )
    return np.clip(_at(turned, y + shift_y, x + shift_x, "reflect"), 0, 1) * 255


def pixelate(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Smaller and back, by averages over boxes."""
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((int(width * share), int(height * share)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BOX), dtype=np.float64)


def jpeg_compression(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """JPEG of low quality."""
    return as_jpeg(pixels, (25, 18, 15, 10, 7)[severity - 1]).astype(np.float64)


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Pixels as they are after storage as JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(decode(file.getvalue(), "stored as JPEG"))


def _at(image: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """The image's values between pixels, by linear interpolation."""
    channels = [ndimage.map_coordinates(channel, (y, x), order=1, mode=mode) for channel in np.moveaxis(image, 2, 0)]
    return np.stack(channels, axis=2)


def _smooth(noise: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur of (h, w), by matrices since it reaches beyond the image."""
    down, across = (_smoothing(length, sigma) for length in noise.shape)
    return down @ noise @ across.T


@lru_cache(maxsize=16)
def _smoothing(length: int, sigma: float) -> NDArray[np.float64]:
    return ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, mode="reflect", truncate=3)
