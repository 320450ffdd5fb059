"""The picture sheet: which samples stand in it, what its pictures show, and that names stay text."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import make_result, metric
from PIL import Image

from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import Sample, Split
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.tables.report.examples import read_examples
from mlcd_eval.tables.report.sheet import PREDICTION, TRUTH, sheet

REFER = f"refer:{demo_data_dir()}/refer/refdemo/unc/val"
HOSTILE = "<script>alert(1)</script>"
GREY = 100


class Page(HTMLParser):
    """Of each section: (title, score, [image attributes]); all tags."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.tags, self._in = {}, [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in = tag
        if tag == "section":
            self.sections[dict(attrs)["aria-labelledby"].removeprefix("samples-")] = []
        if tag == "article":
            self.samples.append(["", 0.0, []])
        if tag == "img":
            self.samples[-1][2].append(dict(attrs))

    def handle_data(self, data):
        if self._in == "h3":
            self.samples[-1][0] += data
        if self._in == "p" and self.sections:
            self.samples[-1][1] = float(data.split()[1])
        self._in = self._in if not data.strip() else ""

    @property
    def samples(self):
        return list(self.sections.values())[-1]


class OneShard:
    name = "all"

    def __init__(self, samples):
        self.samples = lambda: iter(samples)


class Pictures:
    """A dataset of grey images."""

    def __init__(self, *sizes):
        images = [Image.new("RGB", size, (GREY,) * 3) for size in sizes]
        self.shards = [OneShard([Sample(str(number), image) for number, image in enumerate(images)])]

    def split(self, name):
        return Split("pictures", name, self.shards)


def square(first, last, side=64):
    mask = np.zeros((side, side), bool)
    mask[first:last, first:last] = True
    return encode(mask)


def row(number, iou, expression="a square", prediction=None, image="0"):
    masks = {"prediction": prediction or square(20, 40), "truth": square(10, 30)}
    return {"key": number, "image": image, "expression": expression, "iou": iou, **masks}


RESULT = make_result(task="refcoco/demo", metrics=[metric("overall_iou", 0.5), metric("mean_iou", 0.25)])


def pixels(attributes):
    kind, _, data = attributes["src"].partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=int)


def near(array, colour):
    return np.abs(array - np.array(colour)).max(axis=-1) < 60  # WebP keeps colours about


def test_three_of_each_kind_by_iou_ties_by_order():
    ious = [0.1 * (number % 10) for number in range(30)]
    page = Page(sheet(RESULT, [row(number, iou, f"s{number}") for number, iou in enumerate(ious)], Pictures((64, 64))))
    found = {kind: [(name, iou) for name, iou, _ in samples] for kind, samples in page.sections.items()}
    assert list(found) == ["best", "median", "worst"]
    assert found["best"] == [("s29", 0.9), ("s19", 0.9), ("s9", 0.9)]
    assert found["median"] == [("s24", 0.4), ("s5", 0.5), ("s15", 0.5)]
    assert found["worst"] == [("s0", 0.0), ("s10", 0.0), ("s20", 0.0)]


@pytest.mark.parametrize(("count", "kinds"), [(1, ["worst"]), (2, ["best", "worst"]), (5, ["best", "median", "worst"])])
def test_few_samples_stand_once(count, kinds):
    page = Page(sheet(RESULT, [row(number, 0.5, f"s{number}") for number in range(count)], Pictures((64, 64))))
    names = [name for samples in page.sections.values() for name, _, _ in samples]
    assert list(page.sections) == kinds and sorted(names) == [f"s{number}" for number in range(count)]


def test_pictures_show_the_image_the_outline_and_the_overlay():
    ((_, _, images),) = Page(sheet(RESULT, [row(7, 0.5)], Pictures((64, 64)))).sections["worst"]
    image, truth, prediction = map(pixels, images)
    assert near(image, (GREY,) * 3).all()
    line = near(truth, TRUTH)
    assert line[11, 12:28].all() and line[12:28, 11].all()  # the square from 10 to 29: its edge
    assert near(truth[14:26, 14:26], (GREY,) * 3).all() and near(truth[34:, 34:], (GREY,) * 3).all()
    half = (np.array(PREDICTION) + GREY) / 2
    assert near(prediction[24:36, 24:36], half).all()  # the square from 20 to 39: inside it
    assert near(prediction[:17], (GREY,) * 3).all()
    assert [one["alt"] for one in images] == [
        "a square: image 0",
        "a square: truth outlined, 400 pixels",
        "a square: predicted mask, 400 pixels",
    ]


def test_pictures_are_small_and_keep_their_shape():
    wide = encode(np.pad(np.ones((200, 500), bool), ((0, 200), (0, 300))))  # the upper left of 800 x 400
    one = {**row(1, 1.0, image="1", prediction=wide), "truth": wide}
    ((_, _, images),) = Page(sheet(RESULT, [one], Pictures((64, 64), (800, 400)))).sections["worst"]
    for attributes in images:
        assert pixels(attributes).shape == (160, 320, 3)
        assert (attributes["width"], attributes["height"]) == ("320", "160")
    assert near(pixels(images[2])[4:76, 4:196], (np.array(PREDICTION) + GREY) / 2).all()
    assert near(pixels(images[2])[84:, 204:], (GREY,) * 3).all()


def test_an_empty_prediction_is_told():
    text = sheet(RESULT, [row(1, 0.0, prediction=encode(np.zeros((64, 64))))], Pictures((64, 64)))
    assert "<figcaption>prediction: empty</figcaption>" in text and "predicted mask, 0 pixels" in text


def test_names_stay_text_and_nothing_is_loaded():
    result = make_result(model=HOSTILE, task="refcoco/demo", metrics=[metric("overall_iou", None)])
    text = sheet(result, [row(1, 0.5, f'{HOSTILE}" onload="x')], Pictures((64, 64)))
    page = Page(text)
    assert "script" not in page.tags and HOSTILE not in text
    assert page.samples[0][0] == f'{HOSTILE}" onload="x'
    assert page.samples[0][2][0]["alt"] == f'{HOSTILE}" onload="x: image 0' and "onload" not in page.samples[0][2][0]
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text) and "default-src 'none'" in text
    assert "overall_iou none" in text


@pytest.fixture
def predictions(tmp_path):
    expressions = open_dataset(REFER).annotations("val")
    path = tmp_path / "preds.jsonl"
    path.write_text("".join(json.dumps({"sent_id": o.sent_id, "segmentation": o.truth}) + "\n" for o in expressions))
    return str(path)


def test_score_draws_it_beside_the_samples_when_asked(tmp_path, predictions):
    folder = tmp_path / "out" / "oracle"
    arguments = ["score", "--dataset", REFER, predictions, "--name", "oracle", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert not (folder / "samples").exists()
    assert main([*arguments, "--log-samples"]) == 0
    first = (folder / "samples" / "refcoco__refdemo_val.html").read_text()
    sections = Page(first).sections
    assert {kind: len(samples) for kind, samples in sections.items()} == {"best": 3, "median": 3, "worst": 3}
    (examples,) = read_examples([folder])  # of a report: the same samples with the same pictures
    shown = {
        kind: [(one.title, [(p.uri, p.alt) for p in one.pictures]) for one in own]
        for kind, own in examples.kinds.items()
    }
    assert shown == {
        kind: [(title, [(one["src"], one["alt"]) for one in images]) for title, _, images in own]
        for kind, own in sections.items()
    }
    assert main([*arguments, "--log-samples"]) == 0
    assert (folder / "samples" / "refcoco__refdemo_val.html").read_text() == first


def test_run_draws_masks_and_pages(tmp_path):
    arguments = ["run", "--model", "python:tiny_encoder:red_finder", "--log-samples", "--limit", "6"]
    arguments += ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--tasks", "refcoco/demo,docvqa/demo"]) == 0
    sheets = {page.stem: Page(page.read_text()).sections for page in (tmp_path / "out").rglob("*.html")}
    assert sheets.keys() == {"refcoco__demo", "docvqa__demo"}
    for name, pictures in (("refcoco__demo", 3), ("docvqa__demo", 1)):
        assert sum(map(len, sheets[name].values())) == 6
        assert all(len(images) == pictures for _, _, images in sheets[name]["best"])
    title, _, (page,) = sheets["docvqa__demo"]["worst"][0]
    assert title == "What is the invoice number?" and page["alt"] == "page documents/demo0000_1.png"
    assert page["height"] == str(640)
    with Image.open(demo_data_dir() / "docdemo/documents/demo0000_1.png") as original:
        expected = np.asarray(original.convert("RGB").resize((int(page["width"]), int(page["height"]))), dtype=int)
    assert np.abs(pixels(page) - expected).mean() < 5
