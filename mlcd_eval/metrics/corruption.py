"""Accuracy under ImageNet-C's corruptions, and its mean corruption error (Hendrycks & Dietterich 2019, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.statistics import Columns

CORRECT = "correct@"
"""The start of a column's name, before that of a corruption: (N, S), 1.0 where the prediction is right, by severity."""
ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""AlexNet's error on ImageNet-C, mean over severities: those of google-research/augmix, imagenet.py, which names the
authors' repository as their source."""


def corrupted(columns: Columns) -> NDArray[np.float64]:
    """(N, K): right or wrong under each corruption at each severity that there is. Raises KeyError without any."""
    names = [name for name in columns if name.startswith(CORRECT)]
    if not names:
        raise KeyError(CORRECT)
    return np.concatenate([np.asarray(columns[name], dtype=np.float64) for name in names], axis=1)


def against_alexnet(columns: Columns) -> NDArray[np.float64]:
    """(N,): of each sample the errors over severities in per cent of AlexNet's error, mean over corruptions; the mean
    over samples is the mCE. Raises KeyError where a corruption is missing."""
    errors = [1 - np.asarray(columns[f"{CORRECT}{name}"], dtype=np.float64).mean(axis=1) for name in ALEXNET]
    relative = [100 * error / ALEXNET[name] for error, name in zip(errors, ALEXNET, strict=True)]
    means: NDArray[np.float64] = np.mean(relative, axis=0)
    return means
