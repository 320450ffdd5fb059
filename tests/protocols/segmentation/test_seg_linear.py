"""seg_linear on small images whose classes are known."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from protocol_inputs import CLASSES_OF_PIXELS, segmented
from sklearn.linear_model import LogisticRegression

from mlcd_eval.data.storage.class_png import of_png
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.segmentation.maps import classes_at, linear
from mlcd_eval.protocols.segmentation.seg_linear import SegLinear, SegLinearSettings
from mlcd_eval.protocols.segmentation.tokens import labels_of


def scored(given, **settings):
    return SegLinear().score(SegLinearSettings(**settings), given)


def values(scores):
    return {metric.name: metric.value for metric in scores.metrics}


@pytest.mark.parametrize("with_val", [False, True])
def test_classes_that_patches_hold_are_found(with_val):
    scores = scored(segmented(with_val, noise=0.05))
    assert scores.primary == "miou" and values(scores)["pixel_accuracy"] > 0.8 and values(scores)["miou"] > 0.65
    details = scores.details
    held = "12 images" if with_val else "8 images"
    assert details["lambda_from"].endswith(held) and details["lambda"] in [row["lambda"] for row in details["search"]]
    assert details["num_train_images"] == 40 + 12 * with_val and details["grid"] == [4, 4] and details["converged"]
    assert np.mean(list(details["class_iou"].values())) == pytest.approx(values(scores)["miou"], abs=1e-12)
    assert list(details["class_iou"]) == ["floor", "wall", "door"]
    for blind in details["baselines"].values():  # neither place nor colour says anything here
        assert blind["miou"]["value"] < 0.35 and blind["pixel_accuracy"]["value"] < 0.45


def test_the_fit_is_scikit_learns():
    given = segmented(noise=0.7)
    scores = scored(given, lambda_=2.0, tolerance=1e-10)
    maps, array = given.annotations["train"], given.images["train"].array
    labels = labels_of(maps, Layout((4, 4)), CLASSES_OF_PIXELS)
    model = LogisticRegression(C=0.5, max_iter=5000, tol=1e-10).fit(array[labels >= 0], labels[labels >= 0])
    right = total = 0
    theirs = linear(torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_))
    for patches, each in zip(given.images["test"].array, given.annotations["test"], strict=True):
        truth = each.pixels()
        classes = classes_at(theirs(torch.from_numpy(patches)), truth.shape, (1, 1))
        right, total = right + int((classes == truth).sum()), total + int((truth >= 0).sum())
    assert sum(scores.samples["pixels_right"]) == pytest.approx(right, abs=2)  # pixels between two classes
    assert sum(scores.samples["pixels_scored"]) == total and scores.details["lambda_from"] == "settings"


def test_colour_and_place_are_found_where_they_say_it():
    def coloured(classes):
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [0, 0, 0]], np.uint8)
        return Image.fromarray(colours[classes])

    blind = scored(segmented(noise=1.0, drawn=coloured), lambda_=0.01).details["baselines"]
    assert blind["colour"]["miou"]["value"] > 0.7 > 0.4 > blind["position"]["miou"]["value"]
    given = segmented(noise=1.0)
    layered = {
        role: [
            dataclasses.replace(each, pixels=lambda each=each: np.sort(each.pixels().clip(0), axis=0)) for each in maps
        ]
        for role, maps in given.annotations.items()
    }
    blind = scored(dataclasses.replace(given, annotations=layered), lambda_=0.01).details["baselines"]
    assert blind["position"]["miou"]["value"] > blind["colour"]["miou"]["value"] + 0.1


def test_held_out_images_are_of_other_scenes():
    scores = scored(segmented(units=20))  # two scenes, of which one is held out
    assert scores.details["lambda_from"].endswith("20 images")
    with pytest.raises(IncompatibleError, match="got 1 train image or scene, expected two"):
        scored(segmented(units=40))


def test_patches_are_drawn_where_there_are_too_many():
    scores = scored(segmented(noise=0.1), patches=200)
    assert scores.details["num_train_patches"] == 200 < scores.details["num_known_patches"]
    assert values(scores)["miou"] > 0.6


def test_what_cannot_be_scored_is_one_sentence():
    given = segmented()
    given.images["test"].array[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"patch features of test are not finite: .* first that of '2_3'"):
        scored(given)
    one_class = {role: [dataclasses.replace(each, pixels=lambda: np.zeros((24, 32), np.int16)) for each in maps]
                 for role, maps in given.annotations.items()}  # fmt: skip
    with pytest.raises(IncompatibleError, match="seg_linear needs two classes to tell apart"):
        scored(dataclasses.replace(segmented(), annotations=one_class))
    requests = SegLinear().requests
    assert list(requests(SegLinearSettings(), ["train", "val", "test"])) == ["train", "val", "test"]
    assert requests(SegLinearSettings(), ["train", "val"])["test"].split == "val"
    assert list(requests(SegLinearSettings(lambda_=1.0), ["train", "val", "test"])) == ["train", "test"]
    assert all(request.letterbox for request in requests(SegLinearSettings(), ["train", "test"]).values())
    with pytest.raises(IncompatibleError, match="seg_linear reads the split 'train': got val"):
        requests(SegLinearSettings(), ["val"])
    with pytest.raises(IncompatibleError, match="seg_linear learns from train"):
        requests(SegLinearSettings(split="train"), ["train", "val"])


def test_images_that_could_not_be_read_are_counted():
    given = segmented()
    test = given.images["test"]
    fewer = dataclasses.replace(test, array=test.array[1:], keys=test.keys[1:], bad=test.keys[:1])
    scores = scored(dataclasses.replace(given, images={**given.images, "test": fewer}))
    assert {(metric.num_scored, metric.num_unscored) for metric in scores.metrics} == {(11, 1)}


def test_controls_hold():
    held, shuffled = SegLinear().controls(SegLinearSettings(), segmented(size=(64, 64), grid=(8, 8)))
    assert held.positive and held.holds and not shuffled.positive and shuffled.holds
    assert held.value > 0.9 and shuffled.value < 0.4


def test_pictures_are_made_where_they_are_kept(monkeypatch):
    given = segmented(noise=0.3)
    kept = scored(dataclasses.replace(given, with_pictures=True), lambda_=1.0)
    truths = [of_png(held, "truth") for held in kept.samples["truth"]]
    assert all(np.array_equal(a, b.pixels()) for a, b in zip(truths, given.annotations["test"], strict=True))
    right = [
        (of_png(held, "prediction") == truth).sum()
        for held, truth in zip(kept.samples["prediction"], truths, strict=True)
    ]
    assert right == kept.samples["pixels_right"]
    monkeypatch.setattr("mlcd_eval.protocols.segmentation.maps.as_png", None)  # none is made
    plain = scored(given, lambda_=1.0)
    assert kept.samples.keys() - plain.samples.keys() == {"truth", "prediction"}
    assert values(plain) == values(kept)
