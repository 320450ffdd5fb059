"""Zero-shot classification in several languages, each with class names of its own, and the mean over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from mlcd_eval.metrics.languages import ACCURACIES, MACRO
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Inputs, Scores

S = TypeVar("S")


def mean_of_languages(settings: S, inputs: Inputs, score: Callable[[S, Inputs], Scores]) -> Scores:
    """Return the means over the languages in which an image's class has a name; an image is one unit of all of them.

    A language none of whose classes has an image is left out and counted.
    """
    images = inputs.images["test"]
    assert images.labels is not None, "the data is labelled"
    row, present = {key: number for number, key in enumerate(images.keys)}, set(images.labels.tolist())
    ranks, by_language, without = [], {}, []
    for language, prompts in inputs.by_language.items():
        if present.isdisjoint(prompts.classes or ()):
            without.append(language)
            continue
        of_language = replace(
            inputs,
            class_names=prompts.class_names,
            templates=prompts.templates,
            classes=prompts.classes,
            prompts_source=prompts.source,
            by_language={},
        )
        found = score(settings, of_language)
        rank = np.zeros(len(images.keys), np.int64)
        rank[[row[key] for key in found.samples["key"]]] = found.samples["rank"]
        ranks.append(rank)
        by_language[language] = {
            **{metric.name: metric.value for metric in found.metrics if MACRO + metric.name in ACCURACIES},
            **{name: found.details[name] for name in ("num_classes", "num_images")},
        }
    scored = np.stack(ranks, axis=1)
    asked = np.flatnonzero(scored.any(axis=1))
    samples = {
        "key": [images.keys[number] for number in asked],
        "rank_in": scored[asked].tolist(),
    }
    classes = np.array([each["num_classes"] for each in by_language.values()])
    unscored = len(images.bad) + len(images.keys) - len(asked)
    return Scores(
        metrics=[measure(name, samples, inputs.seed, unscored) for name in ACCURACIES],
        primary=next(iter(ACCURACIES)),
        samples=samples,
        details={
            "prompts": inputs.prompts_source,
            "chance": {
                name: float(np.minimum(k / classes, 1).mean()) for name, k in zip(ACCURACIES, (1, 5), strict=True)
            },
            "num_languages": len(by_language),
            "languages_without_images": without,
            "by_language": by_language,
        },
    )
