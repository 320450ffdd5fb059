"""The parts of a report for each task."""

import numpy as np
import pytest
from conftest import make_result, metric

from mlcd_eval.records import ResultStore, read_files
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.comparison.contest import contests
from mlcd_eval.tables.report import of_tasks as module
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.links import Links
from mlcd_eval.tables.report.of_tasks import task_parts
from mlcd_eval.tables.report.provenance import Provenance

LABELS = [0] * 4 + [1] * 4 + [2] * 2
PREDICTIONS = {"best": [0, 0, 0, 1, 1, 1, 1, 1, 2, 0], "worse": [0, 0, 2, 2, 1, 1, 2, 2, 2, 2]}


def write(output, model, task="zeroshot/x", prediction=None, value=None):
    columns = {"key": list(range(len(LABELS))), "label": LABELS}
    prediction = PREDICTIONS[model] if prediction is None else prediction
    right = [each == label for each, label in zip(prediction, LABELS, strict=True)] if prediction else []
    value = float(np.mean(right)) if prediction else value
    columns |= {"prediction": prediction, "rank": [1 if each else 2 for each in right]} if prediction else {}
    result = make_result(model, task, [metric("acc1", value, (value - 0.1, value + 0.1))])
    ResultStore(output).write(result, columns)


def parts(output, names=("best", "worse")):
    read = read_files([output / name for name in names])
    results, files = [result for _, result in read], [file for file, _ in read]
    return task_parts(contests(results, files), leaderboards(results), Provenance(False)), (results, files)


def test_forest_classes_and_confusions(tmp_path):
    for model in PREDICTIONS:
        write(tmp_path, model)
    ((part,), (results, files)) = parts(tmp_path)
    (series,) = part["chart"].series
    assert [(point.y, point.x, *point.ci95) for point in series.points] == [
        ("best", 0.8, pytest.approx(0.7), pytest.approx(0.9)),
        ("worse", 0.6, pytest.approx(0.5), pytest.approx(0.7)),
    ]
    assert all(point.opens is not None for point in series.points)
    # of class 2 the best model has one of two, of class 0 three of four; the other model all of 2 and half of the rest
    assert part["hard"] == [(2, 2, ["50.0", "100.0"]), (0, 4, ["75.0", "50.0"]), (1, 4, ["100.0", "50.0"])]
    assert part["confused"] == [(0, 1, 1, "25.0"), (2, 0, 1, "50.0")] and part["beside"] == ["best", "worse"]
    about = dict(part["about"])
    assert about["data"] == "x, split test" and about["samples"] == "200" and about["data fingerprint"] == "d" * 64
    page = report(results, files=files)
    assert "Accuracy of the hardest classes" in page and 'href="#tasks"' in page
    assert 'id="tasks"' not in report(
        [*results, make_result("a", "knn/z")], links=Links("T", {})
    )  # on pages of their own


def test_a_record_without_predictions_says_so(tmp_path):
    write(tmp_path, "best", prediction=[], value=0.8)
    write(tmp_path, "worse")
    ((part,), (results, files)) = parts(tmp_path)
    assert (part["best"], part["why"]) == ("best", "its outcomes hold no predicted classes") and part["hard"] == []
    assert "No accuracies of classes. <bdi>best</bdi>: its outcomes hold no predicted classes." in report(
        results, files=files
    )
    assert "No accuracies of classes. <bdi>best</bdi>: its record has no outcomes of samples." in report(results)
    several = [[0, 1]] * 9 + [[2]]
    write(tmp_path, "lists", prediction=several)
    ((part,), _) = parts(tmp_path, ["lists"])
    assert part["why"] == "its samples have several labels or predictions, and no single class"


def test_a_chart_has_the_best_models_only(monkeypatch):
    monkeypatch.setattr(module, "MOST_MODELS", 2)
    results = [
        make_result(name, "zeroshot/x", [metric("acc1", value)]) for name, value in (("a", 0.1), ("b", 0.3), ("c", 0.2))
    ]
    (part,) = task_parts(contests(results), leaderboards(results), Provenance(False))
    assert part["chart"].y.ticks == ["b", "c"] and part["left_out"] == 1
    assert "The best 2 models; 1 more are in the tables." in report(results)
