"""How regions are classified, and what is reported of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Region
from mlcd_eval.metrics.regions import REGIONS, SIZES, size_of
from mlcd_eval.protocols.base import Inputs, Scores
from mlcd_eval.protocols.regions.baselines import BASELINES
from mlcd_eval.protocols.regions.pooling import check_masks, drawn, pooled, regions_of
from mlcd_eval.protocols.regions.settings import RegionClassificationSettings
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.plain_patches import BASELINE_IMAGES
from mlcd_eval.support.progress import Progress

PRIMARY = "region_acc1"
SHOWN = (PRIMARY, "region_mean_acc1")
"""Of baselines, and in summaries."""

Columns = dict[str, list[Any]]
Arrays = Mapping[str, NDArray[np.float32]]
Parts = Mapping[str, Sequence[Region]]


def region_scores(settings: RegionClassificationSettings, inputs: Inputs) -> Scores:
    """Return the scores of regions. Raises DataError for features that are not finite, and IncompatibleError where
    train has one class."""
    from mlcd_eval.metrics.table import measure

    regions, num_unread = _regions(settings, inputs)
    names = list(inputs.class_names or ())
    columns, details = classified(settings, regions, names, inputs)
    metrics = [
        measure(name, columns, inputs.seed, num_unread, defined=kind.fits(len(names))) for name, kind in REGIONS.items()
    ]
    details |= {
        "grid": list(inputs.images["test"].array.shape[1:3]),
        "num_by_size": {name: columns["size"].count(name) for name in SIZES},
        "class_acc1": _of_classes(columns, names),
        "baselines": _baselines(settings, regions, names, inputs),
    }
    return Scores(metrics=metrics, primary=PRIMARY, samples=columns, details=details)


def _regions(settings: RegionClassificationSettings, inputs: Inputs) -> tuple[Parts, int]:
    """The regions of each role, but of train and val as many as are used, and how many of test could not be read."""
    chance, regions = np.random.default_rng(inputs.seed), {}
    for role, images in inputs.images.items():
        check_finite(images.array, f"patch features of {role}", images.keys)
        regions[role] = regions_of(images, inputs.annotations[role], role)
        check_masks(regions[role].every, settings.pool, role)
    used = {
        role: list(each.every) if role == "test" else drawn(each.every, settings.regions, chance)
        for role, each in regions.items()
    }
    return used, regions["test"].num_unread


def classified(
    settings: RegionClassificationSettings, regions: Parts, names: Sequence[str], inputs: Inputs
) -> tuple[Columns, dict[str, Any]]:
    """Return the columns of the test regions (metrics/regions.py), and how they were made."""
    features = {}
    with inputs.stage("pooling patches", sum(map(len, regions.values())), "regions") as advance:
        for role, of_role in regions.items():
            features[role] = pooled(inputs.images[role], of_role, settings.pool, settings.parts, advance)
    return _by_mode(settings, features, regions, names, inputs)


def _by_mode(
    settings: RegionClassificationSettings,
    features: Arrays,
    regions: Parts,
    names: Sequence[str],
    inputs: Inputs,
) -> tuple[Columns, dict[str, Any]]:
    from mlcd_eval.protocols.classification.labelled import as_lists
    from mlcd_eval.protocols.regions.linear import FITS, Fitting, probed
    from mlcd_eval.protocols.regions.zeroshot import compared

    test = regions["test"]
    if settings.mode == "zeroshot":
        columns = compared(features["test"], test, inputs)
        details: dict[str, Any] = {"prompts": inputs.prompts_source}
    else:
        how = Fitting(settings.lambda_, settings.val_fraction, settings.max_iter, settings.tolerance)
        with inputs.stage("fits of the classifier", 1 if how.lambda_ else FITS, "fits") as advance:
            columns, details = probed(features, regions, len(names), how, inputs.seed, inputs.device, advance)
    columns.pop("contrast", None)
    of_regions = {
        "key": [region.region_id for region in test],
        "image": [region.image for region in test],
        "unit": [region.unit for region in test],
        "size": [size_of(region.area) for region in test],
    }
    return {**of_regions, **as_lists(columns)}, details


def _of_classes(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> dict[str, float | None]:
    """The accuracy of each class, None for one without a region."""
    right, count = np.zeros(len(names)), np.zeros(len(names))
    np.add.at(right, columns["label"], columns["correct"])
    np.add.at(count, columns["label"], 1)
    return {name: float(right[number] / count[number]) if count[number] else None for number, name in enumerate(names)}


def _baselines(
    settings: RegionClassificationSettings, regions: Parts, names: Sequence[str], inputs: Inputs
) -> dict[str, Any]:
    """Return what is scored by the mean of all patches of a region's image and, by a probe, of what is known of it
    without an encoder."""
    chance = np.random.default_rng(inputs.seed)
    some = {role: each if role == "test" else _of_some_images(each, chance) for role, each in regions.items()}
    plain = {
        "image": {role: pooled(inputs.images[role], list(map(_whole, each)), "box") for role, each in some.items()}
    }
    if settings.mode == "linear":
        for name, make in BASELINES.items():
            plain[name] = {role: make(each, settings.pool) for role, each in some.items()}
    quiet = replace(inputs, stage=Progress().stage)
    return {
        name: brief_metrics(SHOWN, _by_mode(settings, each, some, names, quiet)[0], inputs.seed)
        for name, each in plain.items()
    }


def _of_some_images(regions: Sequence[Region], chance: np.random.Generator) -> Sequence[Region]:
    images = sorted({region.image for region in regions})
    if len(images) <= BASELINE_IMAGES:
        return regions
    chosen = set(chance.choice(images, BASELINE_IMAGES, replace=False).tolist())
    return [region for region in regions if region.image in chosen]


def _whole(region: Region) -> Region:
    """The image as a region."""
    return replace(region, box=(0.0, 0.0, float(region.size[1]), float(region.size[0])))
