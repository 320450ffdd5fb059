"""The mean over languages, each of which was searched on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlcd_eval.metrics.languages import MACRO
from mlcd_eval.metrics.table import measure, metric_value
from mlcd_eval.protocols.base import Inputs, Scores
from mlcd_eval.protocols.retrieval.searching import Searched
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings
from mlcd_eval.protocols.shared.languages import languages_of


def mean_of_languages(settings: RetrievalSettings, inputs: Inputs, by_language: Mapping[str, Searched]) -> Scores:
    """Return the means over languages. An image is one unit of all languages that it has captions in."""
    samples: dict[str, list[Any]] = {"language": []}
    for language, found in by_language.items():
        for name, values in found.samples.items():
            named = [f"{language}:{key}" for key in values] if name == "key" else values
            samples.setdefault(name, []).extend(named)
        samples["language"] += [language] * len(found.samples["key"])
    counts = [found.counts(settings) for found in by_language.values()]
    totals = [(of_one[0][0], sum(n for _, n, _ in of_one)) for of_one in zip(*counts, strict=True)]
    return Scores(
        metrics=[measure(f"{MACRO}{name}", samples, inputs.seed, unscored) for name, unscored in totals],
        primary=f"{MACRO}{settings.primary}",
        samples=samples,
        details={
            "num_images": len(inputs.images["test"].keys),
            "num_texts": sum(found.details["num_texts"] for found in by_language.values()),
            "captions_per_image": settings.captions_per_image,
            "num_languages": len(by_language),
            "languages_without_captions": [
                language for language, has_text in languages_of(inputs.annotations["test"]).items() if not has_text
            ],
            "by_language": {
                language: {
                    **{name: metric_value(name, found.samples) for name, _, _ in found.counts(settings)},
                    "num_texts": found.details["num_texts"],
                    "images_without_captions": found.no_query,
                    "num_truncated": found.details["truncation"]["num_truncated"],
                }
                for language, found in by_language.items()
            },
        },
    )
