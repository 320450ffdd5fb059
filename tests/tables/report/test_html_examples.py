"""Samples, sheets and training logs on the page."""

import json

import pytest
from conftest import make_result, metric
from html_pages import HOSTILE, Page

from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.report.examples import FEW, LONGEST, read_examples, read_pictures
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.trainings import Training, read_trainings


def test_training_logs_are_drawn(tmp_path):
    for stage, lines in {"lit": [{"step": 5, "loss": 1.0}], "fit": [{"step": 5, "loss": 2.0, "lr": 1.0}]}.items():
        (tmp_path / "run" / stage).mkdir(parents=True)
        half = '{"step": 6, "lo'
        (tmp_path / "run" / stage / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + half)
    fit, lit = read_trainings(tmp_path / "run")
    assert fit == Training("run/fit", [5], {"loss": [2.0], "lr": [1.0]})
    assert lit.name == "run/lit"
    cosines = Training("c", [1, 2], {"loss": [None, 1.0], "positive_cosine": [0.1, 0.9], "negative_cosine": [0.1, 0]})
    text = report([make_result()], trainings=[fit, cosines, Training("empty", [], {})])
    assert "run/fit: loss" in text and "run/fit: mean cosine" not in text
    [cosine] = [json.loads(chart) for chart in Page(text).charts if "mean cosine" in chart]
    assert cosine["summary"] == "positive: 2 points from 0.1 to 0.9; negative: 2 points from 0 to 0.1"
    [loss] = [
        json.loads(chart) for chart in Page(report([make_result()], trainings=[cosines])).charts if '"loss"' in chart
    ]
    assert loss["series"][0]["y"] == [None, 1.0]
    terms = Training("t", [1, 2, 3], {"positive": [5.0, None, -1.0], "negative": [3.0, 3.0, 2.0]})
    [phases] = map(json.loads, Page(report([make_result()], trainings=[terms])).charts)
    assert (phases["series"][0]["x"], phases["series"][0]["y"]) == ([5.0, -1.0], [3.0, 2.0])
    assert phases["series"][0]["note"] == ["step 1", "step 3"]
    with pytest.raises(DataError, match=r"^--training: no log in .*, expected a run of `mlcd-train` with fit/log"):
        read_trainings(tmp_path)
    (tmp_path / "run" / "fit" / "log.jsonl").write_text('{"step": 1}\n{\n')
    with pytest.raises(DataError, match=r"log\.jsonl, line 2 is no JSON object: Expecting"):
        read_trainings(tmp_path / "run")
    (tmp_path / "run" / "fit" / "log.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(DataError, match=r"log\.jsonl is not a training's log: got a line without a step$"):
        read_trainings(tmp_path / "run")


@pytest.mark.parametrize(
    ("count", "chosen"),
    [
        (1, {"worst": [0]}),
        (2, {"best": [1], "worst": [0]}),
        (3, {"best": [2], "median": [1], "worst": [0]}),
        (5, {"best": [4, 3], "median": [2], "worst": [0, 1]}),
        (21, {"best": [20, 19, 18], "median": [9, 10, 11], "worst": [0, 1, 2]}),
    ],
)
@pytest.mark.parametrize("score", ["anls", "relaxed_accuracy", "vqa_accuracy"])
def test_examples_are_the_best_median_and_worst(tmp_path, count, chosen, score):
    assert FEW == 3
    store, result = ResultStore(tmp_path), make_result("m", "docvqa/x", [metric(score, 0.5)])
    store.write(result)
    columns = {"key": list(range(count)), "question": ["What?"] * count, "answer": ["x" * 400] * count}
    store.write_samples(result, {**columns, "answers": [["5", "five"]] * count, score: [n / 21 for n in range(count)]})
    (found,) = read_examples([tmp_path])
    assert (found.model, found.task, found.score) == ("m", "docvqa/x", score)
    assert {kind: [int(one.key) for one in own] for kind, own in found.kinds.items()} == chosen
    worst = found.kinds["worst"][0]
    assert (worst.title, worst.score, worst.pictures) == ("What?", 0.0, ())
    assert worst.fields == [("key", "0"), ("answer", "x" * LONGEST + "…"), ("answers", "5 | five")]
    assert read_examples([store.path(result), tmp_path]) == [found]
    assert f"{'x' * LONGEST}…" in report([result], examples=[found])


def test_masks_are_no_text_and_classification_has_no_examples(tmp_path):
    store = ResultStore(tmp_path)
    segmented, classified = make_result("m", "refcoco/x", [metric("overall_iou", 0.5)]), make_result("m", "knn/x")
    for result in (segmented, classified):
        store.write(result)
    mask = {"size": [2, 2], "counts": "04"}
    columns = {"expression": ["cat", "dog", "?"], "iou": [0.5, 0.25, None], "prediction": [mask] * 3}
    store.write_samples(segmented, columns)
    store.write_samples(classified, {"key": [1], "prediction": [2]})
    (found,) = read_examples([tmp_path])
    shown = [(kind, one.title, one.score, one.fields) for kind, own in found.kinds.items() for one in own]
    assert shown == [("best", "cat", 0.5, []), ("worst", "dog", 0.25, [])]
    store.samples_path(segmented).write_text('{"iou": 1}\n[]\n')
    with pytest.raises(DataError, match=r"refcoco__x\.jsonl, line 2 is no JSON object: got list, expected an object$"):
        read_examples([tmp_path])


PICTURE = '<article data-key="7"><img src="{}" width="4" height="2" title="truth" alt="cat: truth"></article>'


def test_pictures_of_the_sheet_stand_by_their_samples(tmp_path):
    store, result = ResultStore(tmp_path), make_result("m", "refcoco/x", [metric("overall_iou", 0.5)])
    store.write(result)
    store.write_samples(result, {"key": [7, 8], "expression": ["cat", HOSTILE], "iou": [0.5, 0.25]})
    sheet = store.samples_path(result).with_suffix(".html")
    sheet.write_text(PICTURE.format("data:image/webp;base64,UklGRg=="))
    page = Page(report([result], examples=read_examples([tmp_path])))
    (picture,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert picture["src"] == "data:image/webp;base64,UklGRg==" and picture["alt"] == "cat: truth"
    assert (picture["width"], picture["height"]) == ("4", "2")
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "img-src data:;" in policy
    assert [attributes["data-key"] for tag, attributes in page.tags if tag == "article"] == ["7", "8"]
    assert {name: len(texts) for name, texts in page.scripts.items()} == {
        "provenance": 1,
        "code": 2,
    }  # the second expression stays text


@pytest.mark.parametrize(
    "text", [PICTURE.format("https://example.org/x.webp"), PICTURE.replace("-key", ""), PICTURE.replace("2", "x")]
)
def test_what_is_no_sheet_is_told(tmp_path, text):
    (tmp_path / "refcoco__x.html").write_text(text)
    with pytest.raises(DataError, match=r"refcoco__x\.html is not a picture sheet as --log-samples writes it: got "):
        read_pictures(tmp_path / "refcoco__x.html")
