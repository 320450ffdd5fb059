"""How long captions are: how many a model cuts, and recall by their number of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings

DIRECTIONS = ("text_to_image", "image_to_text")


def truncated(settings: RetrievalSettings, inputs: Inputs, texts: Sequence[str]) -> dict[str, int | None]:
    """Return how many of the texts the model cuts, None where that is not known.

    Raises IncompatibleError where these are a larger share than the settings allow.
    """
    counts = inputs.count_tokens(texts) if inputs.context_length is not None else None
    length = inputs.context_length
    cut = None if counts is None or length is None else sum(count > length for count in counts)
    if cut is not None and cut > settings.most_truncated * len(texts):
        raise IncompatibleError(
            f"the model cuts {cut:,} of {len(texts):,} captions at {length} tokens: got {cut / len(texts):.1%}, "
            f"expected at most {settings.most_truncated:.1%} (most_truncated), or a longer context (?context=N)"
        )
    longest = max(counts) if counts else None
    return {"context_length": length, "num_texts": len(texts), "num_truncated": cut, "longest": longest}


def by_length(
    settings: RetrievalSettings, samples: Mapping[str, Sequence[Any]], words: Sequence[int], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Return the recalls of captions within each range of words, empty where the settings have no ranges.

    samples: columns of the captions (in the order of `words`), then of the captioned images. Images are parted by their
    caption's length where each has one.
    """
    if not settings.length_bins:
        return {}
    images = len(samples["key"]) - len(words)
    length = np.array([*words, *(words if images == len(words) else [0] * images)])
    place = np.searchsorted(settings.length_bins, length)
    lows, highs = [1, *(end + 1 for end in settings.length_bins)], [*settings.length_bins, None]
    rows = []
    for number, (low, high) in enumerate(zip(lows, highs, strict=True)):
        part = {
            name: [value for value, at in zip(values, place, strict=True) if at == number]
            for name, values in samples.items()
        }
        for direction in DIRECTIONS if images == len(words) else DIRECTIONS[:1]:
            for k in settings.ks:
                metric = measure(f"{direction}_recall@{k}", part, seed)
                rows.append(
                    {
                        "words": [low, high],
                        "metric": metric.name,
                        "value": metric.value,
                        "ci95": metric.ci95,
                        "num_scored": metric.num_scored,
                    }
                )
    return {"by_length": rows}
