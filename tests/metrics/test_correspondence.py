"""PCK against its definition, point by point."""

import numpy as np
import pytest

from mlcd_eval.metrics.correspondence import num_right
from mlcd_eval.metrics.table import measure, metric_kind, metric_value


def test_a_point_at_the_very_distance_is_right():
    distance = np.array([0.0, 3.9, 4.0, 4.000001])
    assert [num_right(distance, 40.0, alpha) for alpha in (0.1, 0.05)] == [3, 1]


def test_means_over_pairs_and_over_points():
    rng = np.random.default_rng(0)
    distances = [rng.uniform(0, 30, count) for count in (3, 17, 8, 1, 11)]
    boxes = [100.0, 60.0, 150.0, 80.0, 40.0]
    columns = {"unit": ["a", "a", "b", "c", "d"], "points": [len(each) for each in distances]}
    columns["right_bbox@0.1"] = [num_right(each, box, 0.1) for each, box in zip(distances, boxes, strict=True)]
    right = [[d <= 0.1 * box for d in each] for each, box in zip(distances, boxes, strict=True)]
    per_image = sum(sum(each) / len(each) for each in right) / len(right)
    per_point = sum(map(sum, right)) / sum(map(len, right))
    assert metric_value("pck_bbox_per_image@0.1", columns) == pytest.approx(per_image, abs=1e-12)
    assert metric_value("pck_bbox_per_point@0.1", columns) == pytest.approx(per_point, abs=1e-12)
    assert per_image != pytest.approx(per_point, abs=0.01)
    metric = measure("pck_bbox_per_image@0.1", columns, seed=0)
    assert metric.ci95[0] < metric.value < metric.ci95[1] and metric.num_scored == 5
    one_unit = measure("pck_bbox_per_point@0.1", {**columns, "unit": ["a"] * 5}, seed=0)
    assert one_unit.ci95 == pytest.approx((one_unit.value, one_unit.value))


def test_headings_say_which_pck():
    assert metric_kind("pck_img_per_point@0.05").heading == "PCK@0.05 (img, per point)"
