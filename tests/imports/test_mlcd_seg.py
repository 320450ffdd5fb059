"""MLCD-Seg's result.jsonl and eval_dataset.json."""

import json

import pytest

from mlcd_eval.records import read_outcomes


def line(over, under, iou, **changes):
    row = {
        "dataset": "refcoco",
        "split_name": "val",
        "sample_id": "1",
        "intersection": [9.0, over],
        "accuracy_iou": [0.9, iou],
        "union": [10.0, under],
        "model_id": "runs/MLCD-Seg",
        "question_type": "seg_single",
    }
    return json.dumps({**row, **changes}) + "\n"


def test_samples_are_summed_and_averaged(run_import, tmp_path):
    path = tmp_path / "result.jsonl"
    second, third = line(10, 60, 1 / 6, sample_id="2b"), line(0, 0, 1.0, sample_id="30")
    path.write_text(line(30, 40, 0.75) + second + third + line(5, 10, 0.5, split_name="odd"))
    code, records = run_import("mlcd-seg", path)
    assert code == 0 and set(records) == {"refcoco/refcoco_val", "imported/mlcd-seg-refcoco-odd"}
    result = records["refcoco/refcoco_val"]
    values = {metric.name: (metric.value, metric.num_scored) for metric in result.metrics}
    assert values == {
        "overall_iou": (pytest.approx(40 / 100), 3),
        "mean_iou": (pytest.approx((0.75 + 1 / 6 + 1) / 3), 3),
    }
    assert result.primary_metric == "overall_iou" and result.model.name == "MLCD-Seg@mlcd-seg"
    columns = read_outcomes(tmp_path / "out" / result.model.name / "refcoco__refcoco_val.json", result).columns
    assert list(columns["key"]) == ["1", "2b", "30"]
    assert columns["intersection"].tolist() == [30, 10, 0] and columns["iou"].tolist() == [0.75, 1 / 6, 1]
    assert result.task.settings["mask_size"] == "the model's output"


def test_the_summary_has_no_n_and_no_model(run_import, tmp_path, capsys):
    path = tmp_path / "eval_dataset.json"
    path.write_text(json.dumps({"refcoco+_testA": {"class_iou": 0.79, "global_iou": 0.81}}))
    assert run_import("mlcd-seg", path) == (2, {})
    assert "--name" in capsys.readouterr().err
    code, records = run_import("mlcd-seg", path, name="seg7b")
    assert code == 0
    metrics = records["refcoco/refcoco+_testA"].metrics
    assert [(metric.name, metric.value, metric.num_scored) for metric in metrics] == [
        ("overall_iou", 0.79, None),
        ("mean_iou", 0.81, None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n', "line 1 has no dataset, split_name"),
        (line(1, 2, 1.5), "accuracy_iou is 1.5, expected a fraction"),
        (line(1, 2, 0.5, union=3), "union is 3, expected [background, foreground]"),
        (line(3, 2, 0.5), "is 1.5, expected a fraction"),
    ],
)
def test_files_that_are_refused(run_import, tmp_path, capsys, text, message):
    path = tmp_path / "result.jsonl"
    path.write_text(text)
    assert run_import("mlcd-seg", path) == (2, {})
    assert message in capsys.readouterr().err
