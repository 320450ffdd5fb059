"""Association: which of several images a word is associated with (WinoGAViL, Bitton et al. 2022; DataComp's
misc/winogavil)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mlcd_eval.data.annotations import Annotation, Association
from mlcd_eval.data.base import Kind
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.association import chance_of_jaccard, jaccard_of_best
from mlcd_eval.metrics.table import measure, metric_value
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.shared.joint import joint_embeddings
from mlcd_eval.protocols.shared.scored import of_kind, readable, vectors_of_one_split
from mlcd_eval.protocols.shared.vector_layer import VectorLayer

VOWELS = "aeiou"
ALL, FEW, MANY = "jaccard", "jaccard@5-6", "jaccard@10-12"
"""Of all cues, of those of at most 6 candidates, and of those of at least 10."""


class AssociationSettings(ProtocolSettings):
    """prompt: the cue in lower case after A or An, as DataComp has it, or the cue as it is. metric: the primary one.
    exif: turn images as their EXIF orientation says."""

    split: str = "test"
    layer: VectorLayer = "projected"
    exif: bool = False
    prompt: Literal["article", "none"] = "article"
    metric: Literal["jaccard", "jaccard@5-6", "jaccard@10-12"] = "jaccard"


ELSEWHERE = Elsewhere(tasks=("Common Sense Reasoning",), hub_task="image-text-retrieval")


class AssociationProtocol(Protocol[AssociationSettings]):
    """A cue chooses as many of its candidate images as there are right ones, the most similar; its score is the Jaccard
    index of both sets. Of equally similar candidates the wrong ones come first.

    Intervals are over sets of candidates, since several cues have the same. A metric of a number of candidates that no
    cue has is left out. details.chance: what candidates drawn at random score.
    """

    name = "association"
    version = 1
    kinds = ("associations",)
    elsewhere = ELSEWHERE
    shows_all_metrics = True  # each number of candidates

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """The setting `metric`."""
        return AssociationSettings.model_validate(settings).metric

    def needs(self, settings: AssociationSettings) -> Needs:
        """Return the need for a text tower."""
        return Needs(texts=True)

    def requests(self, settings: AssociationSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        return vectors_of_one_split(self.name, settings, splits)

    def check_annotations(self, settings: AssociationSettings, split: str, annotations: Sequence[Annotation]) -> None:
        """Raise IncompatibleError where no cue has as many candidates as the metric is of."""
        if settings.metric not in _metrics([_number(item) for item in of_kind(annotations, Association)]):
            raise IncompatibleError(
                f"metric {settings.metric!r} has no cues: got none of this number of candidates in split {split!r}, "
                f"expected another metric"
            )

    def score(self, settings: AssociationSettings, inputs: Inputs) -> Scores:
        """Cues with an image that cannot be read are not scored. Raises DataError where no cue of the metric's is left,
        and for features that are not finite."""
        images, items = inputs.images["test"], of_kind(inputs.annotations["test"], Association)
        scored = readable(items, images)
        names = _metrics([_number(item) for item in scored])
        if settings.metric not in names:
            raise DataError(
                f"split {settings.split!r} cannot be scored by {settings.metric}: got {len(scored)} of {len(items)} "
                f"cues whose images can be read, none of this number of candidates"
            )
        board = {candidates: n for n, candidates in enumerate(dict.fromkeys(frozenset(item.images) for item in scored))}
        samples: dict[str, Sequence[Any]] = {
            "key": [item.association_id for item in scored],
            "board": [board[frozenset(item.images)] for item in scored],
            "candidates": [_number(item) for item in scored],
            "text": [item.text for item in scored],
            "jaccard": _scores(settings, inputs, scored),
        }
        by_chance = [chance_of_jaccard(sum(item.chosen), len(item.images)) for item in scored]
        return Scores(
            metrics=[measure(name, samples, inputs.seed, len(items) - len(scored)) for name in names],
            primary=settings.metric,
            samples=samples,
            details={
                "num_images": len(images.keys),
                "chance": {name: metric_value(name, {**samples, "jaccard": by_chance}) for name in names},
            },
        )


def _number(item: Association) -> str:
    """The number of candidates as metrics name it."""
    count = len(item.images)
    return "5-6" if count <= 6 else "10-12" if count >= 10 else "7-9"


def _metrics(numbers: Sequence[str]) -> list[str]:
    """The metrics of cues with these numbers of candidates."""
    return [*[ALL][: len(numbers)], *(name for name in (FEW, MANY) if name.partition("@")[2] in numbers)]


def prompted(cue: str) -> str:
    """The cue after its article, as DataComp writes it."""
    word = cue.lower()
    return f"{'An' if word[0] in VOWELS else 'A'} {word}"


def _scores(settings: AssociationSettings, inputs: Inputs, items: Sequence[Association]) -> list[float]:
    """Return the Jaccard index of each cue."""
    from mlcd_eval.metrics.retrieval import fixed_point

    features = inputs.images["test"]
    texts = [prompted(item.text) if settings.prompt == "article" else item.text for item in items]
    image, text = joint_embeddings(features, texts, inputs)
    row = {key: number for number, key in enumerate(features.keys)}
    values = []
    for number, item in enumerate(items):
        candidates = fixed_point(image[np.array([row[key] for key in item.images])])
        similarities = (candidates @ fixed_point(text[np.array([number])])[0]).cpu().numpy()  # exact, so that ties tie
        values.append(jaccard_of_best(similarities, np.array(item.chosen)))
    return values
