"""Errors of depth and normals against the field's definitions, pixel by pixel."""

import math

import numpy as np
import pytest

from mlcd_eval.metrics.geometry import CROPS, DEPTH, WITHIN, angle_errors, angles, depth_errors, scored_pixels
from mlcd_eval.metrics.table import measure, metric_value


def maps(seed, size=(48, 64)):
    chance = np.random.default_rng(seed)
    truth = chance.uniform(0.5, 12, size)
    truth[chance.random(size) < 0.2] = np.nan
    return truth * np.exp(chance.normal(0, 0.3, size)), truth


def plain_errors(prediction, truth):
    """Lists of errors of the pixels, one after another (Eigen et al. 2014, and the official code of AdaBins)."""
    pairs = [(p, t) for p, t in zip(prediction.ravel(), truth.ravel(), strict=True) if t == t]
    count = len(pairs)
    logs = [math.log(p) - math.log(t) for p, t in pairs]
    ratios = [max(p / t, t / p) for p, t in pairs]
    return {
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / count),
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / count,
        "delta1": sum(r < 1.25 for r in ratios) / count,
        "delta2": sum(r < 1.25**2 for r in ratios) / count,
        "delta3": sum(r < 1.25**3 for r in ratios) / count,
        "log10": sum(abs(math.log10(p) - math.log10(t)) for p, t in pairs) / count,
        "silog": math.sqrt(sum(x * x for x in logs) / count - (sum(logs) / count) ** 2),
    }


def test_errors_of_depth_are_those_written_out():
    columns = {name: [] for name in DEPTH} | {"unit": ["a", "a", "b"]}
    expected = {name: [] for name in DEPTH}
    for seed in range(3):
        prediction, truth = maps(seed)
        known = np.isfinite(truth)
        errors, plain = depth_errors(prediction[known], truth[known]), plain_errors(prediction, truth)
        assert errors.keys() == plain.keys() == DEPTH.keys()
        for name in DEPTH:
            assert errors[name] == pytest.approx(plain[name], abs=1e-9)
            columns[name].append(errors[name])
            expected[name].append(plain[name])
    for name in DEPTH:
        metric = measure(name, columns, 0)
        assert metric.value == pytest.approx(np.mean(expected[name]), abs=1e-9)
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]
        assert metric.higher_is_better == name.startswith("delta")
    assert measure("rmse", columns, 0).unit == "metres"


def test_a_common_factor_changes_all_errors_but_silog():
    prediction, truth = (each[np.isfinite(maps(5)[1])] for each in maps(5))
    one, twice = depth_errors(prediction, truth), depth_errors(2 * prediction, truth)
    assert one["silog"] == pytest.approx(twice["silog"], abs=1e-12)
    assert all(one[name] != pytest.approx(twice[name], rel=0.01) for name in one if name != "silog")


def test_crops_are_those_of_the_papers():
    """The numbers of BTS', AdaBins' and DINOv2's own code, on the sizes of both data sets."""
    assert CROPS["nyu_eigen"](480, 640) == (45, 471, 41, 601)
    assert CROPS["kitti_garg"](375, 1242) == (153, 371, 44, 1197)
    assert CROPS["kitti_eigen"](375, 1242) == (124, 342, 44, 1197)
    assert CROPS["none"](3, 4) == (0, 3, 0, 4)


@pytest.mark.parametrize("size", [(375, 1242), (370, 1226), (376, 1241), (374, 1238), (352, 1216)])
def test_kittis_crops_are_those_of_bts_and_dinov2_on_every_size_of_its_images(size):
    """Cut and marked array by array, as eval_kb_crop and eval_mask do, and BTS' uncropping."""
    height, width = size
    place = np.arange(height * width).reshape(size)
    cut = place[height - 352 :, int((width - 1216) / 2) : int((width - 1216) / 2) + 1216]
    rows_cut, rows = (slice(int(0.40810811 * each), int(0.99189189 * each)) for each in (352, height))
    columns_cut, columns = (slice(int(0.03594771 * each), int(0.96405229 * each)) for each in (1216, width))
    depth = np.ones(size)
    assert np.array_equal(place[scored_pixels(depth, 0.1, 80, "kitti_kb_garg")], cut[rows_cut, columns_cut].ravel())
    assert np.array_equal(place[scored_pixels(depth, 0.1, 80, "kitti_garg")], place[rows, columns].ravel())
    assert set(place[rows, columns].ravel()) <= set(cut.ravel())  # BTS scores no pixel that its model was not shown


def test_pixels_that_are_scored():
    depth = np.full((480, 640), 5.0)
    depth[45, 41:44] = np.nan, 10.0, 0.001  # both ends are not scored
    scored = scored_pixels(depth, 1e-3, 10.0, "nyu_eigen")
    assert scored.sum() == (471 - 45) * (601 - 41) - 3
    assert not scored[44].any() and not scored[471].any() and not scored[:, 40].any() and not scored[:, 601].any()
    assert not scored[45, 41:44].any() and scored[45, 44]


def test_angles_are_those_written_out():
    chance = np.random.default_rng(0)
    per_image, every = {"unit": []}, []
    for number in range(4):
        ours, theirs = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in chance.normal(size=(2, 50, 3)))
        ours = ours if number else theirs  # equal: cosines that rounding puts above 1
        degrees = [
            math.degrees(math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(p, t, strict=True))))))
            for p, t in zip(ours.tolist(), theirs.tolist(), strict=True)
        ]
        found = angles(ours, theirs)
        assert found.tolist() == pytest.approx(degrees, abs=3e-6 if number == 0 else 1e-9)
        every.append(found)
        per_image["unit"].append(str(number))
        for name, value in angle_errors(found).items():
            per_image.setdefault(name, []).append(value)
    pooled = np.concatenate(every)
    assert metric_value("mean_angle", per_image) == pytest.approx(pooled.mean(), abs=1e-9)
    medians = [sorted(each)[24] / 2 + sorted(each)[25] / 2 for each in every]
    assert metric_value("median_angle", per_image) == pytest.approx(sum(medians) / 4, abs=1e-9)
    for name in WITHIN:
        expected = sum(angle < float(name) for angle in pooled) / len(pooled)
        metric = measure(f"angle_within@{name}", per_image, 0)
        assert metric.value == pytest.approx(expected, abs=1e-12) and metric.higher_is_better
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]
    assert not measure("mean_angle", per_image, 0).higher_is_better
