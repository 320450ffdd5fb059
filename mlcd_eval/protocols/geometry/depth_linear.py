"""Linear depth of frozen patch features: the logarithm of depth by least squares, exact and in seconds.

The scale-invariant logarithmic loss that the field trains such layers by (Eigen et al. 2014; SigLoss of AdaBins, DINOv2
and DINOv3) is the variance of the logarithms' difference and a share of its squared mean. With a constant the mean is
0 at the optimum, so that over the pixels of all images together least squares of logarithms minimises it. A test
image's values are interpolated from its patches to the pixels of its own depth map; padding is never learned from
or scored. The encoder sees whole images (letterboxed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, model_validator

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.storage.value_png import as_levels
from mlcd_eval.metrics.geometry import DEPTH, depth_errors, scored_pixels
from mlcd_eval.protocols.base import Control, Elsewhere, ImageRequest, Inputs, Scores
from mlcd_eval.protocols.classification.layer_roles import split_roles, with_layers
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.geometry.beside import with_vectors
from mlcd_eval.protocols.geometry.bins_settings import BinsSettings
from mlcd_eval.protocols.geometry.images import MeasuredImages
from mlcd_eval.protocols.geometry.protocol import GeometryProtocol, RidgeSettings, ridge
from mlcd_eval.protocols.geometry.scoring import Report, Say, geometry_scores
from mlcd_eval.protocols.shared.scored import of_kind


class DepthLinearSettings(RidgeSettings):
    """target: what the layer gives, the logarithm of depth, or depth. min_depth, max_depth: pixels between them are
    learned from and scored, and predictions are kept within them; without max_depth there is no end, and predictions
    are kept below the largest depth of train. crop: the part of an image that is scored, see metrics/geometry.py.
    bins: train a head to bins of depth by gradient steps, in place of the least squares (bins_head.py).
    """

    target: Literal["log", "depth"] = "log"
    min_depth: PositiveFloat = 1e-3
    max_depth: PositiveFloat | None = None
    crop: Literal["none", "nyu_eigen", "kitti_eigen", "kitti_garg", "kitti_kb_garg"] = "none"
    bins: BinsSettings | None = None

    @model_validator(mode="after")
    def _range(self) -> DepthLinearSettings:
        if self.max_depth is not None and self.max_depth <= self.min_depth:
            raise ValueError(f"expected max_depth above min_depth, got {self.max_depth:g} and {self.min_depth:g}")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> DepthLinearSettings:
        defaults = DepthLinearSettings.model_fields
        of_ridge = ("lambda_", "val_fraction", "target")
        given = [name for name in of_ridge if getattr(self, name) != defaults[name].default]
        if self.bins is not None and given:
            raise ValueError(f"expected bins, which are trained by gradient steps, without {' and '.join(given)}")
        if self.bins is not None and self.bins.beside is not None and self.window is not None:
            raise ValueError("expected bins.beside, a vector of a whole image, without window, got both")
        return self

    @property
    def is_log(self) -> bool:
        """Whether the layer gives logarithms."""
        return self.target == "log" and self.bins is None

    @property
    def reads_val(self) -> bool:
        """Whether something is chosen on val."""
        return self.lambda_ is None and self.bins is None


DIALECTS = {
    "dinov2": ProtocolDialect(
        {"bins": BinsSettings(learning_rate=1e-4, recipe="dinov2", beside="last_1/cls")},
        "DINOv2, dinov2/eval/depth at d5c376b and its published configs, lin. 1",
        "As DINOv3's dialect; its lin. 4 reads the patches of four blocks, which are not kept here.",
        explains=False,
    ),
    "dinov3": ProtocolDialect(
        {"bins": BinsSettings()},
        "DINOv3, dinov3/eval/depth/configs/config-nyu.yaml at 6876159",
        "Its train images are cropped, turned, flipped and recoloured, and its encoder sees them at their own size; "
        "here features are those of whole, letterboxed images. It averages a flipped test image in. Its loss is of all "
        "pixels, here of 4 x 4 points of a patch.",
        explains=False,
    ),
}


ELSEWHERE = Elsewhere(
    tasks=("Monocular Depth Estimation",),
    metrics=(
        ("rmse", "RMSE"),
        ("abs_rel", "absolute relative error"),
        ("delta1", "Delta < 1.25"),
        ("delta2", "Delta < 1.25^2"),
        ("delta3", "Delta < 1.25^3"),
        ("log10", "log 10"),
        ("silog", "SILog"),
    ),
    hub_task="depth-estimation",
)

WORST = 0.5
"""The error over the depth from which on pictures show no difference."""


class DepthLinear(GeometryProtocol[DepthLinearSettings]):
    """Primary: rmse. Details: lambda, unknown pixels, and what patches score that hold only their place or colour."""

    name = "depth_linear"
    version = 1
    kinds = ("depth",)
    elsewhere = ELSEWHERE
    dialects = DIALECTS

    def requests(self, settings: DepthLinearSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return those of patches, and of the vector that a head reads beside them."""
        requests = super().requests(settings, splits)
        beside = settings.bins and settings.bins.beside
        return with_layers(requests, [beside]) if beside else requests

    def score(self, settings: DepthLinearSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and IncompatibleError where no depth is in the range."""
        beside = settings.bins and settings.bins.beside
        if beside:
            inputs = replace(inputs, images=with_vectors(inputs.images, beside))
        most = settings.max_depth or max(
            float(np.nanmax(each.values())) for each in of_kind(inputs.annotations["train"], PixelValues)
        )
        exact = _report(settings.model_copy(update={"bins": None}), most)
        return geometry_scores(inputs, exact if settings.bins is None else _report(settings, most), exact)

    def controls(self, settings: DepthLinearSettings, inputs: Inputs) -> list[Control]:
        """Of the exact fit, also where a head is trained by gradient steps, which would take hours more."""
        annotations = {role: inputs.annotations[role] for role in split_roles(inputs.images)}
        exact = settings.model_copy(update={"bins": None})
        return super().controls(exact, replace(inputs, annotations=annotations))


def _report(settings: DepthLinearSettings, most: float) -> Report:
    """most: the largest depth that is predicted."""
    return Report(
        partial(_learned, settings) if settings.bins is None else partial(_trained, settings, most),
        partial(_errors, settings, most),
        partial(depth_maps, settings, most),
        tuple(DEPTH),
        ("rmse", "abs_rel", "delta1"),
        "depth of pixels",
    )


def _learned(
    settings: DepthLinearSettings, images: Mapping[str, MeasuredImages], inputs: Inputs
) -> tuple[Say, dict[str, Any]]:
    return ridge(settings, partial(_target, settings), images, inputs)


def _trained(
    settings: DepthLinearSettings, most: float, images: Mapping[str, MeasuredImages], inputs: Inputs
) -> tuple[Say, dict[str, Any]]:
    import torch

    from mlcd_eval.protocols.geometry.bins_head import RECIPE, train_bins

    assert settings.bins is not None, "the head is asked for"
    depths = settings.min_depth, most
    with inputs.stage("steps of the head", settings.bins.steps, "steps") as advance:
        head = train_bins(
            images["train"], partial(_target, settings), settings.bins, depths, inputs.seed, inputs.device, advance
        )

    def say(patches: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            depth: torch.Tensor = head(patches[None].float())[0][..., None]
        return depth

    return say, {"recipe": RECIPE, "num_train_images": len(images["train"].annotations)}


def _target(settings: DepthLinearSettings, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """What is learned of depths (height, width, 1): NaN where they are not known or not in the range."""
    depth = values.astype(np.float64)
    depth[~scored_pixels(depth[..., 0], settings.min_depth, settings.max_depth or np.inf, "none")] = np.nan
    return np.log(depth) if settings.is_log else depth


def _errors(
    settings: DepthLinearSettings, most: float, said: NDArray[np.float64], truth: NDArray[np.float32]
) -> Mapping[str, float] | None:
    """The columns of an image; most: the largest depth that is predicted."""
    scored = _scored(settings, truth)
    if not scored.any():
        return None
    depth = _depth(settings, most, said[scored])
    return {"pixels_scored": int(scored.sum())} | depth_errors(depth, truth[scored, 0])


def _scored(settings: DepthLinearSettings, truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    return scored_pixels(truth[..., 0], settings.min_depth, settings.max_depth or np.inf, settings.crop)


def _depth(settings: DepthLinearSettings, most: float, said: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth (...) that is said of pixels (..., 1)."""
    depth = np.exp(said[..., 0].clip(max=np.log(most))) if settings.is_log else said[..., 0]
    return depth.clip(settings.min_depth, most)


def depth_maps(
    settings: DepthLinearSettings, most: float, said: NDArray[np.float64], truth: NDArray[np.float32]
) -> dict[str, Any]:
    """The truth and the prediction in the truth's range, and the error over the depth, where it is scored."""
    scored = _scored(settings, truth)[..., None]
    true, depth = np.where(scored, truth, np.nan), _depth(settings, most, said)[..., None]
    low, high = float(np.nanmin(true)), float(np.nanmax(true))
    high = max(high, np.nextafter(low, np.inf))
    return {
        "truth": as_levels(true, low, high),
        "prediction": as_levels(depth, low, high),
        "error": as_levels(np.abs(depth - true) / true, 0, WORST),
    }
