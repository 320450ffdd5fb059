"""Metrics of regions against their definitions, and means over classes of samples that come in groups."""

import numpy as np
import pytest

from mlcd_eval.metrics.interval import bootstrap_class_means
from mlcd_eval.metrics.paired import paired_class_means
from mlcd_eval.metrics.regions import REGIONS, size_of
from mlcd_eval.metrics.table import measure, metric_value


def columns():
    chance = np.random.default_rng(0)
    label, unit = chance.integers(0, 6, 90), chance.integers(0, 12, 90)
    rank = chance.integers(1, 8, 90) - (unit % 3 == 0) * 2
    sizes = [size_of(area) for area in chance.choice([5.0, 1024.0, 9216.0], 90)]
    return {"label": label, "rank": rank.clip(1), "unit": unit, "size": sizes}


def test_values_are_those_of_the_definitions():
    known = columns()
    right = {k: known["rank"] <= k for k in (1, 5)}
    for k in (1, 5):
        of_class = [right[k][known["label"] == label].mean() for label in range(6)]
        assert metric_value(f"region_acc{k}", known) == pytest.approx(right[k].mean(), abs=1e-12)
        assert metric_value(f"region_mean_acc{k}", known) == pytest.approx(np.mean(of_class), abs=1e-12)
    for name in ("small", "medium", "large"):
        chosen = np.array([size == name for size in known["size"]])
        assert metric_value(f"region_acc1_{name}", known) == pytest.approx(right[1][chosen].mean(), abs=1e-12)
        nowhere = known | {"size": ["other"] * 90}
        assert measure(f"region_acc1_{name}", nowhere, seed=0).value is None


def test_sizes_are_those_of_cocos_evaluation():
    named = {1: "small", 1023: "small", 1024: "medium", 9215: "medium", 9216: "large", 1e6: "large"}
    assert {area: size_of(area) for area in named} == named


def test_means_over_classes_are_resampled_by_group():
    known = columns()
    right, chance, values = (known["rank"] == 1) * 1.0, np.random.default_rng(1), []
    rows = [np.flatnonzero(known["unit"] == unit) for unit in range(12)]
    for _ in range(20_000):
        drawn = np.concatenate([rows[unit] for unit in chance.integers(0, 12, 12)])
        sizes = np.bincount(known["label"][drawn], minlength=6)
        hits = np.bincount(known["label"][drawn], weights=right[drawn], minlength=6)
        values.append((hits[sizes > 0] / sizes[sizes > 0]).mean())
    found = bootstrap_class_means(right, known["label"], np.random.default_rng(2), 20_000, known["unit"])
    assert found == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=4e-3)
    alone = bootstrap_class_means(right, known["label"], np.random.default_rng(2), 20_000, np.arange(90))
    assert alone == pytest.approx(
        bootstrap_class_means(right, known["label"], np.random.default_rng(2), 20_000), abs=4e-3
    )
    assert found[1] - found[0] > 1.1 * (alone[1] - alone[0])  # ranks go together in a unit
    assert REGIONS["region_mean_acc1"].over == "unit"
    ours = measure("region_mean_acc1", known, seed=0)
    assert ours.ci95 == pytest.approx(found, abs=0.02)


def test_groups_are_swapped_whole():
    label, group = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2])
    a, b = np.array([0.0, 0, 1, 0, 0, 1]), np.array([1.0, 1, 1, 1, 0, 1])
    paired = paired_class_means(a, b, label, np.random.default_rng(0), group)
    # of the eight ways to swap three units of differences 2, 1 and 0, four are as far from 0 as the observed
    assert paired.p == pytest.approx(0.5, abs=0.02) and (paired.a, paired.b) == pytest.approx((2 / 6, 5 / 6))
    assert paired_class_means(a, b, label, np.random.default_rng(0)).p == pytest.approx(0.25, abs=0.02)
