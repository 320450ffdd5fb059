"""Weather: something is in the air or on the glass."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mlcd_eval.data.alterations.blur import along_line, enlarged
from mlcd_eval.data.alterations.noise import Corrupted, Pixels

PLANES = 5  # textures of frost
_PLANE = 512  # pixels on a side of one
_GREY = np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601


def snow(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Flakes that fall along a line, over an image that is paler."""
    mean, deviation, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    flakes = enlarged(rng.normal(mean, deviation, size=(*pixels.shape[:2], 1)), zoom)
    flakes[flakes < least] = 0
    fallen = along_line(np.floor(np.clip(flakes, 0, 1) * 255), radius, sigma, rng.uniform(-135, -45)) / 255
    image = pixels / 255
    pale = kept * image + (1 - kept) * np.maximum(image, (image @ _GREY)[..., None] * 1.5 + 0.5)
    return np.clip(pale + fallen + np.rot90(fallen, k=2), 0, 1) * 255


def frost(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Ice on the glass. ImageNet-C overlays photographs; these textures are made by code (see `frost_plane`)."""
    kept, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    plane = frost_plane(int(rng.integers(PLANES)))
    height, width = pixels.shape[:2]
    top, left = rng.integers(_PLANE - height), rng.integers(_PLANE - width)
    return np.clip(kept * pixels + ice * plane[top : top + height, left : left + width], 0, 255)


def fog(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """A cloud by the diamond-square algorithm, dimmed with the image to the range it had."""
    thickness, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[severity - 1]
    image = pixels / 255
    most = image.max()
    cloud = diamond_square(256, decay, rng)[: pixels.shape[0], : pixels.shape[1], None]
    return np.clip((image + thickness * cloud) * most / (most + thickness), 0, 1) * 255


def diamond_square(size: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fractal heights (size, size) from 0 to 1 on a torus; size: a power of two. decay: of the noise, by which each
    halving of the step divides it.

    The step's noise is its scale times a uniform number between minus and plus this scale, 100 at first.
    """
    heights = np.zeros((size, size))
    step, scale = size, 100.0
    while step >= 2:
        half = step // 2

        def noisy(sums: NDArray[np.float64], scale: float = scale) -> NDArray[np.float64]:
            return sums / 4 + scale * rng.uniform(-scale, scale, sums.shape)

        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = noisy(pairs + np.roll(pairs, -1, axis=1))
        middles = heights[half::step, half::step]
        above = middles + np.roll(middles, 1, axis=0)
        heights[::step, half::step] = noisy(above + corners + np.roll(corners, -1, axis=1))
        beside = middles + np.roll(middles, 1, axis=1)
        heights[half::step, ::step] = noisy(beside + corners + np.roll(corners, -1, axis=0))
        step, scale = half, scale / decay
    heights -= heights.min()
    return heights / heights.max()


@lru_cache(maxsize=PLANES)
def frost_plane(number: int) -> NDArray[np.float64]:
    """A texture of ice, (512, 512, 3) from 0 to 255, the same in every process: ridges of smooth noise at four scales,
    stretched along a direction. Its colours have the mean and the spread of ImageNet-C's photographs."""
    rng = np.random.default_rng([715, number])
    ice = np.zeros((_PLANE, _PLANE))
    for scale in (32, 16, 8, 4):
        stretch = rng.uniform(1, 4)
        noise = ndimage.gaussian_filter(rng.normal(size=ice.shape), (scale / 2, scale / 2 * stretch), mode="wrap")
        turned = ndimage.rotate(np.tile(noise / noise.std(), (2, 2)), rng.uniform(0, 180), reshape=False, order=1)
        middle = turned[_PLANE // 2 : -_PLANE // 2, _PLANE // 2 : -_PLANE // 2]
        ice += scale**0.5 * np.exp(-3 * np.abs(middle))  # a ridge where the noise is 0
    ice = (ice - ice.mean()) / ice.std()
    mean, deviation = rng.uniform(110, 205), rng.uniform(18, 42)
    return np.clip(mean + np.array([-14.0, 0.0, 12.0]) + deviation * ice[..., None], 0, 255)
