"""refcoco's boxes: the annotated ones, those of masks, and what boxes that see no image score."""

import dataclasses

import numpy as np
import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Expression, GeneralizedExpression
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.refcoco.baselines import blind_scores, true_boxes
from mlcd_eval.protocols.refcoco.protocol import Refcoco, RefcocoSettings
from mlcd_eval.support.bundled import demo_data_dir


def mask(left, top, right, bottom):
    drawn = np.zeros((10, 20), bool)
    drawn[top:bottom, left:right] = True
    return drawn


def sentence(number, box=None, kind=Expression, **more):
    truth = encode(mask(2, 2, 6, 8))
    return kind(number, number, f"im{number // 2}", "it", (10, 20), truth, box=box, **more)


def test_the_annotated_box_is_the_truth_where_there_is_one():
    truths = [sentence(0), sentence(1, (2.0, 2.0, 6.0, 5.0))]
    assert true_boxes(truths).tolist() == [[2, 2, 6, 8], [2, 2, 6, 5]]
    assert truths[1] == sentence(1)  # by the mask


def test_a_models_masks_have_the_boxes_of_all_their_pixels():
    apart = mask(2, 2, 6, 8) | mask(18, 9, 19, 10)
    given = {0: encode(mask(2, 2, 6, 8)), 1: encode(mask(2, 2, 6, 4)), 2: encode(apart), 3: encode(mask(0, 0, 0, 0))}
    inputs = Inputs({}, annotations={"test": [sentence(number) for number in range(4)]}, predictions=given)
    scores = Refcoco().score(RefcocoSettings(mode="native"), inputs)
    assert scores.samples["box_iou"] == pytest.approx([1, 1 / 3, 24 / (17 * 8), 0])
    found = {metric.name: metric for metric in scores.metrics}
    assert found["box_accuracy@0.5"].value == 0.25 and found["mean_box_iou"].num_scored == 4
    assert scores.primary == "overall_iou"


def test_sentences_of_several_targets_have_no_box():
    truths = [sentence(number, kind=GeneralizedExpression, has_target=True) for number in range(2)]
    given = {number: encode(mask(2, 2, 6, 8)) for number in range(2)}
    inputs = Inputs({}, annotations={"test": truths}, predictions=given)
    scores = Refcoco().score(RefcocoSettings(mode="native"), inputs)
    assert "box_iou" not in scores.samples and not any("box" in metric.name for metric in scores.metrics)
    assert "box_baselines" not in blind_scores(truths, truths)


def test_boxes_that_see_no_image_are_scored():
    blind = blind_scores([sentence(0), sentence(1)], [sentence(2), sentence(3, (0.0, 0.0, 20.0, 10.0))])
    expected = {"mean_box_box_accuracy@0.5": 0.5, "all_foreground_box_accuracy@0.5": 0.5}
    assert blind["box_baselines"] == expected
    assert blind["baselines"] == {"mean_box_overall_iou": 1.0, "all_foreground_overall_iou": 24 / 200}


def test_the_bundled_sentences_have_the_boxes_of_their_masks():
    dataset = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc/testA")
    sentences = dataset.annotations("testA")[:20]
    assert all(each.box is not None for each in sentences)
    masks = true_boxes([dataclasses.replace(each, box=None) for each in sentences])
    assert np.abs(true_boxes(sentences) - masks).max() <= 1
