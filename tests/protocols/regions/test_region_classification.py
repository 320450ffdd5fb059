"""region_classification on small images whose regions are known."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from protocol_inputs import parted, values
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.regions import baselines
from mlcd_eval.protocols.regions.pooling import pooled
from mlcd_eval.protocols.regions.region_classification import RegionClassification, RegionClassificationSettings


def scored(inputs, **settings):
    return RegionClassification().score(RegionClassificationSettings(**settings), inputs)


@pytest.mark.parametrize("pool", ["mask", "box"])
def test_predictions_are_those_of_scikit_learns_regression(pool):
    given = parted(noise=1.5)
    scores = scored(given, pool=pool, lambda_=0.5, tolerance=1e-9)
    x, y = ({role: make(role) for role in ("train", "test")} for make in (
        lambda role: pooled(given.images[role], given.annotations[role], pool),
        lambda role: [region.label for region in given.annotations[role]],
    ))  # fmt: skip
    model = LogisticRegression(C=1 / 0.5, max_iter=10_000, tol=1e-10).fit(x["train"], y["train"])
    assert scores.samples["prediction"] == model.predict(x["test"]).tolist()
    found = values(scores)
    assert found["region_acc1"] == pytest.approx(model.score(x["test"], y["test"]))
    assert 0.5 < found["region_acc1"] < 0.95
    assert found["region_acc5"] is None  # three classes
    right = np.array(scores.samples["correct"])
    assert scores.details["class_acc1"] == pytest.approx(
        {name: right[np.array(y["test"]) == label].mean() for label, name in enumerate(["floor", "wall", "door"])}
    )
    assert sum(scores.details["num_by_size"].values()) == 24 == len(right)


def test_prompts_classify_by_the_cosine_of_means():
    given = parted(noise=1.2)
    scores = scored(given, mode="zeroshot")
    x = pooled(given.images["test"], given.annotations["test"], "mask")
    prompts = np.eye(6)[:3]  # of unit length, the same for each template
    cosines = x @ prompts.T / np.linalg.norm(x, axis=1, keepdims=True)
    assert scores.samples["prediction"] == cosines.argmax(axis=1).tolist()
    assert scores.details["prompts"] == "made up" and 0.5 < values(scores)["region_acc1"] < 1
    assert list(scores.details["baselines"]) == ["image"]
    with pytest.raises(DataError, match="got 2 names, expected at least 3"):
        scored(dataclasses.replace(given, class_names=["floor", "wall"]), mode="zeroshot")


def test_lambda_is_chosen_on_val_or_on_other_scenes():
    assert scored(parted(with_val=True)).details["lambda_from"] == "search by acc1 on 24 samples"
    held_out = scored(parted(units=20))  # two scenes, of which one is held out
    assert held_out.details["lambda_from"] == "search by acc1 on 40 samples"
    with pytest.raises(IncompatibleError, match="got 1 train image or scene, expected two"):
        scored(parted(units=40))


def test_few_regions_are_drawn():
    scores = scored(parted(), regions=30, lambda_=1.0)
    assert scores.details["num_train"] == 30 and len(scores.samples["key"]) == 24


def test_baselines_find_what_they_hold():
    blind = scored(parted(), lambda_=0.1).details["baselines"]
    assert set(blind) == {"image", "position", "colour", "pixels"}
    assert all(each["region_acc1"]["value"] < 0.65 for each in blind.values())
    given = parted(noise=3)
    coloured = {
        role: [dataclasses.replace(part, picture=lambda of=part.image, parts=parts: drawn(parts, of)) for part in parts]
        for role, parts in given.annotations.items()
    }
    found = scored(dataclasses.replace(given, annotations=coloured), lambda_=0.001).details["baselines"]
    assert found["colour"]["region_acc1"]["value"] > 0.9 and found["pixels"]["region_acc1"]["value"] > 0.9
    placed = {
        role: [dataclasses.replace(part, label=int(part.box[0] >= 14) + int(part.box[1] > 6)) for part in parts]
        for role, parts in given.annotations.items()
    }
    found = scored(dataclasses.replace(given, annotations=placed), lambda_=0.001).details["baselines"]
    assert found["position"]["region_acc1"]["value"] > 0.8 > 0.7 > found["colour"]["region_acc1"]["value"]


def drawn(parts, image):
    """A picture on which each part has a colour of its class."""
    picture = Image.new("RGB", (32, 24))
    for part in parts:
        if part.image == image:
            picture.paste((80 * (part.label + 1), 20, 20), tuple(map(int, part.box)))
    return picture


def test_a_baseline_sees_a_mask_or_a_box():
    given = parted().annotations["test"][:4]
    pixels = np.zeros((24, 32, 3), np.uint8)
    left, top, *_ = map(int, given[0].box)
    pixels[top, left] = 255  # the pixel of the box that its mask lacks
    shown = [dataclasses.replace(given[0], picture=lambda: Image.fromarray(pixels))]
    assert baselines.colours(shown, "mask").max() == 0 < baselines.colours(shown, "box").min()
    assert baselines.thumbnails(shown, "box").shape == (1, 288)


def test_what_cannot_be_scored_is_one_sentence():
    given = parted()
    given.images["test"].array[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"patch features of test are not finite: .* first that of '2_3'"):
        scored(given)
    one_class = {role: [dataclasses.replace(part, label=1) for part in parts]
                 for role, parts in parted().annotations.items()}  # fmt: skip
    with pytest.raises(IncompatibleError, match="region_classification needs two classes to tell apart"):
        scored(dataclasses.replace(parted(), annotations=one_class))
    protocol = RegionClassification()
    with pytest.raises(IncompatibleError, match="pool=mask needs a mask of every region"):
        protocol.check_annotations(RegionClassificationSettings(), "test", parted(masks=False).annotations["test"])
    for wrong in ({"pool": "mask", "parts": 2}, {"pool": "box", "parts": 2, "mode": "zeroshot"}):
        with pytest.raises(ValidationError, match="parts are of a box that a linear probe classifies"):
            RegionClassificationSettings(**wrong)


def test_what_is_asked_of_a_model():
    protocol, splits = RegionClassification(), ["train", "val", "test"]
    requests = protocol.requests(RegionClassificationSettings(), splits)
    assert {role: (each.split, each.layer) for role, each in requests.items()} == {
        role: (role, "patches") for role in splits
    }
    prompts = RegionClassificationSettings(mode="zeroshot")
    (request,) = protocol.requests(prompts, ["val"]).values()
    assert (request.split, request.layer, request.letterbox) == ("val", "projected_patches", True)
    assert protocol.needs(prompts).class_prompts and not protocol.needs(RegionClassificationSettings()).texts
    with pytest.raises(IncompatibleError, match="region_classification reads the split 'other': got val"):
        protocol.requests(RegionClassificationSettings(mode="zeroshot", split="other"), ["val"])


def test_images_that_could_not_be_read_are_counted():
    given = parted()
    test = given.images["test"]
    fewer = dataclasses.replace(test, array=test.array[1:], keys=test.keys[1:], bad=test.keys[:1])
    scores = scored(dataclasses.replace(given, images={**given.images, "test": fewer}), lambda_=1.0)
    assert (scores.metrics[0].num_scored, scores.metrics[0].num_unscored) == (22, 2)


@pytest.mark.parametrize("settings", [{"lambda_": 0.01}, {"mode": "zeroshot", "pool": "box"}])
def test_controls_hold(settings):
    held, shuffled = RegionClassification().controls(RegionClassificationSettings(**settings), parted())
    assert held.positive and held.holds and not shuffled.positive and shuffled.holds
    assert held.value > 0.9 > 0.7 > shuffled.value
