"""J and F against DAVIS's definitions, pixel by pixel."""

import math

import numpy as np
import pytest

from mlcd_eval.metrics.table import measure, metric_kind
from mlcd_eval.metrics.tracking import TRACKING, boundary, boundary_accuracy, over_frames, region_similarity


def blobs(seed, size=(45, 70)):
    """Two masks that overlap, with holes, islands and parts at the border."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: size[0], : size[1]]
    centre, radius = rng.uniform(0, size), rng.uniform(8, 20)
    masks = []
    for moved in (0, rng.uniform(3, 7)):
        far = np.hypot(rows - centre[0] - moved, columns - centre[1] + moved) + rng.normal(0, 0.8, size)
        masks.append((far < radius) & (far > radius / 4))
    return masks


def outline(mask):
    """davis2017-evaluation's _seg2bmap, pixel by pixel."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            if y == height - 1:
                others = [(y, x + 1)]
            if x == width - 1:
                others = [(y + 1, x)] if y < height - 1 else []
            found[y, x] = any(mask[y, x] != mask[other] for other in others)
    return found


def f_measure(prediction, truth):
    """davis2017-evaluation's f_measure: boundaries, each grown by a disk."""
    reach = math.ceil(0.008 * math.hypot(*truth.shape))
    disk = [
        (y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1) if y * y + x * x <= reach * reach
    ]
    ours, theirs = outline(prediction), outline(truth)
    places = [{(int(y), int(x)) for y, x in np.argwhere(each)} for each in (ours, theirs)]
    if not places[0] or not places[1]:
        return float(len(places[0]) == len(places[1]))
    grown = [{(y + dy, x + dx) for y, x in each for dy, dx in disk} for each in places]
    precision = len(places[0] & grown[1]) / len(places[0])
    recall = len(places[1] & grown[0]) / len(places[1])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_boundaries_and_regions_are_davis(seed):
    prediction, truth = blobs(seed, size=(45, 70) if seed else (140, 190))
    assert boundary(truth).tolist() == outline(truth).tolist()
    value = boundary_accuracy(prediction, truth)
    assert value == pytest.approx(f_measure(prediction, truth), abs=1e-12) and 0 < value < 1
    both, either = (prediction & truth).sum(), (prediction | truth).sum()
    assert region_similarity(prediction, truth) == pytest.approx(both / either, abs=1e-12)


def test_masks_without_a_pixel_or_a_boundary():
    nothing, thing = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    thing[5:9, 6:12] = True
    assert (region_similarity(nothing, nothing), boundary_accuracy(nothing, nothing)) == (1, 1)
    for masks in ((nothing, thing), (thing, nothing)):
        assert (region_similarity(*masks), boundary_accuracy(*masks)) == (0, 0)
    far = np.zeros((20, 30), bool)
    far[15:18, 22:28] = True
    assert boundary_accuracy(thing, far) == 0 == f_measure(thing, far)
    assert boundary_accuracy(~nothing, thing) == 0  # a whole image has no boundary
    assert (region_similarity(thing, thing), boundary_accuracy(thing, thing)) == (1, 1)


def test_mean_recall_and_decay_over_frames():
    """davis2017-evaluation's db_statistics of these values, worked by hand: quarters of 10 frames end at the frames 1,
    3, 5 or 6, 8 and 10, and share their ends."""
    values = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1])
    found = over_frames(values)
    assert found.mean == pytest.approx(0.5) and found.recall == 0.4  # 0.5 itself is not above
    assert found.decay == pytest.approx((0.9 + 0.8 + 0.7) / 3 - (0.3 + 0.2 + 0.1) / 3)
    assert over_frames(np.array([0.7])) == pytest.approx((0.7, 1.0, 0.0))


def test_means_are_over_objects_and_resamples_of_clips():
    columns = {"unit": ["a", "a", "a", "b"], "jf_mean": [0.9, 0.6, 0.3, 0.8]}
    metric = measure("jf_mean", columns, seed=0)
    assert metric.value == pytest.approx(0.65) and metric.num_scored == 4
    assert metric.ci95 == pytest.approx((0.6, 0.8))  # only a, or only b
    assert metric_kind("j_decay").higher_is_better is False and set(TRACKING) > {"j_recall", "f_decay"}
