"""Excerpts of open_clip's tables."""

import csv

import pytest

from mlcd_eval.records import read
from mlcd_eval.spec import TaskIndex

TABLE = "openclip_results.csv"
MODEL = "ViT-H-14-378-quickgelu_dfn5b@open_clip"


@pytest.fixture
def changed(golden, tmp_path):
    """A copy of the first table with other cells in its first row."""

    def write(**cells):
        with (golden / TABLE).open() as file:
            header, first, *_ = csv.reader(file)
        row = dict(zip(header, first, strict=True)) | cells
        path = tmp_path / TABLE
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([list(row), list(row.values())])
        return path

    return write


def test_a_row_is_a_model_and_a_column_a_data_set(run_import, golden, tmp_path, capsys):
    code, records = run_import("open_clip", golden / TABLE, name=None)
    assert code == 0 and len(list((tmp_path / "out").rglob("*.json"))) == 2 * 38 and len(records) == 38
    assert capsys.readouterr().err.count("Average perf. on 38 datasets (an average over tasks)") == 1
    result = run_import("open_clip", golden / TABLE)[1]["zeroshot/imagenet"]
    assert result.task.settings == {"harness": "open_clip", "language": "en"} and result.model.num_params is None
    assert result.primary.num_scored is None and result.details["theirs"]["params (M)"] in ("986.71", "986.11")


@pytest.mark.parametrize(
    ("task", "metric", "value"),
    [
        ("zeroshot/imagenet", "acc1", 0.8437),
        ("zeroshot/pets", "mean_per_class_recall", 0.9696),
        ("zeroshot/aircraft", "mean_per_class_recall", 0.7219),
        ("zeroshot/voc2007_single", "acc1", 0.8241),
        ("zeroshot/camelyon17", "acc1", 0.7211),
        ("imported/open_clip-retrieval-flickr30k", "mean_recall@1", 0.8801),
        ("zeroshot/iwildcam", "macro_f1_true", 0.2205),
        ("zeroshot/fmow", "worst_group_acc1", 0.2075),
        ("zeroshot/dollar_street", "worst_group_acc5", 0.7173),
        ("zeroshot/geode", "worst_group_acc1", 0.9349),
        ("association/winogavil", "jaccard@10-12", 0.5674),
    ],
)
def test_metrics_are_those_of_datacomps_task_list(run_import, changed, task, metric, value):
    """Values as open_clip prints them for ViT-H-14-378-quickgelu, metrics as DataComp's tasklist.yml has them."""
    primary = run_import("open_clip", changed())[1][task].primary
    assert (primary.name, primary.value, primary.unit, primary.higher_is_better) == (metric, value, "fraction", True)


def test_tasks_rank_by_the_metric_that_the_table_has(run_import, changed):
    ours = TaskIndex.load().tasks
    for name, result in run_import("open_clip", changed())[1].items():
        if name in ours and ours[name].settings.get("metric") == "mean_per_class_recall":
            assert result.primary_metric == "mean_per_class_recall", name


def test_the_recalls_of_both_directions(run_import, golden, tmp_path):
    """The first table's Flickr is the mean of R@1 of both directions here."""
    with (golden / "openclip_retrieval_results.csv").open() as file:
        (row,) = csv.DictReader(file)
    _, records = run_import("open_clip", golden / "openclip_retrieval_results.csv")
    flickr = {metric.name: metric.value for metric in records["retrieval/flickr30k"].metrics}
    assert flickr["text_to_image_recall@1"] == float(row["Flickr image retr. R@1"]) == 0.8202
    assert flickr["image_to_text_recall@10"] == float(row["Flickr text retr. R@10"])
    assert len(flickr) == 6 and records["retrieval/flickr30k"].dataset.split == "test"
    assert (flickr["text_to_image_recall@1"] + flickr["image_to_text_recall@1"]) / 2 == pytest.approx(0.8801)
    assert run_import("open_clip", golden / TABLE)[0] == 0  # the two tables share no task


def test_languages_are_records_of_our_tasks(run_import, golden, tmp_path, capsys):
    """As `run` names them, and the averages as the means over languages that records here have."""
    file = golden / "openclip_multilingual_retrieval_results.csv"
    with file.open() as opened:
        (row,) = csv.DictReader(opened)
    assert run_import("open_clip", file, name="x")[0] == 0
    records = {path.stem: read(path) for path in (tmp_path / "out" / "x").glob("*.json")}
    assert set(records) == {
        f"retrieval__{task}@language={code}" for task in ("xm3600", "xtd") for code in ("de", "en", "macro")
    }
    german = records["retrieval__xm3600@language=de"]
    assert (german.task.name, german.task.settings["language"]) == ("retrieval/xm3600", "de")
    assert german.primary_metric == "image_to_text_recall@1"
    mean = {metric.name: metric.value for metric in records["retrieval__xtd@language=macro"].metrics}
    column = "multilingual_mscoco_captions {}_retrieval_recall@1 avg"
    assert mean == {
        "macro_text_to_image_recall@1": float(row[column.format("image")]),
        "macro_image_to_text_recall@1": float(row[column.format("text")]),
    }
    assert records["retrieval__xtd@language=macro"].primary_metric == "macro_image_to_text_recall@1"
    assert "columns: avg (an average over tasks)" in capsys.readouterr().err


def test_what_is_not_certain_is_listed_and_wrong_units_are_refused(run_import, changed, capsys):
    assert run_import("open_clip", changed(**{"New Set": "0.5"}))[0] == 0
    assert "columns: New Set (a column that is not known here)" in capsys.readouterr().err
    assert run_import("open_clip", changed(**{"CIFAR-10": "98.80"}), name="x") == (2, {})
    assert "ViT-H-14-378-quickgelu_dfn5b: CIFAR-10 is '98.80', expected a fraction, 0 to 1" in capsys.readouterr().err
