"""Noise: pixels are drawn independently.

As in all files of corruptions here: pixels (h, w, 3) uint8 -> float64 from 0 to 255 at a severity from 1 to 5, by the
definitions of Hendrycks & Dietterich 2019 (hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Corrupted = NDArray[np.float64]


def gaussian_noise(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Normal noise."""
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return np.clip(pixels / 255 + rng.normal(scale=deviation, size=pixels.shape), 0, 1) * 255


def shot_noise(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Poisson noise, as of this number of photons at full intensity."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return np.clip(rng.poisson(pixels / 255 * photons) / photons, 0, 1) * 255


def impulse_noise(pixels: Pixels, severity: int, rng: np.random.Generator) -> Corrupted:
    """Salt and pepper, of each channel by itself."""
    amount = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    hit, salt = rng.random(pixels.shape) <= amount, rng.random(pixels.shape) <= 0.5
    return np.where(hit, np.where(salt, 255.0, 0.0), pixels)
