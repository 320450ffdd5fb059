"""Images that one of two models knows and the other does not."""

import base64
import io
import re

import pytest
from conftest import make_result, metric
from PIL import Image

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.records.result import RequestRecord
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.report.disagreements import OfTask, _of_task, disagreements

LABELS = [0, 0, 0, 0, 1, 1]
PREDICTIONS = {"a": [0, 0, 0, 1, 1, 0], "b": [1, 1, 0, 0, 1, 0]}
KEYS = [f"{'cat' if label == 0 else 'dog'}/{place}.png" for place, label in enumerate(LABELS)]


@pytest.fixture
def folders(tmp_path):
    for place, key in enumerate(KEYS):
        file = tmp_path / "photos" / "test" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 200), (40 * place, 0, 0)).save(file)
    keys = [sample.key for shard in _opened(tmp_path).split("test").shards for sample in shard.samples()]
    for model, predictions in PREDICTIONS.items():
        right = [each == label for each, label in zip(predictions, LABELS, strict=True)]
        request = RequestRecord(command="", dataset=f"imagefolder:{tmp_path / 'photos'}", options={})
        result = make_result(model, "zeroshot/x", [metric("acc1", sum(right) / 6)], request=request)
        columns = {
            "key": keys,
            "label": LABELS,
            "prediction": predictions,
            "rank": [1 if each else 2 for each in right],
        }
        ResultStore(tmp_path / "runs").write(result, columns)
    return tmp_path / "runs"


def _opened(folder):
    from mlcd_eval.data.open import open_dataset

    return open_dataset(f"imagefolder:{folder / 'photos'}")


def test_which_is_right_and_what_each_took_it_for(folders):
    (of_task,) = disagreements(compare(load_side(folders / "a"), load_side(folders / "b")), 1)
    (number, (first,)), (other, (only,)) = of_task.kinds.values()
    assert (number, other) == (2, 1)  # images 0 and 1; image 3
    assert (first.truth, first.a, first.b) == ("cat", "cat", "dog") and (only.truth, only.a, only.b) == (
        "cat",
        "dog",
        "cat",
    )
    for each, place in ((first, 0), (only, 3)):
        image = Image.open(io.BytesIO(base64.b64decode(each.picture.uri.partition(",")[2])))
        assert image.size == (224, 149) and abs(image.convert("RGB").getpixel((9, 9))[0] - 40 * place) < 6


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"request": None}, "the record does not say where its data was"),
        ({"label": [[0], [1]]}, "its images have several labels or predictions, and no single class"),
        ({"prediction": [[0], [1]]}, "its images have several labels or predictions, and no single class"),
        ({"prediction": None}, "the outcomes of b hold no predicted classes of images"),
    ],
)
def test_where_there_is_no_disagreement_to_show(tmp_path, changes, why):
    columns = {"key": ["x", "y"], "label": [0, 1], "prediction": [0, 1], "rank": [1, 1]}
    for model in "ab":
        request = RequestRecord(command="", dataset="imagefolder:none", options={})
        result = make_result(model, "zeroshot/x", [metric("acc1", 0.5)], request=changes.get("request", request))
        changed = (
            {**columns, **{name: values for name, values in changes.items() if name in columns}}
            if model == "b"
            else columns
        )
        ResultStore(tmp_path / "runs").write(result, {name: values for name, values in changed.items() if values})
    a, b = (load_side(tmp_path / "runs" / model) for model in "ab")
    assert _of_task(a, b, "zeroshot/x", 1) == OfTask("zeroshot/x", {}, why)


def test_compare_shows_them_and_says_what_is_missing(folders, tmp_path, capsys):
    sides = [str(folders / "a"), str(folders / "b")]
    page = tmp_path / "page.html"
    assert main(["compare", *sides, "--html", str(page), "--examples", "2"]) == 0
    text = page.read_text()
    assert re.findall(r"<h4>(.*?)</h4>", text) == [
        "A is right, B is wrong: 2 images",
        "B is right, A is wrong: 1 image",
    ]
    assert text.count("data:image/webp;base64,") == 3 and 'alt="cat; A: cat; B: dog"' in text
    assert main(["compare", *sides, "--examples", "2"]) == 2
    assert "--examples 2 goes with --html FILE" in capsys.readouterr().err
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert main(["compare", *sides, "--html", str(page), "--examples", "2"]) == 2
    assert "photos" in capsys.readouterr().err
