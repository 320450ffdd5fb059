"""Blur: pixels are averaged over a neighbourhood."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from mlcd_eval.data.alterations.noise import Corrupted, Pixels


def defocus_blur(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Average over a disk whose rim is antialiased; edges are mirrored."""
    kernel = _disk(*((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1])
    reach = len(kernel) // 2
    padded = np.pad(pixels / 255, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    blurred = signal.fftconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1))
    return np.clip(blurred, 0, 1) * 255


def glass_blur(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Gaussian blur, then pixels that become others nearby, then the blur again.

    The published images have pixels copied from nearby, where the paper speaks of swaps: a swap of two views of an
    array copies one of them.
    """
    sigma, most, passes = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity - 1]
    smooth = (_gaussian(pixels / 255, sigma) * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height - most, most, -1), np.arange(width - most, most, -1)
    places = (rows[:, None] * width + columns).ravel()
    source = list(range(height * width))
    for _ in range(passes):
        across, down = rng.integers(-most, most, size=(len(places), 2)).T
        for place, other in zip(places.tolist(), (places + down * width + across).tolist(), strict=True):
            source[place] = source[other]
    moved = smooth.reshape(-1, 3)[source].reshape(pixels.shape)
    return np.clip(_gaussian(moved / 255, sigma), 0, 1) * 255


def motion_blur(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Average along a line at an angle of up to 45 degrees."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    return np.clip(along_line(pixels.astype(np.float64), radius, sigma, rng.uniform(-45, 45)), 0, 255)


def zoom_blur(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Average of the image and enlargements of its middle."""
    factors = (
        np.arange(1, 1.11, 0.01),
        np.arange(1, 1.16, 0.01),
        np.arange(1, 1.21, 0.02),
        np.arange(1, 1.26, 0.02),
        np.arange(1, 1.31, 0.03),
    )[severity - 1]
    image = pixels / 255
    images = [image, *(enlarged(image, float(factor)) for factor in factors)]
    return np.clip(np.mean(images, axis=0), 0, 1) * 255


def along_line(image: NDArray[Any], radius: int, sigma: float, angle: float) -> NDArray[np.float64]:
    """ImageMagick's MotionBlurImage of values (h, w, ...) from 0 to 255, rounded to whole ones: a one-sided Gaussian of
    2 * radius + 1 pixels in the direction of the angle, in degrees; edges are repeated."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    turn = math.radians(angle)
    height, width = image.shape[:2]
    total = np.zeros(image.shape)
    for step, weight in zip(steps.tolist(), (weights / weights.sum()).tolist(), strict=True):
        across, down = math.ceil(step * math.cos(turn) - 0.5), math.ceil(step * math.sin(turn) - 0.5)
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + across, 0, width - 1)
        total += weight * image[rows][:, columns]
    return np.floor(total + 0.5)


def enlarged(image: NDArray[Any], factor: float) -> NDArray[np.float64]:
    """The middle of a square image (n, n, C), enlarged to its size by linear interpolation, as scipy's zoom does it."""
    weights = _enlargement(len(image), float(factor))
    across = np.einsum("jw,hwc->hjc", weights, image, optimize=True)
    return np.einsum("ih,hjc->ijc", weights, across, optimize=True)


@lru_cache(maxsize=128)
def _enlargement(size: int, factor: float) -> NDArray[np.float64]:
    """The weights (size, size) by which rows of an enlarged middle are made of an image's rows."""
    shown = math.ceil(size / factor)
    first = (size - shown) // 2
    made = round(shown * factor)
    trimmed = (made - size) // 2
    at = np.arange(made)[trimmed : trimmed + size] * ((shown - 1) / (made - 1) if made > 1 else 0.0)
    low = np.minimum(np.floor(at).astype(int), max(shown - 2, 0))
    weights = np.zeros((size, size))
    np.add.at(weights, (np.arange(size), first + low), 1 - (at - low))
    np.add.at(weights, (np.arange(size), first + np.minimum(low + 1, shown - 1)), at - low)
    return weights


def _gaussian(image: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur of (h, w, 3); edges are repeated."""
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4.0)


@lru_cache(maxsize=8)
def _disk(radius: int, softness: float) -> NDArray[np.float64]:
    """A disk that sums to 1, smoothed by a small Gaussian of 3 or 5 pixels."""
    reach, size = (8, 3) if radius <= 8 else (radius, 5)
    line = np.arange(-reach, reach + 1)
    disk = (line[:, None] ** 2 + line**2 <= radius**2) * 1.0
    taps = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * softness**2))
    taps /= taps.sum()
    padded = np.pad(disk / disk.sum(), size // 2, mode="reflect")
    return signal.convolve(padded, np.outer(taps, taps), mode="valid", method="direct")
