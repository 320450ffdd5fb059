"""Boxes against pycocotools, and areas worked by hand."""

import numpy as np
import pytest
from pycocotools import mask as coco

from mlcd_eval.metrics.boxes import box_ious, boxes_of, boxes_of_largest
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.metrics.table import metric_value


def drawn(count, seed):
    corners = np.sort(np.random.default_rng(seed).uniform(0, 40, (count, 2, 2)), axis=1)
    return corners.reshape(count, 4)


def test_overlaps_are_pycocotools():
    first, second = drawn(50, 0), drawn(50, 1)
    sides = [np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]) for boxes in (first, second)]
    expected = np.diag(coco.iou(sides[0], sides[1], [0] * 50))
    assert box_ious(first, second) == pytest.approx(expected, abs=1e-12)
    assert box_ious(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]])) == pytest.approx(1 / 3)
    assert box_ious(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0]


def test_boxes_are_around_masks_and_their_largest_parts():
    mask = np.zeros((10, 12), bool)
    mask[1, 1:3] = mask[2, 3] = True  # three pixels that touch at a corner
    mask[7:9, 10:11] = True
    masks = [encode(mask), encode(np.zeros((10, 12))), encode(np.ones((10, 12)))]
    assert boxes_of(masks).tolist() == [[1, 1, 11, 9], [0, 0, 0, 0], [0, 0, 12, 10]]
    assert boxes_of_largest(masks).tolist() == [[1, 1, 4, 3], [0, 0, 0, 0], [0, 0, 12, 10]]


def test_metrics_are_means_over_sentences():
    columns = {"box_iou": [0.5, 0.49, 1.0, 0.0], "image": ["a", "a", "b", "b"]}
    assert metric_value("box_accuracy@0.5", columns) == 0.5 and metric_value("mean_box_iou", columns) == 0.4975
    assert metric_value("box_accuracy@0.7", columns) == 0.25
