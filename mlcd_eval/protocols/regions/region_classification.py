"""Classification of regions whose boxes and masks are known: what the patches under a region say of its class.

The mean of a region's patches (pooling.py) is classified by a linear probe (linear_probe's solver) or, in a joint
space, by its cosine with the prompts of the classes. The second is how CLIPSelf (Wu et al. 2024) and FineCLIP (Jing et
al. 2024) measure regions, as the mean over COCO's classes of the accuracies with known boxes or masks, and RegionCLIP
(Zhong et al. 2022) those of known boxes. The encoder sees whole images (letterboxed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.data.base import Kind
from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES
from mlcd_eval.protocols.base import Control, Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.regions.pooling import check_masks
from mlcd_eval.protocols.regions.scoring import PRIMARY, SHOWN, region_scores
from mlcd_eval.protocols.regions.settings import RegionClassificationSettings
from mlcd_eval.protocols.shared.scored import patch_requests, scored_split

ELSEWHERE = Elsewhere(
    metrics=(("region_acc1", "Accuracy"), ("region_mean_acc1", "mAcc")), hub_task="image-classification"
)


class RegionClassification(Protocol[RegionClassificationSettings]):
    """Primary: region_acc1. Details: the accuracy of each class, and what is scored by the mean of all patches of a
    region's image and, of a probe, by a region's place and size, its colour, and a small picture of it alone."""

    name = "region_classification"
    version = 1
    kinds = ("regions",)
    elsewhere = ELSEWHERE

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """Always the accuracy over regions."""
        return PRIMARY

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """What papers print: the mean over classes too."""
        return [name for name in names if name in SHOWN]

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the regions of train where there are too many, and images that are held out."""
        return settings.get("mode") != "zeroshot"

    def needs(self, settings: RegionClassificationSettings) -> Needs:
        """Return the need for a text tower and prompts, where regions are compared with these."""
        if settings.mode == "linear":
            return Needs()
        return Needs(texts=True, class_prompts=True, class_names=settings.class_names, templates=settings.templates)

    def requests(self, settings: RegionClassificationSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train, of val if lambda is chosen on it, and of the scored split, which alone prompts are
        compared with."""
        if settings.mode == "linear":
            searches = settings.lambda_ is None
            return patch_requests(self.name, PATCHES, settings.split, splits, searches, settings.frame)
        scored = scored_split(self.name, settings.split, splits)
        return {"test": ImageRequest(scored, PROJECTED_PATCHES, letterbox=True, frame=settings.frame)}

    def check_annotations(
        self, settings: RegionClassificationSettings, split: str, annotations: Sequence[Annotation]
    ) -> None:
        """Raise IncompatibleError where masks are asked for and there are boxes only."""
        check_masks(annotations, settings.pool, split)

    def score(self, settings: RegionClassificationSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and IncompatibleError where train has one class."""
        return region_scores(settings, inputs)

    def controls(self, settings: RegionClassificationSettings, inputs: Inputs) -> list[Control]:
        """Of patches that hold the classes of the regions over them."""
        from mlcd_eval.protocols.regions.controls import class_controls

        return class_controls(settings, inputs)
