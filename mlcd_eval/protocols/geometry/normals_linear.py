"""Linear surface normals of frozen patch features: the closest linear map, exact and in seconds.

Least squares of the three numbers of a unit normal, interpolated from patches to the pixels of an image's own map of
normals and made unit vectors again; padding is never learned from or scored. The encoder sees whole images
(letterboxed). Normals are in the axes of the camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.storage.value_png import as_levels
from mlcd_eval.metrics.geometry import NORMALS, NORMALS_FAMILIES, WITHIN, angle_errors, angles
from mlcd_eval.protocols.base import Elsewhere, Inputs, Scores
from mlcd_eval.protocols.geometry.images import MeasuredImages
from mlcd_eval.protocols.geometry.protocol import GeometryProtocol, RidgeSettings, ridge
from mlcd_eval.protocols.geometry.scoring import Report, Say, geometry_scores

METRICS = (*NORMALS, *(family + degrees for family in NORMALS_FAMILIES for degrees in WITHIN))

WORST = 45
"""Degrees from which on pictures show no difference."""


class NormalsLinearSettings(RidgeSettings):
    """As RidgeSettings."""


ELSEWHERE = Elsewhere(
    tasks=("Surface Normals Estimation",),
    metrics=(
        ("mean_angle", "Mean Angle Error"),
        *((f"angle_within@{degrees}", f"% < {degrees}") for degrees in WITHIN),
    ),
)


class NormalsLinear(GeometryProtocol[NormalsLinearSettings]):
    """Primary: mean_angle. Details: as depth_linear's."""

    name = "normals_linear"
    version = 1
    kinds = ("normals",)
    elsewhere = ELSEWHERE

    def score(self, settings: NormalsLinearSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite."""
        report = Report(
            partial(_learned, settings),
            _errors,
            normal_maps,
            METRICS,
            ("mean_angle", "angle_within@11.25"),
            "normals of pixels",
        )
        return geometry_scores(inputs, report, report)


def _learned(
    settings: NormalsLinearSettings, images: Mapping[str, MeasuredImages], inputs: Inputs
) -> tuple[Say, dict[str, Any]]:
    return ridge(settings, lambda values: values.astype(np.float64), images, inputs)


def _errors(said: NDArray[np.float64], truth: NDArray[np.float32]) -> Mapping[str, float] | None:
    """The columns of an image. What is said is made a unit vector."""
    scored = np.isfinite(truth).all(axis=2)
    if not scored.any():
        return None
    return angle_errors(angles(_unit(said[scored]), truth[scored]))


def _unit(said: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(said, axis=-1, keepdims=True)
    return said / np.maximum(length, np.finfo(float).tiny)


def normal_maps(said: NDArray[np.float64], truth: NDArray[np.float32]) -> dict[str, Any]:
    """The truth and the prediction as unit vectors, and the angle between them."""
    normals = _unit(said)
    error = angles(normals.reshape(-1, 3), truth.reshape(-1, 3)).reshape(*truth.shape[:2], 1)
    return {
        "truth": as_levels(truth, -1, 1),
        "prediction": as_levels(normals, -1, 1),
        "error": as_levels(error, 0, WORST),
    }
