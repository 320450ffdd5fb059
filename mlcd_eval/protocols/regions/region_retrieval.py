"""Retrieval of regions by regions: a region ranks those of other images, and looks for its own class, or for the same
thing as other views show it.

Features are pooled as in region_classification (pooling.py) and compared by cosine; ranks and metrics are those of
instance_retrieval. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from mlcd_eval.data.annotations import Annotation, Region
from mlcd_eval.encoders.base import PATCHES
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.searches import REGION
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.instance_retrieval.outcomes import Found, Measured, by_query
from mlcd_eval.protocols.regions.pooling import Pool, check_masks, drawn, pooled, regions_of
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import of_kind, patches_of_one_split

PRIMARY = f"{REGION}_map"
MAP_AT = 100


class RegionRetrievalSettings(FramedSettings):
    """split: as in region_classification, as pool. truth: what counts as found: another region of the same class whose
    image has no scene or image in common with the query's, or the same thing in another image. regions: that search
    each other, at most; of more of them as many are drawn. ks: the K of recall@K."""

    split: str | None = None
    pool: Pool = "mask"
    truth: Literal["class", "instance"] = "class"
    layer: Literal["patches", "projected_patches"] = PATCHES  # type: ignore[assignment]
    regions: PositiveInt = 5000
    ks: tuple[PositiveInt, ...] = Field(default=(1, 5, 10), min_length=1)


ELSEWHERE = Elsewhere(
    tasks=("Image Retrieval",),
    metrics=((PRIMARY, "mAP"), (rf"{REGION}_recall@(\d+)", r"R@\1")),
    hub_task="image-feature-extraction",
)


class RegionRetrieval(Protocol[RegionRetrievalSettings]):
    """Primary: region_map. Intervals are over images, or over scenes that several images show. Details: what a ranking
    that is drawn at random scores, and what regions score by their place and size, their colour, and a small picture
    of them."""

    name = "region_retrieval"
    version = 1
    kinds = ("regions",)
    elsewhere = ELSEWHERE

    def primary(self, settings: Mapping[str, Any], kind: Any) -> str | None:
        """Always mAP."""
        return PRIMARY

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """mAP, and recall at the least K."""
        first = next((name for name in names if "_recall@" in name), "")
        return [name for name in names if name in (primary, first)]

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the regions where there are too many."""
        return True

    def requests(self, settings: RegionRetrievalSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of the split. Raises IncompatibleError if it is missing."""
        return {"test": patches_of_one_split(self.name, settings.layer, settings.split, splits, settings.frame)}

    def check_annotations(
        self, settings: RegionRetrievalSettings, split: str, annotations: Sequence[Annotation]
    ) -> None:
        """Raise IncompatibleError where masks are asked for and there are boxes only, and where no region has another
        to find."""
        check_masks(annotations, settings.pool, split)
        regions = of_kind(annotations, Region)
        places: dict[str, set[str]] = {}
        for region in regions:
            kind, place = _kind_and_place(region, settings.truth)
            places.setdefault(kind, set()).add(place)
        if not any(len(of_kind) > 1 for of_kind in places.values()):
            raise IncompatibleError(
                f"split {split!r} cannot be searched by truth={settings.truth}: got {len(regions)} regions of which "
                "none is in another image too, expected some"
            )

    def score(self, settings: RegionRetrievalSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and where no region that was drawn has another to find."""
        from mlcd_eval.metrics.table import measure
        from mlcd_eval.protocols.regions.baselines import BASELINES

        images = inputs.images["test"]
        check_finite(images.array, "patch features of test", images.keys)
        found = regions_of(images, inputs.annotations["test"], "test")
        check_masks(found.every, settings.pool, "test")
        regions = drawn(found.every, settings.regions, np.random.default_rng(inputs.seed))
        with inputs.stage("pooling patches", len(regions), "regions") as advance:
            features = pooled(images, regions, settings.pool, advance=advance)
        measured = Measured(settings.ks, MAP_AT, (), "step")
        searched = _searched(features, regions, settings.truth, inputs.device)
        samples = _samples(measured, regions, searched)
        unscored = found.num_unread + len(regions) - len(searched.places)
        names = [f"{REGION}_{name}" for name in measured.names()]
        blind = {}
        for name, make in BASELINES.items():
            ranked = _searched(_scaled(make(regions, settings.pool)), regions, settings.truth, inputs.device)
            columns = _samples(measured, regions, ranked)
            blind[name] = brief_metrics(self.shown_metrics(names, PRIMARY), columns, inputs.seed)
        return Scores(
            metrics=[measure(name, samples, inputs.seed, unscored) for name in names],
            primary=PRIMARY,
            samples=samples,
            details={
                "grid": list(images.array.shape[1:3]),
                "num_regions": len(regions),
                "num_without_positive": len(regions) - len(searched.places),
                "chance": {f"{REGION}_{name}": value for name, value in measured.chance(searched).items()},
                "baselines": blind,
            },
        )


def _kind_and_place(region: Region, truth: str) -> tuple[str, str]:
    """What a region is to find the same of, and what it must not share with those that it finds."""
    return (str(region.label), region.unit) if truth == "class" else (region.thing, region.image)


def _searched(features: NDArray[np.float32], regions: Sequence[Region], truth: str, device: str) -> Found:
    """The places of what each region looks for among those of other places. Raises DataError where none finds any."""
    from mlcd_eval.metrics.search import Links, compare, ranks
    from mlcd_eval.protocols.shared.unit import unit
    from mlcd_eval.support.resident import Rows

    kind, place = (
        np.unique(column, return_inverse=True)[1]
        for column in zip(*(_kind_and_place(region, truth) for region in regions), strict=True)
    )
    rows, wanted = [], []
    for number in range(len(regions)):
        same, near = kind == kind[number], place == place[number]
        (named,) = np.nonzero(same | near)
        rows.append(named)
        wanted.append(~near[named])
    query = np.repeat(np.arange(len(regions)), [len(named) for named in rows])
    links, is_wanted = Links(query, np.concatenate(rows)), np.concatenate(wanted)
    if not is_wanted.any():
        raise DataError(
            f"{len(regions)} regions cannot be searched: got none with another to find, expected at least 1 (--limit?)"
        )
    with threads_for(features.size * len(regions)):
        vectors = Rows(features, device, unit)
        known = compare(vectors, vectors, links)
        places = by_query(query[is_wanted], ranks(known, is_wanted, ~is_wanted))
    return Found(places, len(regions) - np.bincount(query[~is_wanted], minlength=len(regions)))


def _samples(measured: Measured, regions: Sequence[Region], found: Found) -> dict[str, list[Any]]:
    """The columns of samples, a row for each region."""
    columns = measured.samples([region.region_id for region in regions], {REGION: found})
    own = {"image": [region.image for region in regions], "unit": [region.unit for region in regions]}
    return {**columns, **own}


def _scaled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each number with mean 0 and deviation 1, so that cosines compare all of them."""
    deviation = features.std(axis=0)
    scaled: NDArray[np.float32] = (features - features.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)
    return scaled
