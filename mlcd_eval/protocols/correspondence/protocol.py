"""Correspondence without training: a point of one image is where another one's features are most like its own.

Zero-shot evaluation of DIFT (Tang et al. 2023) on SPair-71k, which Probe3D (El Banani et al. 2024), DINOv3 and others
follow: features are interpolated to the images' own pixels, and the nearest by cosine is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, PositiveFloat

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.correspondence import SCALES
from mlcd_eval.protocols.base import ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.correspondence.outcomes import (
    coloured,
    columns_of,
    mean_of_groups,
    rotation_of,
    same_places,
    values_by,
)
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import of_kind, readable, scored_split


class CorrespondenceSettings(FramedSettings):
    """layer: of the patches. match: where a point may be found, at each of the target's pixels with features between
    patches interpolated (DIFT), or in the middle of a patch (Probe3D, SD-DINO). alphas: of PCK; by the first one, with
    the box and per image, models are ranked."""

    split: str = "test"
    layer: Literal["patches", "projected_patches"] = "patches"
    match: Literal["pixels", "patches"] = "pixels"
    alphas: tuple[PositiveFloat, ...] = Field((0.1, 0.05), min_length=1)


class Correspondence(Protocol[CorrespondenceSettings]):
    """Details: PCK of each category and each range of rotations, and what the same place and the colour alone score."""

    name = "correspondence"
    version = 1
    Settings = CorrespondenceSettings
    kinds = ("keypoints",)
    pwc_tasks = ("Semantic correspondence",)
    pwc_metrics = ((r"pck_bbox_per_image@(.+)", r"PCK@\1"),)
    hub_task_type = "keypoint-detection"

    def requests(self, settings: CorrespondenceSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return letterboxed patches of one split. Raises IncompatibleError if it is missing."""
        split = scored_split(self.name, settings.split, splits)
        return {"test": ImageRequest(split, settings.layer, letterbox=True, frame=settings.frame)}

    def score(self, settings: CorrespondenceSettings, inputs: Inputs) -> Scores:
        """Pairs with an image that cannot be read are not scored. Raises DataError where there is no other, and for
        features that are not finite."""
        from mlcd_eval.metrics.table import measure
        from mlcd_eval.protocols.correspondence.matching import matched

        features = inputs.images["test"]
        pairs = of_kind(inputs.annotations["test"], PointPair)
        check_finite(features.array, "patch features", features.keys)
        scored = readable(pairs, features)
        if not scored:
            raise DataError(
                f"split {settings.split!r} cannot be scored: got 0 of {len(pairs)} pairs whose images can be read, "
                "expected at least 1"
            )
        alphas = [f"{alpha:g}" for alpha in settings.alphas]
        names = [f"pck_{scale}_per_{of}@{alpha}" for alpha in alphas for scale in SCALES for of in ("image", "point")]
        with inputs.stage("matches", len(scored), "pairs") as advance:
            columns = columns_of(scored, matched(features, scored, settings.match, inputs.device, advance), alphas)
        blind = {
            "position": same_places(scored),
            "colour": matched(coloured(features, scored), scored, settings.match, inputs.device),
        }
        by_category = values_by(columns["category"], columns, names)
        return Scores(
            metrics=[measure(name, columns, inputs.seed, len(pairs) - len(scored)) for name in names],
            primary=names[0],
            samples=columns,
            details={
                "grid": list(features.array.shape[1:3]),
                "num_points": sum(columns["points"]),
                "by_category": by_category,
                "mean_of_categories": mean_of_groups(by_category, names),
                "by_rotation": values_by([rotation_of(pair) for pair in scored], columns, names),
                "baselines": {
                    name: brief_metrics(names, columns_of(scored, found, alphas), inputs.seed)
                    for name, found in blind.items()
                },
            },
        )
