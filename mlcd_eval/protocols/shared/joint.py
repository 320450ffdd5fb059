"""Images and texts as unit vectors in their joint space, for zero-shot and retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.shared.embedding import compressed, cut
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.unit import unit

if TYPE_CHECKING:
    from mlcd_eval.support.resident import Rows


def joint_embeddings(
    images: Features, texts: Sequence[str], inputs: Inputs, embedding: str | None = None
) -> tuple[Rows, Rows]:
    """Return L2-normalised images (N, D) and texts (T, D), float32 on inputs.device, where they stay if they fit.

    embedding: how both are compressed; each has the ranges of its own.
    A text that occurs twice is encoded once, so that equal texts have equal rows.
    Raises IncompatibleError without a text tower or a common dimension, DataError if a number is not finite.
    """
    if inputs.encode_texts is None:
        raise IncompatibleError("the model has no text tower: got images only, expected texts in the same space")
    row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    image = _checked(images.array, "features of images", images.keys, inputs.device, embedding)
    distinct = _checked(inputs.encode_texts(list(row)), "features of texts", list(row), inputs.device, embedding)
    if image.shape[1] != distinct.shape[1]:
        raise IncompatibleError(
            f"images and texts are not in one space: got {image.shape[1]} and {distinct.shape[1]} dimensions, "
            "expected the same number (is `layer` the projected one?)"
        )
    return image, distinct.select(np.array([row[text] for text in texts]))


def _checked(array: np.ndarray, what: str, names: Sequence[str], device: str, embedding: str | None) -> Rows:
    from mlcd_eval.support.resident import Rows

    check_finite(array, what, names)
    array = cut(embedding, array)
    if embedding is None:
        return Rows(array, device, unit)
    prepare = compressed(embedding, array, device, unit)
    return Rows(array, device, lambda rows: unit(prepare(rows)))
