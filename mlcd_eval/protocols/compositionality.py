"""Compositionality: choosing among texts and images that differ in few words (Winoground, SugarCrepe, ARO, ImageCoDe;
MTEB's image-text pair classification)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Annotation, Pairs
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolDialect, ProtocolSettings
from mlcd_eval.protocols.shared.joint import joint_embeddings
from mlcd_eval.protocols.shared.scored import every_and_readable, of_kind, vectors_of_one_split
from mlcd_eval.protocols.shared.vector_layer import VectorLayer

_SIMILARITIES = 1 << 22  # of items that are scored at once


class CompositionalitySettings(ProtocolSettings):
    """ties: what an equally similar wrong item means, `wrong` as in Winoground's code, or that the `first` of the equal
    ones is chosen, which gives a constant model every item whose right text comes first. exif: turn images as their
    EXIF orientation says."""

    split: str = "test"
    layer: VectorLayer = "projected"
    exif: bool = False
    ties: Literal["wrong", "first"] = "wrong"


DIALECTS = {
    "clip-benchmark": ProtocolDialect(
        {"ties": "first"},
        "CLIP_benchmark 1.6.2, metrics/image_caption_selection.py",
        "Where an item has one image, its image_acc is 1 and its acc is our text accuracy.",
    ),
    "mteb": ProtocolDialect(
        {"ties": "first", "exif": True},
        "mteb 2.26, abstasks/image/image_text_pair_classification.py",
        "Where the numbers of images and texts differ, its score of the smaller side and its accuracy are 0, since it "
        "compares as many choices as it has items; they are left out here.",
    ),
}
FACTORS = {"ties": ("wrong", "first"), "exif": (False, True)}


ELSEWHERE = Elsewhere(
    tasks=("Visual Reasoning",),
    metrics=tuple((f"{what}_accuracy", f"{what.title()} Score") for what in ("text", "image", "group")),
    hub_task="image-text-retrieval",
)


class Compositionality(Protocol[CompositionalitySettings]):
    """An item has images and texts, of which the first ones belong together pair by pair; the others are wrong.

    text_accuracy: share of items of which each image is most similar to its own text; image_accuracy: of which each
    text is most similar to its own image; group_accuracy: of which both hold (Thrush et al. 2022). A metric is left out
    where there is nothing to choose from. Intervals are over first images, since items that share one are not
    independent. details.chance: what similarities drawn at random score; details.baselines: what the texts alone do,
    by their length, by pairs of words and by how often each is right elsewhere; details.by_category: the primary metric
    with both.
    """

    name = "compositionality"
    version = 1
    kinds = ("pairs",)
    elsewhere = ELSEWHERE
    shows_all_metrics = True  # all three of Winoground
    dialects = DIALECTS
    factors = FACTORS

    def needs(self, settings: CompositionalitySettings) -> Needs:
        """Return the need for a text tower."""
        return Needs(texts=True)

    def requests(self, settings: CompositionalitySettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        return vectors_of_one_split(self.name, settings, splits)

    def check_annotations(
        self, settings: CompositionalitySettings, split: str, annotations: Sequence[Annotation]
    ) -> None:
        """Raise IncompatibleError where some items have several images or texts and others have one, so that metrics
        would be over different items."""
        for side in ("images", "texts"):
            several = {len(getattr(item, side)) > 1: item.pairs_id for item in of_kind(annotations, Pairs)}
            if len(several) > 1:
                raise IncompatibleError(
                    f"items of split {split!r} do not compare: got several {side} in {several[True]!r} and one in "
                    f"{several[False]!r}, expected several in all or one in all"
                )

    def score(self, settings: CompositionalitySettings, inputs: Inputs) -> Scores:
        """Items with an image that cannot be read are not scored. Raises DataError where there is no other, and for
        features that are not finite."""
        items, scored = every_and_readable(inputs, Pairs, "item")
        chosen = _choices(settings, inputs, scored)
        samples: dict[str, Sequence[Any]] = {
            "key": [item.pairs_id for item in scored],
            "image": [item.images[0] for item in scored],
            "category": [item.category for item in scored],
            "texts": [list(item.texts) for item in scored],
            **{name: outcomes.astype(np.float64).tolist() for name, outcomes in chosen.items()},
        }
        primary = "group_accuracy" if "group_accuracy" in chosen else next(iter(chosen))
        chance, blind = _chance(scored, list(chosen)), _blind(scored)
        return Scores(
            metrics=[measure(name, samples, inputs.seed, len(items) - len(scored)) for name in chosen],
            primary=primary,
            samples=samples,
            details={
                "num_images": len({image for item in scored for image in item.images}),
                "chance": chance,
                "baselines": {
                    baseline: {name: float(of_items[name].mean()) for name in chosen}
                    for baseline, of_items in blind.items()
                },
                "by_category": _by_category(
                    scored, chosen[primary], {baseline: of_items[primary] for baseline, of_items in blind.items()}
                ),
            },
        )


def _choices(
    settings: CompositionalitySettings, inputs: Inputs, items: Sequence[Pairs]
) -> dict[str, NDArray[np.bool_]]:
    """Return metric -> whether each item (N,) is right, of the metrics that there are."""
    import torch

    from mlcd_eval.metrics.compositionality import found
    from mlcd_eval.metrics.retrieval import fixed_point

    features = inputs.images["test"]
    image, text = joint_embeddings(features, [text for item in items for text in item.texts], inputs)
    row = {key: number for number, key in enumerate(features.keys)}
    first_text = np.cumsum([0, *(len(item.texts) for item in items)])
    by_shape: dict[tuple[int, int], list[int]] = {}
    for number, item in enumerate(items):
        by_shape.setdefault((len(item.images), len(item.texts)), []).append(number)
    right: dict[str, NDArray[np.bool_]] = {
        name: np.zeros(len(items), bool) for name in ("text_accuracy", "image_accuracy")
    }
    for (num_images, num_texts), numbers in by_shape.items():
        at_once, matched = max(1, _SIMILARITIES // (num_images * num_texts)), min(num_images, num_texts)
        for begin in range(0, len(numbers), at_once):
            part = np.array(numbers[begin : begin + at_once])
            image_rows = np.array([row[key] for number in part for key in items[number].images])
            text_rows = (first_text[part][:, None] + np.arange(num_texts)).ravel()
            images = fixed_point(image[image_rows]).unflatten(0, (-1, num_images))
            texts = fixed_point(text[text_rows]).unflatten(0, (-1, num_texts))
            similarities = torch.einsum("bid,btd->bit", images, texts)  # exact, so that equal texts tie
            queries = {
                "text_accuracy": similarities[:, :matched],
                "image_accuracy": similarities.transpose(1, 2)[:, :matched],
            }
            for name, of_query in queries.items():
                right[name][part] = found(of_query, settings.ties).cpu().numpy()
    num_images, num_texts = next(iter(by_shape))
    sides = {"text_accuracy": num_texts > 1, "image_accuracy": num_images > 1}
    chosen = {name: right[name] for name, has_choice in sides.items() if has_choice}
    if len(chosen) > 1:
        chosen["group_accuracy"] = right["text_accuracy"] & right["image_accuracy"]
    return chosen


def _chance(items: Sequence[Pairs], names: Sequence[str]) -> dict[str, float]:
    """Return metric -> its expected value for similarities drawn at random."""
    from mlcd_eval.metrics.compositionality import chance_of_both, chance_of_choice

    totals = dict.fromkeys(names, 0.0)
    for (images, texts), count in Counter((len(item.images), len(item.texts)) for item in items).items():
        matched, others = min(images, texts), abs(images - texts)
        of_item = {
            "text_accuracy": chance_of_choice(matched, texts),
            "image_accuracy": chance_of_choice(matched, images),
            "group_accuracy": chance_of_both(matched, others),
        }
        totals = {name: total + count * of_item[name] for name, total in totals.items()}
    return {name: total / len(items) for name, total in totals.items()}


def _blind(items: Sequence[Pairs]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return baseline -> metric -> how often it is right of each item (N,)."""
    from mlcd_eval.metrics.blind import BASELINES, Choice, expected

    choices = [Choice(item.texts, min(len(item.images), len(item.texts)), item.images[0]) for item in items]
    outcomes = {}
    for name, baseline in BASELINES.items():
        text, image = np.array(
            [
                expected(scores, choice.matched, len(item.images))
                for scores, choice, item in zip(baseline(choices), choices, items, strict=True)
            ]
        ).T
        outcomes[name] = {"text_accuracy": text, "image_accuracy": image, "group_accuracy": text * image}
    return outcomes


def _by_category(
    items: Sequence[Pairs], outcomes: NDArray[np.bool_], blind: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, Any]]:
    """Return category -> the share that is right, the number of items, and what each baseline has of these; without
    items of no category."""
    categories = np.array([item.category for item in items])
    return {
        category: {
            "value": float(outcomes[rows].mean()),
            "num_scored": len(rows),
            "baselines": {name: float(of_items[rows].mean()) for name, of_items in blind.items()},
        }
        for category in sorted(set(categories.tolist()) - {""})
        for rows in [np.flatnonzero(categories == category)]
    }
