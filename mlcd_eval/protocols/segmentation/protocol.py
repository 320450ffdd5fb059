"""What the protocols of segmentation say alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlcd_eval.protocols.base import Control, Elsewhere, Inputs, Protocol, S

ELSEWHERE = Elsewhere(
    tasks=("Semantic Segmentation",),
    metrics=(("miou", "Mean IoU"), ("pixel_accuracy", "Pixel Accuracy")),
    hub_task="image-segmentation",
)


class SegmentationProtocol(Protocol[S]):
    """Classes of pixels from patches. Draws are seeded; controls are patches that hold the shares of their classes."""

    kinds = ("segmentation",)
    elsewhere = ELSEWHERE
    picture_side = 224

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the patches where there are too many, and images that are held out."""
        return True

    def controls(self, settings: S, inputs: Inputs) -> list[Control]:
        """Of patches that hold the shares of their classes."""
        from mlcd_eval.protocols.segmentation.controls import class_controls

        return class_controls(self, settings, inputs)
