"""Overlaps of maps of classes against the definitions, pixel by pixel and class by class."""

import numpy as np
import pytest
from scipy import ndimage

from mlcd_eval.metrics.dense import DENSE, boundary_overlaps, class_ious, class_overlaps, mean_iou
from mlcd_eval.metrics.table import measure, metric_value

CLASSES = 5


def maps(seed, size=(37, 52), ignored=0.2):
    """A prediction, and a truth of which some pixels are not scored and one class does not occur."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, CLASSES - 1, (2, 6, 7))
    zoomed = [np.kron(each, np.ones((9, 9), int))[: size[0], : size[1]] for each in coarse]
    prediction = np.where(rng.random(size) < 0.7, zoomed[1], zoomed[0])
    truth = np.where(rng.random(size) < ignored, -1, zoomed[1])
    truth[5:15, 10:20] = -1
    return prediction, truth.astype(np.int16)


def plain_miou(pairs):
    """The mean over classes of intersection over union, of masks written out."""
    ious = []
    for label in range(CLASSES):
        both = sum(int(((ours == label) & (truth == label)).sum()) for ours, truth in pairs)
        either = sum(int((((ours == label) & (truth >= 0)) | (truth == label)).sum()) for ours, truth in pairs)
        if either:
            ious.append(both / either)
    return sum(ious) / len(ious), ious


def boundary(mask, reach):
    """Boundary IoU's own way (Cheng et al. 2021, mask_to_boundary): the mask without what so many erosions leave."""
    padded = np.pad(mask, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=reach)[1:-1, 1:-1]
    return mask & ~eroded


def columns_of(pairs):
    parts = {"unit": [], "pixels_right": [], "pixels_scored": []}
    for number, (ours, truth) in enumerate(pairs):
        for name, measured in (("class", class_overlaps), ("boundary", boundary_overlaps)):
            overlaps = measured(ours, truth, CLASSES)
            parts.setdefault(f"{name}_intersection", []).append(overlaps.intersection.tolist())
            parts.setdefault(f"{name}_union", []).append(overlaps.union.tolist())
        parts["unit"].append(f"scene{number // 2}")
        parts["pixels_right"].append(int((ours == truth).sum()))
        parts["pixels_scored"].append(int((truth >= 0).sum()))
    return parts


def test_mean_iou_is_that_of_masks_written_out():
    pairs = [maps(seed) for seed in range(6)]
    columns = columns_of(pairs)
    expected, ious = plain_miou(pairs)
    assert metric_value("miou", columns) == pytest.approx(expected, abs=1e-12)
    sums = [np.sum(columns[f"class_{each}"], axis=0) for each in ("intersection", "union")]
    assert class_ious(*sums)[: len(ious)] == pytest.approx(ious, abs=1e-12) and np.isnan(class_ious(*sums)[-1])
    right = sum(int((ours == truth).sum()) for ours, truth in pairs)
    scored = sum(int((truth >= 0).sum()) for _, truth in pairs)
    assert metric_value("pixel_accuracy", columns) == pytest.approx(right / scored, abs=1e-12)


def test_boundary_iou_is_that_of_eroded_masks():
    pairs = [maps(seed, ignored=0.0 if seed else 0.01) for seed in range(4)]
    reach = max(1, round(0.02 * np.hypot(37, 52)))
    ious = []
    for label in range(CLASSES):
        both = either = 0
        for ours, truth in pairs:
            scored = truth >= 0
            a, b = boundary((ours == label) & scored, reach), boundary(truth == label, reach)
            both, either = both + int((a & b).sum()), either + int((a | b).sum())
        ious += [both / either] if either else []
    value = metric_value("boundary_miou", columns_of(pairs))
    assert value == pytest.approx(np.mean(ious), abs=1e-12) and 0 < value < 1


def test_what_is_not_scored_may_be_anything():
    ours, truth = maps(1)
    other = np.where(truth < 0, (ours + 1) % CLASSES, ours)
    for measured in (class_overlaps, boundary_overlaps):
        for one, two in zip(measured(ours, truth, CLASSES), measured(other, truth, CLASSES), strict=True):
            assert one.tolist() == two.tolist()
    perfect = boundary_overlaps(np.where(truth < 0, 0, truth), truth, CLASSES)
    assert perfect.intersection.tolist() == perfect.union.tolist() and perfect.union.sum() > 0


def test_classes_without_a_pixel_are_left_out():
    assert mean_iou(np.array([3, 0, 0, 4, 0, 2])) == pytest.approx((3 / 4 + 0) / 2)
    assert np.isnan(mean_iou(np.zeros(4)))
    sums = np.array([[1, 0, 2, 0], [1, 1, 1, 1]])
    assert mean_iou(sums).tolist() == [0.5, 1.0]  # of many sums at once, as the bootstrap asks


def test_resamples_are_of_scenes():
    columns = columns_of([maps(seed) for seed in range(6)])
    one_scene = {**columns, "unit": ["the only one"] * 6}
    metric, alone = (measure("miou", each, seed=0) for each in (columns, one_scene))
    assert metric.ci95[0] < metric.value < metric.ci95[1]
    assert alone.ci95 == pytest.approx((metric.value, metric.value)) and metric.num_scored == 6
    assert {kind.over for kind in DENSE.values()} == {"unit"}
