"""Drawn textures: patterns of two or three colours, which repeat."""

import numpy as np
from PIL import Image

SIDE = 96


def clouds(rng, cells):
    """Smooth noise (SIDE, SIDE) in [0, 1] that repeats at the borders."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(3):
        coarse = rng.normal(size=(cells << octave, cells << octave))
        coarse = np.pad(coarse, 2, mode="wrap")
        size = round(SIDE * coarse.shape[0] / (cells << octave))
        fine = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
        cut = round(2 * SIDE / (cells << octave))
        total += fine[cut : cut + SIDE, cut : cut + SIDE] / 2**octave
    return (total - total.min()) / np.ptp(total)


def pattern(rng):
    """The share of the second colour: (SIDE, SIDE) in [0, 1]."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    kind, n = rng.integers(8), int(rng.integers(2, 6))
    if kind == 0:
        return (np.floor(2 * n * x) % 2).astype(float)
    if kind == 1:
        return (np.floor(2 * n * (x + y)) % 2).astype(float)
    if kind == 2:
        return (np.floor(2 * n * x) + np.floor(2 * n * y)) % 2
    if kind == 3:
        away = np.hypot((n * x) % 1 - 0.5, (n * y) % 1 - 0.5)
        return (away < rng.uniform(0.22, 0.4)).astype(float)
    if kind == 4:
        row = np.floor(2 * n * y)
        return (((2 * n * y) % 1 < 0.16) | ((n * x + 0.5 * (row % 2)) % 1 < 0.08)).astype(float)
    if kind == 5:
        return 0.5 + 0.5 * np.sin(2 * np.pi * (n * x + 0.8 * clouds(rng, 3)))
    if kind == 6:
        return clouds(rng, n)
    return np.zeros((SIDE, SIDE))


def texture(rng, lively=True):
    """A texture (SIDE, SIDE, 3) uint8 with a little grain. lively: False for fainter ones, of grounds and walls."""
    first = rng.uniform(0.08, 0.95, 3)
    second = rng.uniform(0.08, 0.95, 3)
    while np.abs(first - second).sum() < 0.8:
        second = rng.uniform(0.08, 0.95, 3)
    share = pattern(rng)[..., None]
    if not lively:
        share = 0.35 * share
    grain = 0.06 * (clouds(rng, 8)[..., None] - 0.5)
    return np.clip(255 * (first + share * (second - first) + grain), 0, 255).astype(np.uint8)
