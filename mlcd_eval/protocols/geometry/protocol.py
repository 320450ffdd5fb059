"""What the protocols of geometry say alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import Field, PositiveFloat

from mlcd_eval.protocols.base import Control, ImageRequest, Inputs, Protocol
from mlcd_eval.protocols.geometry.images import MeasuredImages, Target
from mlcd_eval.protocols.geometry.scoring import Say
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import patch_requests


class RidgeSettings(FramedSettings):
    """split: the scored split, by default test, or val where there is no test. layer: whose patches are read.

    lambda_: fixed, in place of the search, which is on the val split, or where that is missing or scored on
    val_fraction of train's units (scenes, else images).
    """

    split: str | None = None
    layer: Literal["patches", "projected_patches"] = "patches"
    lambda_: PositiveFloat | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)

    @property
    def reads_val(self) -> bool:
        """Whether something is chosen on val."""
        return self.lambda_ is None


G = TypeVar("G", bound=RidgeSettings)


class GeometryProtocol(Protocol[G]):
    """Values of pixels from patches, by a layer that is learned. Controls are patches that hold the values."""

    picture_side = 224

    def requests(self, settings: G, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train, of val if lambda is chosen on it, and of the scored split."""
        return patch_requests(self.name, settings.layer, settings.split, splits, settings.reads_val, settings.frame)

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws images that are held out, and those of baselines where there are too many."""
        return True

    def controls(self, settings: G, inputs: Inputs) -> list[Control]:
        """Of patches that hold the values of their parts."""
        from mlcd_eval.protocols.geometry.controls import value_controls

        return value_controls(self, settings, inputs)


def ridge(
    settings: RidgeSettings, target: Target, images: Mapping[str, MeasuredImages], inputs: Inputs
) -> tuple[Say, dict[str, Any]]:
    """Return the map that is fitted to a target, and for the record how."""
    from mlcd_eval.protocols.geometry.patch_ridge import fit_ridge

    learned = [len(each.annotations) for role, each in images.items() if role != "test"]
    with inputs.stage("sums of patches", sum(learned), "images") as advance:
        return fit_ridge(
            images,
            target,
            settings.lambda_,
            settings.val_fraction,
            np.random.default_rng(inputs.seed),
            inputs.device,
            advance,
        )
