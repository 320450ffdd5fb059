"""The settings of retrieval."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.shared.embedding import Embedding
from mlcd_eval.protocols.shared.languages import MACRO, Language
from mlcd_eval.protocols.shared.vector_layer import VectorLayer

CUT = 10
"""The K of nDCG, MAP and MRR."""
MEAN_R1 = "mean_recall@1"
"""DataComp's main metric."""


class RetrievalSettings(ProtocolSettings):
    """ks: the K of recall@K. captions_per_image: how many captions of each image are kept, from the first on (5 leaves
    25,000 of COCO's 25,010 captions); None keeps all. metric: the primary one; `recall` is image-to-text recall at the
    smallest K, `mean_recall@1` the mean of R@1 of both directions, `ndcg` image-to-text nDCG@10, with which the other
    scores of whole rankings come. ties: which of equally similar items is ahead, the first or the last of the data.
    exif: turn images as their EXIF orientation says. embedding: how images and texts are compressed
    (shared/embedding.py). language: that of the captions, chosen from those of a data set that has several; `macro` is
    the mean over all of these, each searched on its own; None where it is not stated. most_truncated: the share of
    captions that the model may cut, beyond which the task fails. length_bins: numbers of words, in rising order, by
    which details.by_length parts the captions."""

    split: str = "test"
    layer: VectorLayer = "projected"
    exif: bool = False
    embedding: Embedding | None = None
    ks: tuple[PositiveInt, ...] = Field(default=(1, 5, 10), min_length=1)
    captions_per_image: PositiveInt | None = None
    metric: Literal["recall", "mean_recall", "mean_recall@1", "ndcg"] = "recall"
    ties: Literal["first", "last"] = "first"
    language: Language | None = None
    most_truncated: float = Field(default=1.0, ge=0, le=1)
    length_bins: tuple[PositiveInt, ...] = ()

    @field_validator("length_bins")
    @classmethod
    def _rise(cls, bins: tuple[int, ...]) -> tuple[int, ...]:
        if list(bins) != sorted(set(bins)):
            raise ValueError("expected numbers of words in rising order")
        return bins

    @model_validator(mode="after")
    def _has_a_mean(self) -> RetrievalSettings:
        if self.language == MACRO and self.metric not in ("recall", "mean_recall"):
            raise ValueError("expected metric recall or mean_recall beside language macro")
        return self

    @property
    def primary(self) -> str:
        """The name of the metric by which models are ranked, within one language."""
        return {
            "recall": f"image_to_text_recall@{min(self.ks)}",
            "mean_recall": "mean_recall",
            MEAN_R1: MEAN_R1,
            "ndcg": f"image_to_text_ndcg@{CUT}",
        }[self.metric]
