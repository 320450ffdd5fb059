"""Masks by their run lengths against numpy on decoded masks, and numbers worked by hand."""

import numpy as np
import pytest
from pycocotools import mask as coco

from mlcd_eval.metrics.segmentation import Overlaps, encode, is_empty, overall_iou, overlaps, precision_at, sample_iou


def masks(seed, count=300, shape=(30, 23)):  # more than 255: pycocotools' areas overflow there
    chance = np.random.default_rng(seed)
    return [chance.random(shape) < chance.choice([0.0, 0.1, 0.5, 1.0]) for _ in range(count)]


def test_overlaps_are_those_of_decoded_masks():
    first, second = masks(0), masks(1)
    found = overlaps([encode(mask) for mask in first], [encode(mask) for mask in second])
    assert found.intersection.tolist() == [int((a & b).sum()) for a, b in zip(first, second, strict=True)]
    assert found.union.tolist() == [int((a | b).sum()) for a, b in zip(first, second, strict=True)]


def test_encode_is_coco_of_any_mask():
    mask = np.array([[0, 2.5], [-1, 0]])
    assert np.array_equal(coco.decode(encode(mask)), [[0, 1], [1, 0]])


def test_numbers_worked_by_hand():
    found = Overlaps(np.array([8, 0, 0, 3]), np.array([10, 5, 0, 3]))
    assert overall_iou(found) == pytest.approx(11 / 18)
    assert sample_iou(found).tolist() == [0.8, 0.0, 1.0, 1.0]
    assert sample_iou(found, "lavt").tolist() == [0.8, 0.0, 0.0, 1.0]
    assert precision_at(sample_iou(found), 0.8).tolist() == [1, 0, 1, 1]
    assert precision_at(sample_iou(found), 0.9).tolist() == [0, 0, 1, 1]


def test_a_sentence_without_a_target_counts_1_for_an_empty_mask_alone():
    """Right and wrong without a target; a target without a pixel that no mask finds; a target."""
    pixels, has_target = Overlaps(np.array([0, 0, 0, 3]), np.array([0, 7, 0, 4])), np.array([False, False, True, True])
    assert sample_iou(pixels, "lavt", has_target).tolist() == [1.0, 0.0, 0.0, 0.75]
    assert sample_iou(pixels, "lisa", has_target).tolist() == [1.0, 0.0, 1.0, 0.75]


def test_empty_masks():
    assert is_empty([encode(np.zeros((2, 3))), encode(np.eye(3))]).tolist() == [True, False]


def test_overall_iou_weighs_samples_by_their_size_and_mean_iou_does_not():
    found = Overlaps(np.array([900, 0]), np.array([1000, 10]))
    assert overall_iou(found) == pytest.approx(900 / 1010)
    assert sample_iou(found).mean() == pytest.approx(0.45)


def test_nothing_to_overlap():
    assert overall_iou(overlaps([], [])) is None
    assert overall_iou(Overlaps(np.zeros(2, int), np.zeros(2, int))) is None


def test_masks_of_other_sizes_are_a_bug_of_the_caller():
    with pytest.raises(AssertionError, match="size of their image"):
        overlaps([encode(np.ones((2, 3)))], [encode(np.ones((3, 2)))])
