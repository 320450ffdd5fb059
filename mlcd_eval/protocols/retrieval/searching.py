"""Captions and images that search each other: the ranks of what each looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.retrieval.lengths import by_length, truncated
from mlcd_eval.protocols.retrieval.settings import CUT, MEAN_R1, RetrievalSettings
from mlcd_eval.protocols.shared.joint import joint_embeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlcd_eval.metrics.retrieval import Ranks
    from mlcd_eval.support.resident import Rows


@dataclass(frozen=True)
class Searched:
    """What was found in one language. samples: columns, of the captions and then of the captioned images. captioned,
    no_query: how many images have a caption, and how many are not searched for want of one. whole: whether there are
    ranks of all captions."""

    samples: dict[str, list[Any]]
    details: dict[str, Any]
    captioned: int
    no_query: int
    whole: bool

    def counts(self, settings: RetrievalSettings) -> list[tuple[str, int, int | None]]:
        """Each metric, with how many queries it leaves out, and over how many samples it is if not its queries."""
        found: list[tuple[str, int, int | None]] = [
            *((f"text_to_image_recall@{k}", 0, None) for k in settings.ks),
            *((f"image_to_text_recall@{k}", self.no_query, None) for k in settings.ks),
            ("mean_recall", self.no_query, self.captioned),
            *([(MEAN_R1, self.no_query, self.captioned)] if settings.metric == MEAN_R1 else []),
        ]
        for direction, unscored in (("text_to_image", 0), ("image_to_text", self.no_query)) if self.whole else ():
            names = [f"{direction}_ndcg@{CUT}", f"{direction}_mrr@{CUT}"]
            if direction == "image_to_text":  # a caption has one image, so that these say nothing else of it
                names += [f"{direction}_map@{CUT}", *(f"{direction}_found@{k}" for k in settings.ks)]
            found += [(name, unscored, None) for name in names]
        return found


def searched(settings: RetrievalSettings, inputs: Inputs, texts_of: Sequence[tuple[str, ...]]) -> Searched:
    """Return the ranks of what captions and images look for. texts_of: the captions of each image."""
    from mlcd_eval.metrics.retrieval import recall_at

    images = inputs.images["test"]
    captions = [[t for t in texts if t.strip()][: settings.captions_per_image] for texts in texts_of]
    image_of_text = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    if len(image_of_text) == 0:
        raise DataError(f"split {settings.split!r} cannot be searched: got 0 captions, expected at least 1")
    flat = [text for texts in captions for text in texts]
    truncation = truncated(settings, inputs, flat)
    image, text = joint_embeddings(images, flat, inputs, settings.embedding)
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
    details = {
        "num_images": len(captions),
        "num_texts": len(text_keys),
        "captions_per_image": settings.captions_per_image,
        "truncation": truncation,
        **by_length(settings, samples, [len(text.split()) for text in flat], inputs.seed),
        "if_ties_went_the_querys_way": {
            f"{direction}_recall@{k}": float(recall_at(ahead, k).mean())
            for direction, ahead in (
                ("text_to_image", text_ranks - ranks.text_to_image_ties),
                ("image_to_text", image_ranks - ranks.image_to_text_ties[captioned]),
            )
            for k in settings.ks
        },
    }
    no_query = len(captions) - len(captioned) + len(images.bad)
    return Searched(samples, details, len(captioned), no_query, ranks_of_captions is not None)


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
