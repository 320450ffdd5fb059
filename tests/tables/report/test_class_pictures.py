"""What a sheet shows of maps of classes: colours by class, what is right and wrong, names in captions."""

import base64
import io
import json

import numpy as np
import pytest
from conftest import make_result, metric
from PIL import Image

from mlcd_eval.data.storage.class_png import as_png, of_png
from mlcd_eval.errors import DataError
from mlcd_eval.tables.report.class_pictures import BACKGROUND, NONE, RIGHT, WRONG, class_pictures
from mlcd_eval.tables.report.examples import as_examples, pick

NAMES = ["background", "mug", "star"]
TRUTH = np.full((40, 60), -1, np.int16)
TRUTH[:20, :30], TRUTH[:20, 30:], TRUTH[20:, :30] = 0, 1, 2


def pixels(picture):
    data = base64.b64decode(picture.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_maps_come_again():
    for classes in (TRUTH, np.array([[-1, 254, 255, 60_000]], np.int32)):
        assert np.array_equal(of_png(json.loads(json.dumps(as_png(classes))), "x"), classes)
    for damaged in ({"png": "AAAA"}, {"png": 3}, {}):
        with pytest.raises(DataError, match="truth of 7 is no map of classes"):
            of_png(damaged, "truth of 7")


def test_the_four_pictures():
    prediction = TRUTH.copy()
    prediction[:20, 30:], prediction[20:, 30:] = 2, 1  # wrong; where nothing is scored
    row = {"key": "a", "truth": as_png(TRUTH), "prediction": as_png(prediction)}
    image, truth, found, error = class_pictures(row, Image.new("RGB", (30, 20), (100, 100, 100)), NAMES)
    assert [each.name for each in (image, truth, found)] == [
        "image", "truth: background, mug, star", "prediction: star, background"
    ]  # fmt: skip
    assert error.name == "error: 33% of pixels" and "33%" in error.alt and truth.size == (30, 20)
    corners = {"background": (5, 7), "mug": (5, 22), "star": (15, 7), "none": (15, 22)}
    seen = {name: pixels(truth)[at] for name, at in corners.items()}

    def near(pixel, colour):  # laid over grey, kept as WebP
        return np.abs(pixel - (0.7 * np.array(colour) + 30)).max() < 24

    assert near(seen["background"], BACKGROUND) and near(seen["none"], NONE)
    assert np.abs(pixels(found)[corners["mug"]] - seen["star"]).max() < 24 < np.abs(seen["star"] - seen["mug"]).max()
    assert near(pixels(found)[corners["none"]], NONE)
    wrong = pixels(error)
    assert near(wrong[5, 7], RIGHT) and near(wrong[5, 22], WRONG) and near(wrong[15, 22], NONE)


def test_numbers_that_only_metrics_read_are_no_fields():
    rows = [{"key": str(n), "unit": "s", "iou": n / 5, "class_union": [1, 2], "truth": {}} for n in range(4)]
    examples = as_examples(make_result(metrics=(metric("miou", 0.5),)), *pick(rows), {})
    assert [example.fields for example in examples.kinds["best"]] == [[("unit", "s")]] * 2
    assert [example.key for example in examples.kinds["worst"]] == ["0", "1"]
