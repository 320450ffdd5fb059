"""What a sheet shows of depth and of normals: levels in the range of the truth, errors from blue to orange."""

import base64
import io
import json

import numpy as np
import pytest
from conftest import make_result, metric
from PIL import Image

from mlcd_eval.data.storage.value_png import as_levels, of_levels
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.geometry.depth_linear import DepthLinearSettings, depth_maps
from mlcd_eval.protocols.geometry.normals_linear import normal_maps
from mlcd_eval.tables.report.class_pictures import NONE, RIGHT, WRONG
from mlcd_eval.tables.report.examples import as_examples, pick
from mlcd_eval.tables.report.value_pictures import value_pictures

IMAGE = Image.new("RGB", (200, 100), (100, 100, 100))  # ten times what is kept


def pixels(picture):
    """The middle of each square of 10 x 10."""
    data = base64.b64decode(picture.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)[5::10, 5::10]


def near(pixel, colour):  # kept as WebP
    return np.abs(pixel - np.array(colour)).max() < 24


def test_levels_come_again_and_large_maps_are_thinned():
    values = np.array([[[2.0], [3.0]], [[np.nan], [9.0]]])
    held = json.loads(json.dumps(as_levels(values, 2, 4)))
    assert of_levels(held, "x")[..., 0].tolist() == [[0, 127], [-1, 254]]
    assert of_levels(as_levels(np.zeros((449, 300, 3)), -1, 1), "x").shape == (150, 100, 3)
    for damaged in ({}, {"channels": []}, {"channels": [{"png": "AAAA"}]}):
        with pytest.raises(DataError, match="truth of 7"):
            of_levels(damaged, "truth of 7")


def test_depth():
    """Twenty columns of which the last five are unknown; the prediction is right, a quarter too far, then
    twice as far."""
    truth = np.linspace(2, 4, 20, dtype=np.float32)[None, :, None].repeat(10, axis=0)
    factor = np.repeat([1, 1.25, 2, 1], 5)[None, :, None]
    said, truth[:, 15:] = truth.astype(float) * factor, np.nan
    row = {"key": "a", "abs_rel": 5 / 12, **depth_maps(DepthLinearSettings(target="depth"), 20.0, said, truth)}
    image, true, found, error = value_pictures(row, IMAGE)
    assert true.name == "truth: 2 (dark) to 3.47" and near(pixels(image)[5, 5], (100,) * 3)
    assert error.name == "error: 42% of the depth on average, orange from 50% on" and "of a" in error.alt
    dark, light = (40,) * 3, (255,) * 3
    assert [near(pixels(true)[5, at], colour) for at, colour in ((0, dark), (14, light), (18, NONE))] == [True] * 3
    assert near(pixels(found)[5, 2], pixels(true)[5, 2]) and near(pixels(found)[5, 18], light)
    half = (np.array(RIGHT) + np.array(WRONG)) / 2
    assert [near(pixels(error)[5, at], colour) for at, colour in ((2, RIGHT), (7, half), (12, WRONG))] == [True] * 3
    assert near(pixels(error)[5, 18], NONE)


def test_normals():
    truth = np.zeros((10, 20, 3), np.float32)
    truth[..., 2], truth[:5] = -1, np.nan
    said = np.zeros((10, 20, 3))
    said[:, :10, 2], said[:, 10:, 0] = -3, 2  # right, whatever its length; then 90 degrees off
    row = {"key": "a", "sum_angle": 9000.0, "pixels_scored": 100, **normal_maps(said, truth)}
    _, true, found, error = value_pictures(row, IMAGE)
    assert error.name == "error: 90 degrees on average, orange from 45 on"
    assert near(pixels(true)[8, 3], (147, 147, 40)) and near(pixels(true)[2, 3], NONE)
    assert near(pixels(found)[8, 3], (147, 147, 40)) and near(pixels(found)[8, 15], (255, 147, 147))
    assert near(pixels(error)[8, 3], RIGHT) and near(pixels(error)[8, 17], WRONG) and near(pixels(error)[2, 3], NONE)


def test_less_of_an_angle_is_better():
    rows = [{"key": str(n), "median_angle": float(n), "unit": "s"} for n in range(9)]
    examples = as_examples(make_result(metrics=(metric("mean_angle", 4.0),)), *pick(rows), {})
    assert {kind: [each.key for each in some] for kind, some in examples.kinds.items()} == {
        "best": ["0", "1", "2"],
        "median": ["5", "4", "3"],
        "worst": ["8", "7", "6"],
    }
