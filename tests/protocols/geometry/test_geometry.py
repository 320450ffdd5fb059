"""depth_linear and normals_linear on small images whose depth and normals are known."""

import dataclasses

import numpy as np
import pytest
import torch
from protocol_inputs import measured, values
from sklearn.linear_model import Ridge

from mlcd_eval.data.storage.value_png import of_levels
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.geometry.beside import with_vectors
from mlcd_eval.protocols.geometry.depth_linear import DepthLinear, DepthLinearSettings
from mlcd_eval.protocols.geometry.images import at_pixels, parts_of
from mlcd_eval.protocols.geometry.normals_linear import NormalsLinear, NormalsLinearSettings
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import FINE


def scored(given, **settings):
    return DepthLinear().score(DepthLinearSettings(**settings), given)


def interpolated(array, side):
    """(N, side, side, D), by torch."""
    channels = torch.from_numpy(np.asarray(array, np.float64)).permute(0, 3, 1, 2)
    wide = torch.nn.functional.interpolate(channels, size=(side, side), mode="bilinear", align_corners=False)
    return wide.permute(0, 2, 3, 1).numpy()


def standardised_ridge(x, y, penalty):
    """scikit-learn's ridge of features in units of their deviation, whose penalty is a share of the samples."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    model = Ridge(alpha=penalty * len(x)).fit((x - mean) / scale, y)
    return lambda features: model.predict((features - mean) / scale)


def test_the_fit_is_scikit_learns_on_the_pixels_of_interpolated_patches():
    """Each pixel counts once, with the patches interpolated to the part of a patch that it is in."""
    given = measured("depth", noise=0.3)
    scores = scored(given, lambda_=0.01)
    side = FINE * 4  # parts of 2 x 2 pixels
    wide = interpolated(given.images["train"].array, side).repeat(2, axis=1).repeat(2, axis=2)[:, :24]
    depth = np.stack([each.values()[..., 0] for each in given.annotations["train"]]).astype(np.float64)
    known = np.isfinite(depth)
    predict = standardised_ridge(wide[known], np.log(depth[known]), 0.01)
    whole = interpolated(given.images["test"].array, 32)[:, :24]
    errors = []
    for features, each in zip(whole, given.annotations["test"], strict=True):
        truth = each.values()[..., 0].astype(np.float64)
        ours = np.exp(predict(features.reshape(-1, 6))).reshape(24, 32).clip(1e-3, np.nanmax(depth))
        errors.append(np.sqrt(np.nanmean((ours - truth) ** 2)))
    assert scores.samples["rmse"] == pytest.approx(errors, abs=1e-6)
    assert values(scores)["rmse"] == pytest.approx(np.mean(errors), abs=1e-6)
    assert scores.details["lambda_from"] == "settings"
    assert scores.samples["pixels_scored"] == [each.known for each in given.annotations["test"]]


def test_parts_hold_every_known_pixel():
    targets = np.random.default_rng(0).normal(size=(20, 30, 2))
    targets[:3] = np.nan
    parts = parts_of(targets, Layout((5, 6)))
    area = 30 * 30 / (FINE * 5 * FINE * 6)
    assert parts.known.sum() * area == pytest.approx(17 * 30)
    assert parts.sums.sum(axis=0) * area == pytest.approx(np.nansum(targets, axis=(0, 1)))
    assert parts.squares * area == pytest.approx(np.nansum(targets**2))
    first = parts_of(np.ones((16, 8, 1)), Layout((2, 2)))  # 8 x 8 parts of 2 x 2 pixels, the right half of them padding
    assert first.known.reshape(8, 8)[:, :4].tolist() == [[1.0] * 4] * 8 and not first.known.reshape(8, 8)[:, 4:].any()


def test_values_are_interpolated_as_torch_does():
    said = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0))
    expected = interpolated(said[None].numpy(), 40)[0, :40, :31]
    assert at_pixels(said, (40, 31), (1, 1)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("with_val", [False, True])
def test_depth_that_patches_hold_is_found(with_val):
    scores = scored(measured("depth", with_val, noise=0.05))
    found = values(scores)
    assert scores.primary == "rmse" and found["delta1"] > 0.6 and found["delta3"] > 0.95
    held = "12 images" if with_val else "8 images"
    assert scores.details["lambda_from"].endswith(held)
    assert scores.details["lambda"] in [row["lambda"] for row in scores.details["search"]]
    assert max(row["explained"] for row in scores.details["search"]) > 0.6
    assert scores.details["num_train_images"] == 40 + 12 * with_val
    assert scores.details["unknown_pixels"]["test"] == pytest.approx(0.1, abs=0.02)
    for blind in scores.details["baselines"].values():
        assert blind["rmse"]["value"] > 1.3 * found["rmse"] and blind["delta1"]["value"] < found["delta1"] - 0.2
        assert blind["rmse"]["ci95"][0] < blind["rmse"]["value"] < blind["rmse"]["ci95"][1]


def test_the_range_and_the_crop_are_kept():
    given = measured("depth")
    scores = scored(given, min_depth=2.0, max_depth=4.0, crop="nyu_eigen")
    inside = [each.values()[2:23, 2:30, 0] for each in given.annotations["test"]]  # of 24 x 32 pixels
    assert scores.samples["pixels_scored"] == [int(((each > 2) & (each < 4)).sum()) for each in inside]
    assert values(scores)["delta3"] > 0.95  # predictions are between 2 and 4, too, whose ratio is 2
    with pytest.raises(ValueError, match="expected max_depth above min_depth, got 1 and 2"):
        DepthLinearSettings(min_depth=2.0, max_depth=1.0)


def test_an_image_without_a_scored_pixel_is_counted():
    given = measured("depth")
    far = [dataclasses.replace(each, values=lambda: np.full((24, 32, 1), 50, np.float32))
           for each in given.annotations["test"]]  # fmt: skip

    def with_test(rows):
        return dataclasses.replace(given, annotations={**given.annotations, "test": rows})

    scores = scored(with_test([far[0], *given.annotations["test"][1:]]), max_depth=40.0)
    assert {(metric.num_scored, metric.num_unscored) for metric in scores.metrics} == {(11, 1)}
    with pytest.raises(DataError, match="no pixel of 12 test images can be scored"):
        scored(with_test(far), max_depth=40.0)
    with pytest.raises(IncompatibleError, match="nothing can be learned: got no pixel of known value in train"):
        scored(given, min_depth=60.0, max_depth=70.0)


def test_normals_that_patches_hold_are_found():
    scores = NormalsLinear().score(NormalsLinearSettings(), measured("normals", noise=0.05))
    found = values(scores)
    assert scores.primary == "mean_angle" and found["angle_within@30"] > 0.6 > found["angle_within@11.25"]
    assert found["median_angle"] < found["mean_angle"] < 35
    for blind in scores.details["baselines"].values():
        assert blind["mean_angle"]["value"] > 70 and blind["angle_within@11.25"]["value"] < 0.1


def test_vectors_beside_patches_keep_the_frame():
    images = {"train": Features(np.zeros((2, 3, 4, 5)), ["a", "b"], frame=(3, 4), bad=["c"])}
    images["train@v"] = Features(np.ones((2, 7)), ["a", "b"])
    both = with_vectors(images, "v")["train"]
    assert both.layout == Layout((3, 4), (3, 4)) and both.array.shape == (2, 3, 4, 12) and both.bad == ["c"]


def test_pictures_are_made_where_they_are_kept():
    plain = measured("depth")
    with_pictures = dataclasses.replace(plain, with_pictures=True)
    before, after = scored(plain), scored(with_pictures)
    assert values(before) == values(after)
    assert set(after.samples) - set(before.samples) == {"truth", "prediction", "error"}
    true, known = plain.annotations["test"][3].values()[..., 0], after.samples["truth"][3]
    levels, span = of_levels(known, "x")[..., 0], known["high"] - known["low"]
    assert np.nanmax(np.abs(np.where(levels < 0, np.nan, known["low"] + levels * span / 254) - true)) < span / 500
    normals = NormalsLinear().score(
        NormalsLinearSettings(), dataclasses.replace(measured("normals"), with_pictures=True)
    )
    degrees = of_levels(normals.samples["error"][0], "x") * 45 / 254
    of_image = normals.samples["sum_angle"][0] / normals.samples["pixels_scored"][0]
    assert degrees[degrees >= 0].mean() <= of_image + 0.2 and normals.samples["prediction"][0]["low"] == -1


@pytest.mark.parametrize("protocol", [DepthLinear, NormalsLinear])
def test_controls_hold(protocol):
    given = measured(protocol.kinds[0], size=(64, 64), grid=(8, 8))
    held, shuffled = protocol().controls(protocol.Settings(), given)
    assert held.holds and held.positive and shuffled.holds and not shuffled.positive
    assert held.value > shuffled.value + 0.2 and held.num_scored == 12
    assert held.metric == {"depth": "delta1", "normals": "angle_within@11.25"}[protocol.kinds[0]]


def test_what_cannot_be_scored_is_one_sentence():
    given = measured("depth")
    given.images["test"].array[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"patch features of test are not finite: .* first that of '2_3'"):
        scored(given)
    requests = DepthLinear().requests
    assert list(requests(DepthLinearSettings(), ["train", "val", "test"])) == ["train", "val", "test"]
    assert list(requests(DepthLinearSettings(lambda_=1.0), ["train", "val", "test"])) == ["train", "test"]
    with pytest.raises(IncompatibleError, match="depth_linear reads the split 'train': got test"):
        requests(DepthLinearSettings(), ["test"])
    with pytest.raises(IncompatibleError, match="got 1 train image or scene, expected two"):
        scored(measured("depth", units=40))
