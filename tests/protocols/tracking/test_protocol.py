"""tracking on drawings that move."""

import dataclasses

import numpy as np
import pytest
from clip_inputs import moving
from protocol_inputs import of_rows, values

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.tracking.protocol import Tracking, TrackingSettings


def scored(inputs, **settings):
    return Tracking().score(TrackingSettings(**settings), inputs)


def test_objects_that_move_are_followed():
    scores = scored(moving())
    found = values(scores)
    assert scores.primary == "jf_mean" and found["j_mean"] > 0.85
    assert found["jf_mean"] == pytest.approx((found["j_mean"] + found["f_mean"]) / 2, abs=1e-12)
    assert scores.samples["key"] == [f"clip{n}/{number}" for n in range(3) for number in (1, 2)]
    assert scores.samples["frames"] == [3] * 6  # of five, without the first and the last
    details = scores.details
    assert (details["num_clips"], details["num_frames_scored"], details["num_late_objects"]) == (3, 9, 1)
    assert details["baselines"]["position"]["jf_mean"]["value"] < found["jf_mean"] - 0.2
    assert details["baselines"]["colour"]["jf_mean"]["value"] < found["jf_mean"] - 0.2
    assert found["jf_mean"] <= details["true_labels"]["jf_mean"]["value"] < 1  # corners of objects are between patches
    assert details["by_clip"]["clip0"] == pytest.approx(np.mean(scores.samples["jf_mean"][:2]))


def test_standing_still_is_the_first_mask_in_every_frame():
    """The first object of clip 1 moves by half of its width from frame to frame."""
    still = scored(moving(frames=4)).details["baselines"]["position"]
    ious = {"clip0": (1.0, 1.0), "clip1": (8 / 24, 0.0), "clip2": (8 / 24, 0.0)}
    one = np.mean([np.mean(each) for each in ious.values()])
    # the second object moves by half of its width in the frames 2 and 3, of which 2 is scored
    two = np.mean([np.mean([1.0, 8 / 24])] * 3)
    assert still["j_mean"]["value"] == pytest.approx((one + two) / 2)


def test_clips_with_a_frame_that_cannot_be_read_are_counted_by_their_objects():
    metric = scored(of_rows(moving(), slice(1, None))).metrics[0]
    assert (metric.num_scored, metric.num_unscored) == (4, 2)


def test_what_cannot_be_scored_is_one_sentence():
    requests = Tracking().requests(TrackingSettings(), ["train", "val"])
    assert requests["test"].split == "val" and requests["test"].letterbox
    assert Tracking().requests(TrackingSettings(), ["test"])["test"].split == "test"
    with pytest.raises(IncompatibleError, match="tracking reads the split 'test': got train, val"):
        Tracking().requests(TrackingSettings(split="test"), ["train", "val"])
    inputs = moving()
    broken = inputs.images["test"].array.copy()
    broken[0, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="patch features are not finite: got NaN or infinity in 1 of 15 rows"):
        scored(dataclasses.replace(inputs, images={"test": Features(broken, inputs.images["test"].keys)}))
