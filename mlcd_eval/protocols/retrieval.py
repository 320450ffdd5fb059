"""Image-text retrieval: recall@K in both directions (Karpathy & Fei-Fei 2015; CLIP, section 3.1), and nDCG as MTEB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from mlcd_eval.data.base import Kind
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolDialect, ProtocolSettings
from mlcd_eval.protocols.shared.embedding import Embedding, beside_full_precision, check_dimensions
from mlcd_eval.protocols.shared.joint import joint_embeddings
from mlcd_eval.protocols.shared.vector_layer import VectorLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlcd_eval.metrics.retrieval import Ranks
    from mlcd_eval.support.resident import Rows

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
    (shared/embedding.py)."""

    split: str = "test"
    layer: VectorLayer = "projected"
    exif: bool = False
    embedding: Embedding | None = None
    ks: tuple[PositiveInt, ...] = Field(default=(1, 5, 10), min_length=1)
    captions_per_image: PositiveInt | None = None
    metric: Literal["recall", "mean_recall", "mean_recall@1", "ndcg"] = "recall"
    ties: Literal["first", "last"] = "first"


DIALECTS = {
    "clip-benchmark": ProtocolDialect(
        {"ks": (5,)},
        "CLIP_benchmark 1.6.2, metrics/zeroshot_retrieval.py",
        "There torch.topk decides ties, blank lines are captions, and an image without captions is a query that fails.",
    ),
    "datacomp": ProtocolDialect(
        {"ks": (1, 5, 10), "metric": "mean_recall@1", "exif": True},
        "DataComp at 4a8df199, eval_utils/retr_eval.py, as docs/openclip_results.csv of open_clip prints it",
    ),
    "mteb": ProtocolDialect(
        {"metric": "ndcg", "ties": "last", "exif": True},
        "mteb 2.26, abstasks/retrieval.py with pytrec_eval 0.5.11: hit_rate@K is recall@K, recall@K is the share found",
        "Ties go to the id that sorts last, here to the last row; similarities that are equal but for rounding may be "
        "ties in one of the two only. Texts are cleaned as the model here does it (?clean=).",
    ),
}


FACTORS: dict[str, tuple[Any, ...]] = {
    "captions_per_image": (None, 5),
    "ties": ("first", "last"),
    "exif": (False, True),
}


class Retrieval(Protocol[RetrievalSettings]):
    """Each caption searches for its image, each image for any of its captions, by cosine similarity, without prompts.

    Blank captions are left out, also of the gallery. An image without captions stays in the gallery but is not a query.
    By default the primary metric is image-to-text recall at the smallest K, by which leaderboards rank.
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
    dialects = DIALECTS
    factors = FACTORS

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """All: papers print both directions at every K."""
        return list(names)

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """What the setting `metric` means."""
        return _primary(RetrievalSettings.model_validate(settings))

    def needs(self, settings: RetrievalSettings) -> Needs:
        """Return the need for a text tower."""
        return Needs(texts=True)

    def requests(self, settings: RetrievalSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        if settings.split not in splits:
            raise IncompatibleError(f"retrieval reads the split {settings.split!r}: got {', '.join(splits)}")
        return {"test": ImageRequest(settings.split, settings.layer, exif=settings.exif)}

    def for_model(self, settings: RetrievalSettings, info: EncoderInfo) -> RetrievalSettings:
        """Raise IncompatibleError for a model of fewer dimensions than are to be kept."""
        check_dimensions(settings.embedding, settings.layer, info)
        return settings

    def score(self, settings: RetrievalSettings, inputs: Inputs) -> Scores:
        """Intervals are over images, since captions of one image are not independent.

        Raises DataError without captions.
        """
        return beside_full_precision(self._score, settings, inputs, inputs.images["test"])

    def _score(self, settings: RetrievalSettings, inputs: Inputs) -> Scores:
        from mlcd_eval.metrics.retrieval import recall_at

        images = inputs.images["test"]
        captions = [[t for t in texts if t.strip()][: settings.captions_per_image] for texts in images.texts]
        image_of_text = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        if len(image_of_text) == 0:
            raise DataError(f"split {settings.split!r} cannot be searched: got 0 captions, expected at least 1")
        image, text = joint_embeddings(images, [t for texts in captions for t in texts], inputs, settings.embedding)
        ranks, ranks_of_captions = _ranks(settings, image, text, image_of_text, inputs)
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
        if ranks_of_captions is not None:
            of_image = np.split(ranks_of_captions, np.cumsum([len(texts) for texts in captions])[:-1])
            samples["ranks"] = [[rank] for rank in text_ranks.tolist()]
            samples["ranks"] += [sorted(of_image[row].tolist()) for row in captioned]
        no_query = len(captions) - len(captioned) + len(images.bad)
        metrics = [
            *(measure(f"text_to_image_recall@{k}", samples, inputs.seed) for k in settings.ks),
            *(measure(f"image_to_text_recall@{k}", samples, inputs.seed, no_query) for k in settings.ks),
            measure("mean_recall", samples, inputs.seed, no_query, num_scored=len(captioned)),
        ]
        if settings.metric == MEAN_R1:
            metrics.append(measure(MEAN_R1, samples, inputs.seed, no_query, num_scored=len(captioned)))
        if ranks_of_captions is not None:
            for direction, unscored in (("text_to_image", 0), ("image_to_text", no_query)):
                names = [f"{direction}_ndcg@{CUT}", f"{direction}_mrr@{CUT}"]
                if direction == "image_to_text":  # a caption has one image, so that these say nothing else of it
                    names += [f"{direction}_map@{CUT}", *(f"{direction}_found@{k}" for k in settings.ks)]
                metrics += [measure(name, samples, inputs.seed, unscored) for name in names]
        return Scores(
            metrics=metrics,
            primary=_primary(settings),
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


def _primary(settings: RetrievalSettings) -> str:
    return {
        "recall": f"image_to_text_recall@{min(settings.ks)}",
        "mean_recall": "mean_recall",
        MEAN_R1: MEAN_R1,
        "ndcg": f"image_to_text_ndcg@{CUT}",
    }[settings.metric]


def _ranks(
    settings: RetrievalSettings, image: Rows, text: Rows, image_of_text: np.ndarray, inputs: Inputs
) -> tuple[Ranks, NDArray[Any] | None]:
    """Return the ranks of what queries look for, and of each caption for its image if a metric needs them.

    Where the last of equal items is ahead, the rows are ranked in reverse order.
    """
    import torch

    from mlcd_eval.metrics.retrieval import caption_ranks, retrieval_ranks

    of = torch.tensor(image_of_text, device=inputs.device)
    backwards = settings.ties == "last"
    if backwards:
        of = len(image) - 1 - of.flip(0)
        image, text = (rows.select(np.arange(len(rows) - 1, -1, -1)) for rows in (image, text))
    of_captions = None
    with inputs.stage("ranks", len(image), "images") as advance:
        ranks = retrieval_ranks(image, text, of, advance=advance)
    if settings.metric == "ndcg":
        with inputs.stage("ranks of captions", len(text), "captions") as advance:
            of_captions = caption_ranks(image, text, of, advance=advance)
    if not backwards:
        return ranks, of_captions
    return type(ranks)(*(part[::-1] for part in ranks)), None if of_captions is None else of_captions[::-1]
