"""Image-text retrieval: recall@K in both directions (Karpathy & Fei-Fei 2015; CLIP, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field, PositiveInt

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.shared.joint import joint_embeddings


class RetrievalSettings(ProtocolSettings):
    """ks: the K of recall@K. captions_per_image: how many captions of each image are kept, from the first on (5 leaves
    25,000 of COCO's 25,010 captions); None keeps all. exif: turn images as their EXIF orientation
    says."""

    split: str = "test"
    layer: str = "projected"
    exif: bool = False
    ks: tuple[PositiveInt, ...] = Field(default=(1, 5, 10), min_length=1)
    captions_per_image: PositiveInt | None = None


class Retrieval(Protocol[RetrievalSettings]):
    """Each caption searches for its image, each image for any of its captions, by cosine similarity, without prompts.

    Blank captions are left out, also of the gallery. An image without captions stays in the gallery but is not a query.
    The primary metric is image-to-text recall at the smallest K, by which leaderboards rank.
    mean_recall is the mean of all recalls, over both directions and every K.
    """

    name = "retrieval"
    version = 2
    Settings = RetrievalSettings
    kinds = ("retrieval",)
    pwc_tasks = ("Zero-Shot Cross-Modal Retrieval",)
    pwc_metrics = (
        (r"image_to_text_recall@(\d+)", r"Image-to-text R@\1"),
        (r"text_to_image_recall@(\d+)", r"Text-to-image R@\1"),
    )
    hub_task_type = "image-text-retrieval"

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """All: papers print both directions at every K."""
        return list(names)

    def needs(self, settings: RetrievalSettings) -> Needs:
        """Return the need for a text tower."""
        return Needs(texts=True)

    def requests(self, settings: RetrievalSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        if settings.split not in splits:
            raise IncompatibleError(f"retrieval reads the split {settings.split!r}: got {', '.join(splits)}")
        return {"test": ImageRequest(settings.split, settings.layer, exif=settings.exif)}

    def score(self, settings: RetrievalSettings, inputs: Inputs) -> Scores:
        """Intervals are over images, since captions of one image are not independent.

        Raises DataError without captions.
        """
        import torch

        from mlcd_eval.metrics.retrieval import recall_at, retrieval_ranks

        images = inputs.images["test"]
        captions = [[t for t in texts if t.strip()][: settings.captions_per_image] for texts in images.texts]
        image_of_text = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        if len(image_of_text) == 0:
            raise DataError(f"split {settings.split!r} cannot be searched: got 0 captions, expected at least 1")
        image, text = joint_embeddings(images, [t for texts in captions for t in texts], inputs)
        with inputs.stage("ranks", len(image), "images") as advance:
            ranks = retrieval_ranks(image, text, torch.tensor(image_of_text, device=inputs.device), advance=advance)
        captioned = np.unique(image_of_text)
        text_ranks, image_ranks = ranks.text_to_image, ranks.image_to_text[captioned]

        text_keys = [f"{key}#{n}" for key, texts in zip(images.keys, captions, strict=True) for n in range(len(texts))]
        hits = np.stack([recall_at(np.concatenate([text_ranks, image_ranks]), k) for k in settings.ks], axis=1)
        samples = {
            "key": [*text_keys, *(images.keys[row] for row in captioned)],
            "image": [*image_of_text.tolist(), *captioned.tolist()],
            "direction": ["text_to_image"] * len(text_keys) + ["image_to_text"] * len(captioned),
            "rank": [*text_ranks.tolist(), *image_ranks.tolist()],
            "mean_recall": hits.mean(axis=1).tolist(),
        }
        no_query = len(captions) - len(captioned) + len(images.bad)
        metrics = [
            *(measure(f"text_to_image_recall@{k}", samples, inputs.seed) for k in settings.ks),
            *(measure(f"image_to_text_recall@{k}", samples, inputs.seed, no_query) for k in settings.ks),
            measure("mean_recall", samples, inputs.seed, no_query, num_scored=len(captioned)),
        ]
        return Scores(
            metrics=metrics,
            primary=f"image_to_text_recall@{min(settings.ks)}",
            samples=samples,
            details={
                "num_images": len(captions),
                "num_texts": len(text_keys),
                "captions_per_image": settings.captions_per_image,
                "if_ties_went_the_querys_way": {
                    f"{direction}_recall@{k}": float(recall_at(ahead, k).mean())
                    for direction, ahead in (
                        ("text_to_image", text_ranks - ranks.text_to_image_ties),
                        ("image_to_text", image_ranks - ranks.image_to_text_ties[captioned]),
                    )
                    for k in settings.ks
                },
            },
        )
