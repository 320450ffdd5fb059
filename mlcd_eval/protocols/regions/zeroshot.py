"""Regions against the prompts of classes, in the joint space of images and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Region
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification.zeroshot import class_vectors
from mlcd_eval.protocols.regions.linear import labels_of
from mlcd_eval.protocols.shared.joint import joint_embeddings

_ROWS = 1 << 13  # regions compared at a time


def compared(features: NDArray[np.float32], regions: Sequence[Region], inputs: Inputs) -> dict[str, Any]:
    """Return the columns of regions (R, D): each takes the class whose mean prompt is most like it by cosine.

    Raises DataError where there are fewer class names than classes.
    """
    import torch

    assert inputs.class_names and inputs.templates, "asked for by needs"
    labels = labels_of(regions)
    if len(inputs.class_names) <= labels.max():
        raise DataError(
            f"class names do not fit the regions: got {len(inputs.class_names)} names, expected at least "
            f"{labels.max() + 1}"
        )
    prompts = [tuple(template.replace("{c}", name) for template in inputs.templates) for name in inputs.class_names]
    column = {of_class: number for number, of_class in enumerate(dict.fromkeys(prompts))}  # equal prompts tie exactly
    texts = [prompt for of_template in zip(*column, strict=True) for prompt in of_template]
    keys = [region.region_id for region in regions]
    image, text = joint_embeddings(Features(features, keys), texts, inputs)
    classes = class_vectors(text[:], len(inputs.templates))
    columns = torch.tensor([column[each] for each in prompts], device=image.device)
    logits = ((rows @ classes.T).index_select(1, columns) for rows in image.chunks(_ROWS))
    return classification_samples(logits, labels)
