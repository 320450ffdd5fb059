"""seg_zeroshot against a plain reference: cosines, torch's own interpolation, and IoUs counted class by class."""

import dataclasses

import numpy as np
import pytest
import torch
from protocol_inputs import named_directions, prompted_segments, values

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.encoders.layers import BlockInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.segmentation.seg_zeroshot import SegZeroShot, SegZeroShotSettings


def scored(given, **settings):
    return SegZeroShot().score(SegZeroShotSettings(**settings), given)


def reference(given, names, first=0):
    """mIoU and pixel accuracy of classes from `first` on; what is of others is not scored."""
    prompts = np.stack([named_directions([f"a photo of a {name}.", name]) for name in names])
    prompts /= np.linalg.norm(prompts, axis=2, keepdims=True)
    directions = prompts.mean(axis=1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    both, either, right, total = np.zeros(len(names)), np.zeros(len(names)), 0, 0
    for patches, each in zip(given.images["test"].array, given.annotations["test"], strict=True):
        cosines = patches / np.linalg.norm(patches, axis=2, keepdims=True) @ directions.T
        square = torch.nn.functional.interpolate(
            torch.from_numpy(cosines).permute(2, 0, 1)[None], size=(max(each.size),) * 2, mode="bilinear"
        )
        found = square[0, :, : each.size[0], : each.size[1]].argmax(dim=0).numpy()
        truth = each.pixels().astype(int) - first
        known = truth >= 0
        for label in range(len(names)):
            ours, theirs = (found == label) & known, truth == label
            both[label], either[label] = both[label] + (ours & theirs).sum(), either[label] + (ours | theirs).sum()
        right, total = right + ((found == truth) & known).sum(), total + known.sum()
    return {"miou": np.mean(both / either), "pixel_accuracy": right / total}


def test_patches_get_the_class_of_the_nearest_prompts():
    given = prompted_segments()
    scores = scored(given)
    expected = reference(given, ["floor", "wall", "door"])
    assert scores.primary == "miou" and {name: values(scores)[name] for name in expected} == pytest.approx(expected)
    assert expected["miou"] > 0.4 > scores.details["baselines"]["shuffled_names"]["miou"]["value"]
    assert scores.details["num_templates"] == 2 and list(scores.details["class_iou"]) == ["floor", "wall", "door"]


def test_a_background_is_left_out_unless_it_is_a_prompt():
    names = ("background", "wall", "door")
    given = prompted_segments(names)
    left_out, prompt = scored(given), scored(given, background="prompt")
    expected = reference(given, names[1:], first=1)
    assert {name: values(left_out)[name] for name in expected} == pytest.approx(expected)
    assert list(left_out.details["class_iou"]) == ["wall", "door"] and left_out.details["num_classes"] == 2
    expected = reference(given, names)
    assert {name: values(prompt)[name] for name in expected} == pytest.approx(expected)
    assert sum(left_out.samples["pixels_scored"]) < sum(prompt.samples["pixels_scored"])


def test_controls_hold():
    held, shuffled = SegZeroShot().controls(SegZeroShotSettings(), prompted_segments(size=(64, 64), grid=(8, 8)))
    assert held.positive and held.holds and held.value > 0.9 and not shuffled.positive and shuffled.holds


def test_what_cannot_be_scored_is_one_sentence():
    info = EncoderInfo("m", "m", "", "", {"patches": 8}, (8, 8), 1, has_text=True)
    for_model, settings = SegZeroShot().for_model, SegZeroShotSettings()
    with pytest.raises(IncompatibleError, match="compares patches with texts: got model 'm', which has no text tower"):
        for_model(settings, dataclasses.replace(info, has_text=False))
    with pytest.raises(IncompatibleError, match="got model 'm', whose patches are not in that space"):
        for_model(settings, info)
    assert for_model(settings, dataclasses.replace(info, blocks=BlockInfo(2, 8, ("cls", "mean"), 4))) is settings
    given = prompted_segments()
    with pytest.raises(IncompatibleError, match="needs class names and templates: got none"):
        scored(dataclasses.replace(given, class_names=None))
    with pytest.raises(IncompatibleError, match="not in one space: got 6 and 4 dimensions"):
        scored(dataclasses.replace(given, encode_texts=lambda texts: named_directions(texts)[:, :4]))
    with pytest.raises(DataError, match="features of texts are not finite"):
        scored(dataclasses.replace(given, encode_texts=lambda texts: named_directions(texts) * np.nan))
    requests = SegZeroShot().requests(settings, ["train", "val"])
    assert {role: (each.split, each.layer, each.letterbox) for role, each in requests.items()} == {
        "test": ("val", "value_patches", True)
    }
    with pytest.raises(IncompatibleError, match="seg_zeroshot reads the split 'val': got train"):
        SegZeroShot().requests(settings, ["train"])
