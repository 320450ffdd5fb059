"""seg_knn on small images whose classes are known."""

import numpy as np
import pytest
import torch
from protocol_inputs import CLASSES_OF_PIXELS, segmented

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.segmentation import memory
from mlcd_eval.protocols.segmentation.memory import memory_of
from mlcd_eval.protocols.segmentation.seg_knn import SegKNN, SegKNNSettings
from mlcd_eval.protocols.segmentation.tokens import class_shares
from mlcd_eval.protocols.shared.patch_images import PatchImages, patch_images


def train_of(given):
    return patch_images(given.images["train"], given.annotations["train"], ClassMap, "train")


def made(given, most=10**6):
    return memory_of(train_of(given), CLASSES_OF_PIXELS, most, np.random.default_rng(0), "cpu")


def test_a_patch_mixes_the_shares_of_those_nearest_to_it(monkeypatch):
    monkeypatch.setattr(memory, "BATCH", 1000)  # a few patches at a time
    given = segmented()
    train, patches = train_of(given), given.images["test"].array[0]
    known, count = made(given)
    keys, shares = [], []
    for row, each in enumerate(train.annotations):
        of_image = class_shares(each.pixels(), Layout((4, 4)), CLASSES_OF_PIXELS)
        for place in np.ndindex(4, 4):
            if of_image[place].sum() > 0:
                keys.append(train.array[row][place] / np.linalg.norm(train.array[row][place]))
                shares.append(of_image[place])
    assert count == len(known) == len(keys)
    expected = np.zeros((4, 4, CLASSES_OF_PIXELS))
    for place in np.ndindex(4, 4):
        cosines = np.array(keys, np.float64) @ (patches[place] / np.linalg.norm(patches[place]))
        near = np.argsort(-cosines)[:7]
        weights = np.exp(cosines[near] / 0.1)
        expected[place] = weights @ np.array(shares)[near] / weights.sum()
    found = known.mixed(torch.from_numpy(patches), k=7, temperature=0.1).numpy()
    assert found == pytest.approx(expected, abs=1e-5) and found.sum(axis=2) == pytest.approx(1, abs=1e-5)


def test_classes_that_patches_hold_are_found():
    scores = SegKNN().score(SegKNNSettings(), segmented(noise=0.05))
    found = {metric.name: metric.value for metric in scores.metrics}
    assert scores.primary == "miou" and found["pixel_accuracy"] > 0.8 and found["miou"] > 0.65
    assert scores.details["num_train_images"] == 40 and set(scores.details["baselines"]) == {"position", "colour"}
    assert all(blind["miou"]["value"] < 0.4 for blind in scores.details["baselines"].values())


def test_patches_are_drawn_where_there_are_too_many():
    few, count = made(segmented(), most=50)
    assert len(few) == 50 < count
    every = memory_of(train_of(segmented()), CLASSES_OF_PIXELS, 10**6, np.random.default_rng(0), "cpu")[0]
    whole = {tuple(key) for key in every.keys.tolist()}
    assert {tuple(key) for key in few.keys.tolist()} < whole


def test_a_memory_smaller_than_k_is_used_whole():
    few, _ = made(segmented(), most=3)
    assert few.mixed(torch.ones(1, 1, 6), k=30, temperature=1.0).shape == (1, 1, CLASSES_OF_PIXELS)


def test_train_without_a_known_class_is_one_sentence():
    train = train_of(segmented())
    unknown = ClassMap(*("", (24, 32), "", ""), lambda: np.full((24, 32), -1, np.int16), None)
    blank = [unknown] * len(train.annotations)
    with pytest.raises(IncompatibleError, match="got 40 images of which no patch has a class, expected some"):
        memory_of(PatchImages(train.array, blank), CLASSES_OF_PIXELS, 10, np.random.default_rng(0), "cpu")
    requests = SegKNN().requests(SegKNNSettings(), ["train", "val", "test"])
    assert list(requests) == ["train", "test"] and requests["test"].letterbox


@pytest.mark.slow
def test_controls_hold():
    held, shuffled = SegKNN().controls(SegKNNSettings(), segmented(size=(64, 64), grid=(8, 8)))
    assert held.positive and held.holds and not shuffled.positive and shuffled.holds
