"""correspondence on small images that share patches."""

import dataclasses

import numpy as np
import pytest
from point_inputs import corresponding
from protocol_inputs import of_rows, values

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.correspondence.outcomes import rotation_of, same_places
from mlcd_eval.protocols.correspondence.protocol import Correspondence, CorrespondenceSettings


def scored(inputs, **settings):
    return Correspondence().score(CorrespondenceSettings(**settings), inputs)


@pytest.mark.parametrize("match", ["pixels", "patches"])
def test_patches_that_moved_are_found(match):
    scores = scored(corresponding(noise=0.05), match=match)
    found = values(scores)
    assert scores.primary == "pck_bbox_per_image@0.1" and found[scores.primary] > 0.95
    assert scores.details["baselines"]["position"][scores.primary]["value"] < 0.3
    assert scores.details["baselines"]["colour"][scores.primary]["value"] < 0.3
    assert scores.details["num_points"] == sum(scores.samples["points"]) and scores.details["grid"] == [8, 8]


def test_a_position_is_found_again_by_the_sides_of_the_image():
    [pair] = corresponding(count=1).annotations["test"]
    wide = dataclasses.replace(pair, sizes=((48, 64), (24, 128)), source=((31.5, 23.5), (-0.5, -0.5)))
    assert same_places([wide])[0].tolist() == [[63.5, 11.5], [-0.5, -0.5]]  # the middle, and the corner


def test_values_of_categories_and_rotations_are_those_of_their_pairs():
    scores = scored(corresponding(noise=2.0))
    rights, points = (np.array(scores.samples[name]) for name in ("right_img@0.05", "points"))
    of_cats = np.array(scores.samples["category"]) == "cat"
    cats = scores.details["by_category"]["cat"]
    assert cats["pck_img_per_image@0.05"] == pytest.approx((rights / points)[of_cats].mean())
    assert cats["pck_img_per_point@0.05"] == pytest.approx(rights[of_cats].sum() / points[of_cats].sum())
    assert (cats["num_pairs"], cats["num_points"]) == (6, points[of_cats].sum())
    dogs, mean = scores.details["by_category"]["dog"], scores.details["mean_of_categories"]
    of_both = [each["pck_bbox_per_point@0.1"] for each in (cats, dogs)]
    assert of_both[0] != of_both[1] and mean["pck_bbox_per_point@0.1"] == pytest.approx(sum(of_both) / 2)
    pairs = corresponding().annotations["test"]
    assert [rotation_of(pair) for pair in pairs[:4]] == [None, "000-030", "030-060", "060-090"]
    assert sum(each["num_pairs"] for each in scores.details["by_rotation"].values()) == 11
    assert rotation_of(dataclasses.replace(pairs[0], degrees=180.0)) == "120-180"


def test_pairs_whose_images_cannot_be_read_are_counted():
    metric = scored(of_rows(corresponding(), slice(1, None))).metrics[0]
    assert (metric.num_scored, metric.num_unscored) == (11, 1)
    with pytest.raises(DataError, match="no pair can be scored: got 0 of 12 whose images can all be read"):
        scored(of_rows(corresponding(), slice(None, None, 2)))


def test_what_cannot_be_scored_is_one_sentence():
    with pytest.raises(IncompatibleError, match="correspondence reads the split 'test': got train, val"):
        Correspondence().requests(CorrespondenceSettings(), ["train", "val"])
    request = Correspondence().requests(CorrespondenceSettings(split="val"), ["train", "val"])["test"]
    assert (request.split, request.layer, request.letterbox) == ("val", "patches", True)
    inputs = corresponding()
    broken = inputs.images["test"].array.copy()
    broken[3, 0, 0, 0] = np.nan
    damaged = dataclasses.replace(inputs, images={"test": Features(broken, inputs.images["test"].keys)})
    with pytest.raises(DataError, match="patch features are not finite: got NaN or infinity in 1 of 24 rows"):
        scored(damaged)


def test_recall_on_the_object_is_of_pairs_whose_shape_is_known():
    inputs = corresponding(noise=2.0)
    assert not [name for name in values(scored(inputs)) if name.startswith("recall_3d")]
    places = []

    def metres(pair):
        def away(found):
            places.append(found)
            return np.hypot(*(found - np.array(pair.target)).T) / 1000  # a pixel is a millimetre

        return away

    pairs = [dataclasses.replace(pair, metres=metres(pair)) for pair in inputs.annotations["test"]]
    known = dataclasses.replace(inputs, annotations={"test": pairs})
    found = values(scored(known))
    distances = np.concatenate(
        [np.hypot(*(found_at - np.array(pair.target)).T) for pair, found_at in zip(pairs, places, strict=False)]
    )
    for metres_, value in (("0.01", 10), ("0.02", 20), ("0.05", 50)):
        assert found[f"recall_3d@{metres_}"] == pytest.approx((distances < value).mean(), abs=1e-12)
    mixed = dataclasses.replace(inputs, annotations={"test": [*pairs[1:], inputs.annotations["test"][0]]})
    assert not [name for name in values(scored(mixed)) if name.startswith("recall_3d")]


def test_points_of_turned_images_need_turned_images():
    pairs = corresponding(count=2).annotations["test"]
    Correspondence().check_annotations(CorrespondenceSettings(), "test", pairs)
    turned = [pairs[0], dataclasses.replace(pairs[1], is_turned=True)]
    Correspondence().check_annotations(CorrespondenceSettings(exif=True), "test", turned)
    with pytest.raises(IncompatibleError, match="first of 1a and 1b: got exif=false, expected --set exif=true"):
        Correspondence().check_annotations(CorrespondenceSettings(), "test", turned)
    assert Correspondence().requests(CorrespondenceSettings(exif=True), ["test"])["test"].exif
