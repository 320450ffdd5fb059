"""Correspondence without training: a point of one image is where another one's features are most like its own.

Zero-shot evaluation of DIFT (Tang et al. 2023) on SPair-71k, which Probe3D (El Banani et al. 2024), DINOv3 and others
follow: features are interpolated to the images' own pixels, and the nearest by cosine is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, PositiveFloat

from mlcd_eval.data.annotations import Annotation, PointPair
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.correspondence import SCALES, WITHIN
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.correspondence.outcomes import (
    coloured,
    columns_of,
    mean_of_groups,
    rotation_of,
    same_places,
    shapes_are_known,
    values_by,
)
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import every_and_readable, patches_of_one_split


class CorrespondenceSettings(FramedSettings):
    """layer: of the patches. match: where a point may be found, at each of the target's pixels with features between
    patches interpolated (DIFT), or in the middle of a patch (Probe3D, SD-DINO). alphas: of PCK; by the first one, with
    the box and per image, models are ranked. exif: turn images as their EXIF orientation says."""

    split: str = "test"
    layer: Literal["patches", "projected_patches"] = "patches"
    match: Literal["pixels", "patches"] = "pixels"
    alphas: tuple[PositiveFloat, ...] = Field((0.1, 0.05), min_length=1)
    exif: bool = False


ELSEWHERE = Elsewhere(
    tasks=("Semantic correspondence",),
    hub_task="keypoint-detection",
    metrics=((r"pck_bbox_per_image@(.+)", r"PCK@\1"),),
)


class Correspondence(Protocol[CorrespondenceSettings]):
    """Details: PCK of each category and each range of rotations, and what the same place and the colour alone score."""

    name = "correspondence"
    version = 1
    kinds = ("keypoints",)
    elsewhere = ELSEWHERE

    def requests(self, settings: CorrespondenceSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return letterboxed patches of one split. Raises IncompatibleError if it is missing."""
        request = patches_of_one_split(self.name, settings.layer, settings.split, splits, settings.frame)
        return {"test": replace(request, exif=settings.exif)}

    def check_annotations(
        self, settings: CorrespondenceSettings, split: str, annotations: Sequence[Annotation]
    ) -> None:
        """Raise IncompatibleError for points of upright images where these are not turned."""
        turned = next((each for each in annotations if isinstance(each, PointPair) and each.is_turned), None)
        if turned is not None and not settings.exif:
            raise IncompatibleError(
                f"the points of split {split!r} are those of images turned by their EXIF orientation, first of "
                f"{turned.images[0]} and {turned.images[1]}: got exif=false, expected --set exif=true"
            )

    def score(self, settings: CorrespondenceSettings, inputs: Inputs) -> Scores:
        """Pairs with an image that cannot be read are not scored. Raises DataError where there is no other, and for
        features that are not finite."""
        from mlcd_eval.metrics.table import measure
        from mlcd_eval.protocols.correspondence.matching import matched

        features = inputs.images["test"]
        check_finite(features.array, "patch features", features.keys)
        pairs, scored = every_and_readable(inputs, PointPair, "pair")
        alphas = [f"{alpha:g}" for alpha in settings.alphas]
        names = [f"pck_{scale}_per_{of}@{alpha}" for alpha in alphas for scale in SCALES for of in ("image", "point")]
        names += [f"recall_3d@{metres}" for metres in WITHIN if shapes_are_known(scored)]
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
