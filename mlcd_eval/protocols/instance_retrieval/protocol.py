"""Instance retrieval: images that show the same thing as a query, among many (Revisited Oxford and Paris, Google
Landmarks v2, Met; Stanford Online Products, CUB and In-Shop of metric learning)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from mlcd_eval.data.annotations import Annotation, Search
from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.found import chance_of_gap
from mlcd_eval.metrics.searches import GAPS, LEVELS
from mlcd_eval.metrics.table import CLUSTERING, measure
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.labelled import checked_labels
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.clustering import clustered
from mlcd_eval.protocols.dialects import ProtocolDialect, ProtocolSettings
from mlcd_eval.protocols.instance_retrieval.expansion import Expansion, expanded
from mlcd_eval.protocols.instance_retrieval.outcomes import Found, Measured, by_query
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.protocols.shared.vector_layer import VectorLayer

MEDIUM = LEVELS[2]


class InstanceRetrievalSettings(ProtocolSettings):
    """split: that of the queries. gallery: that of the images which they search, by default `gallery` where there is
    one, else the queries' own, each of which searches the others.
    ks: the K of recall@K; map_at, precision_at: those of mAP@K and mP@K. average_precision: the mean of the precisions
    at the right answers (step), or revisitop's trapezoids. metric: the primary one, at the level medium where there are
    several; `gap` adds global average precision of the nearest image as answer, over queries that have one and queries
    that have none (Met), for which nothing of the gallery may be passed over. clusters: whether the queries are
    clustered too, as the protocol clustering does it, with features of length 1. expansion: query expansion before the
    ranking, off. exif: turn images as their EXIF orientation says."""

    split: str = "test"
    gallery: str | None = None
    layer: VectorLayer = PENULTIMATE
    exif: bool = False
    ks: tuple[PositiveInt, ...] = Field(default=(1, 10, 100), min_length=1)
    map_at: PositiveInt = 100
    precision_at: tuple[PositiveInt, ...] = (10,)
    average_precision: Literal["step", "trapezoid"] = "step"
    metric: Literal["map", "map_at", "map_r", "recall", "gap"] = "map"
    clusters: bool = False
    expansion: Expansion | None = None


_TIES = "Equal similarities count against the query here, and are in the sort's order there."

DIALECTS = {
    "revisitop": ProtocolDialect(
        {"average_precision": "trapezoid", "precision_at": (1, 5, 10)},
        "revisitop at 3bb68d3c, python/evaluate.py (Radenovic et al. 2018)",
        f"A positive that is junk too is positive here, and shifts those after it there. {_TIES}",
    ),
    "google-landmarks-v2": ProtocolDialect(
        {"metric": "map_at", "map_at": 100},
        "Weyand et al. 2020, section 4.2: mAP@100",
        _TIES,
    ),
    "metric-learning": ProtocolDialect(
        {"metric": "recall", "ks": (1, 10, 100, 1000), "clusters": True},
        "Oh Song et al. 2016: recall@K and NMI of k-means",
        f"Their k-means is not MiniBatchKMeans. {_TIES}",
    ),
    "musgrave2020": ProtocolDialect(
        {"metric": "map_r"}, "Musgrave et al. 2020, A metric learning reality check", _TIES
    ),
}
FACTORS = {
    "layer": (PENULTIMATE, "projected"),
    "exif": (False, True),
    "average_precision": ("step", "trapezoid"),
}


ELSEWHERE = Elsewhere(
    tasks=("Image Retrieval",),
    metrics=(
        ("instance_map", "mAP"),
        (r"instance_map@(\d+)", r"mAP@\1"),
        ("instance_map_r", "MAP@R"),
        (r"instance_recall@(\d+)", r"R@\1"),
        ("gap", "GAP"),
        ("gap_minus", "GAP-"),
        (r"(easy|medium|hard)_map", r"mAP (\1)"),
        (r"(easy|medium|hard)_mp@(\d+)", r"mP@\2 (\1)"),
    ),
    hub_task="image-feature-extraction",
)


class InstanceRetrieval(Protocol[InstanceRetrievalSettings]):
    """Each query ranks the gallery by cosine similarity, and is scored by the places of the images that show the same.

    An equally similar image that does not is ahead. A query without such an image is not scored. Intervals are over
    queries. details.chance: what a ranking that is drawn at random scores.
    """

    name = "instance_retrieval"
    version = 1
    kinds = ("classification", "instances")
    elsewhere = ELSEWHERE
    dialects = DIALECTS
    factors = FACTORS

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """What papers print beside the primary one: mAP, recall at the least K, NMI and GAP."""
        first = next((name for name in names if "_recall@" in name), "").partition("_")[2]
        return [name for name in names if name in (primary, "nmi", *GAPS) or name.partition("_")[2] in ("map", first)]

    def requests(self, settings: InstanceRetrievalSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return the queries, and the gallery if it is another split. Raises IncompatibleError if one is missing."""
        gallery = settings.gallery or ("gallery" if "gallery" in splits else settings.split)
        for role, split in (("queries", settings.split), ("gallery", gallery)):
            if split not in splits:
                raise IncompatibleError(f"{self.name} reads the {role} from {split!r}: got {', '.join(splits)}")
        if settings.metric == "gap" and gallery == settings.split:
            raise IncompatibleError(
                f"metric 'gap' needs a gallery: got {settings.split!r} for both, expected another split"
            )
        roles = {"gallery": gallery, "test": settings.split} if gallery != settings.split else {"test": gallery}
        return {role: ImageRequest(split, settings.layer, exif=settings.exif) for role, split in roles.items()}

    def check_annotations(
        self, settings: InstanceRetrievalSettings, split: str, annotations: Sequence[Annotation]
    ) -> None:
        """Raise IncompatibleError for clusters of data that has lists and no labels, and where no query has a positive
        one."""
        if settings.clusters:
            raise IncompatibleError(
                f"clusters of split {split!r} need labels: got lists of images, expected clusters=false"
            )
        if settings.metric == "gap" and (some := [each for each in _searches(annotations) if each.hard or each.junk]):
            raise IncompatibleError(
                f"metric 'gap' counts every image: got hard or junk ones for {some[0].image!r} of split {split!r}, "
                "expected none"
            )
        if not any(search.positives or search.hard for search in _searches(annotations)):
            raise IncompatibleError(f"split {split!r} cannot be searched: got no query with a positive, expected some")

    def score(self, settings: InstanceRetrievalSettings, inputs: Inputs) -> Scores:
        """Raises DataError where no query has a positive, and for features that are not finite."""
        from mlcd_eval.metrics.search import compare, ranks
        from mlcd_eval.protocols.instance_retrieval.truth import from_labels, from_searches
        from mlcd_eval.support.resident import Rows

        queries, gallery = inputs.images["test"], inputs.images.get("gallery")
        for part, what in ((queries, "queries"), (gallery, "the gallery")):
            if part is not None:
                check_finite(part.array, f"features of {what}", part.keys)
        keys, array, num_unread = list(queries.keys), queries.array, len(queries.bad)
        if inputs.annotations:
            assert gallery is not None, "queries with lists have a gallery of their own"
            row = {key: number for number, key in enumerate(queries.keys)}
            every = _searches(inputs.annotations["test"])
            searches = [search for search in every if search.image in row]
            keys, num_unread = [search.image for search in searches], len(every) - len(searches)
            array = queries.array[[row[key] for key in keys]]
            truth = from_searches(searches, {key: number for number, key in enumerate(gallery.keys)})
        else:
            labels = checked_labels(queries, settings.split)
            truth = from_labels(labels, None if gallery is None else checked_labels(gallery, "gallery"))
        others = None if gallery is None else gallery.array
        num_images = len(array if others is None else others)
        with threads_for(array.size * num_images):
            if settings.expansion is not None:
                with inputs.stage("query expansion", len(array), "queries") as advance:
                    array = expanded(settings.expansion, array, others, inputs.device, advance)
            rows = Rows(queries.array if others is None else others, inputs.device, unit)
            with inputs.stage("ranks", num_images, "images") as advance:
                known = compare(Rows(array, inputs.device, unit), rows, truth.links, advance, settings.metric == "gap")
        levels = {}
        for level, (wanted, ignored) in truth.levels.items():
            places = by_query(truth.links.query[wanted], ranks(known, wanted, ignored))
            num_ignored = np.bincount(truth.links.query[ignored], minlength=len(keys))
            levels[level] = Found(places, num_images - num_ignored)
        return _scores(settings, inputs, keys, levels, known.nearest, num_unread, truth.counts)


def _scores(
    settings: InstanceRetrievalSettings,
    inputs: Inputs,
    keys: Sequence[str],
    levels: Mapping[str, Found],
    nearest: NDArray[np.float64],
    num_unread: int,
    counts: Mapping[str, int],
) -> Scores:
    num_scored = {level: len(found.places) for level, found in levels.items()}
    if not any(num_scored.values()):
        raise DataError(
            f"{len(keys)} queries cannot be scored: got none with an image of the gallery that shows the same, "
            f"expected at least 1"
        )
    measured = Measured(settings.ks, settings.map_at, settings.precision_at, settings.average_precision)
    places = np.unique(-nearest, return_inverse=True)[1] + 1 if settings.metric == "gap" else None
    samples = measured.samples(keys, levels, places if places is None else places.tolist())
    metrics = [
        measure(f"{level}_{name}", samples, inputs.seed, len(keys) - num_scored[level] + num_unread)
        for level in levels
        for name in measured.names()
    ]
    chance = {
        f"{level}_{name}": value
        for level, found in levels.items()
        if found.places
        for name, value in measured.chance(found).items()
    }
    if places is not None:
        found = levels[LEVELS[0]]
        without = {"gap": 0, "gap_minus": len(keys) - len(found.places)}
        metrics += [measure(name, samples, inputs.seed, count + num_unread) for name, count in without.items()]
        right = np.array([len(found.places.get(query, ())) / found.num_images[query] for query in range(len(keys))])
        chance |= {"gap": chance_of_gap(right), "gap_minus": chance_of_gap(right[right > 0])}
    details: dict[str, Any] = {
        "num_gallery": len(inputs.images.get("gallery", inputs.images["test"]).keys),
        "num_without_positive": {level: len(keys) - number for level, number in num_scored.items()},
        "chance": chance,
        **counts,
    }
    if settings.clusters:
        columns, details["clusters"] = clustered(inputs.images["test"], settings.split, normalise=True)
        samples |= columns
        metrics += [measure(name, samples, inputs.seed, num_unread) for name in CLUSTERING]
    primary = {
        "map": "map",
        "map_at": f"map@{settings.map_at}",
        "map_r": "map_r",
        "recall": f"recall@{min(settings.ks)}",
        "gap": "gap",
    }[settings.metric]
    level = LEVELS[0] if LEVELS[0] in levels else MEDIUM
    return Scores(
        metrics=metrics,
        primary=primary if primary in GAPS else f"{level}_{primary}",
        samples=samples,
        details=details,
    )


def _searches(annotations: Sequence[Annotation]) -> list[Search]:
    return [search for search in annotations if isinstance(search, Search)]
