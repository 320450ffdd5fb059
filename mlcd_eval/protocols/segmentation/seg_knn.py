"""Segmentation by retrieval: each patch takes the classes of the patches of train that are most like it.

In-context scene understanding of HummingBird (Balazevic et al. 2023, section 3.2): unit patches of train and the shares
of their classes are a memory; a patch of a test image mixes the shares of its nearest ones, weighted by a softmax of
their cosines, and the mixtures are interpolated to the image's own pixels. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from mlcd_eval.protocols.base import ImageRequest, Inputs, Scores
from mlcd_eval.protocols.segmentation.protocol import SegmentationProtocol
from mlcd_eval.protocols.segmentation.scoring import Columns, segmentation_scores
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import patch_requests


class SegKNNSettings(FramedSettings):
    """split, layer: as in seg_linear. k: the patches that a patch is mixed from; temperature: that their cosines are
    divided by. patches: of train that are kept; of more of them as many are drawn."""

    split: str | None = None
    layer: Literal["patches", "projected_patches"] = "patches"
    k: PositiveInt = 30
    temperature: PositiveFloat = 0.02
    patches: PositiveInt = 200_000


class SegKNN(SegmentationProtocol[SegKNNSettings]):
    """Primary: miou. Details: as seg_linear's."""

    name = "seg_knn"
    version = 1

    def requests(self, settings: SegKNNSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train and of the scored split."""
        return patch_requests(self.name, settings.layer, settings.split, splits, with_val=False, frame=settings.frame)

    def score(self, settings: SegKNNSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and IncompatibleError where no patch has a class."""
        return segmentation_scores(inputs, partial(_retrieved, settings))


def _retrieved(
    settings: SegKNNSettings, images: Mapping[str, Images], num_classes: int, inputs: Inputs, boundaries: bool
) -> tuple[Columns, dict[str, Any]]:
    from mlcd_eval.protocols.segmentation.maps import overlaps_of
    from mlcd_eval.protocols.segmentation.memory import memory_of

    train, test = images["train"], images["test"]
    memory, num_known = memory_of(
        train, num_classes, settings.patches, np.random.default_rng(inputs.seed), inputs.device
    )
    with inputs.stage("classes of pixels", len(test.annotations), "images") as advance:
        mixed = partial(memory.mixed, k=settings.k, temperature=settings.temperature)
        columns = overlaps_of(test, mixed, num_classes, inputs, advance, boundaries)
    return columns, {
        "num_train_images": len(train.annotations),
        "num_train_patches": len(memory),
        "num_known_patches": num_known,
    }
