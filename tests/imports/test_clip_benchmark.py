"""Files that clip-benchmark 1.6.2 wrote, and changes to them."""

import hashlib
import json

import pytest
from conftest import metric

from mlcd_eval.imports import clip_benchmark
from mlcd_eval.tables.frame import results_frame


def metrics(result):
    return {metric.name: metric.value for metric in result.metrics}


def changed(tmp_path, source, **changes):
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**json.loads(source.read_text()), **changes}))
    return path


def test_what_it_wrote_becomes_records(run_import, golden, capsys):
    code, records = run_import("clip-benchmark", *golden.glob("clip_*.json"))
    assert code == 0 and capsys.readouterr().err == ""
    assert list(records) == ["linear_probe/openclipart", "retrieval/emoji_captions", "zeroshot/openclipart"]
    zeroshot = records["zeroshot/openclipart"]
    assert metrics(zeroshot) == {
        "acc1": 0.1581259150805271,
        "acc5": 0.38799414348462663,
        "mean_per_class_recall": 0.1598362238817234,
    }
    assert zeroshot.primary_metric == "acc1" and zeroshot.model.name == "tiny_clip_tiny@clip-benchmark"
    assert zeroshot.model.num_params is None and zeroshot.dataset.num_samples is None
    assert zeroshot.model.fingerprint == "unknown:clip-benchmark:tiny_clip_tiny"
    assert zeroshot.dataset.fingerprint == "unknown:clip-benchmark:wds/openclipart"
    file = golden / "clip_zeroshot.json"
    assert zeroshot.details["harness"] == "clip-benchmark" and zeroshot.details["file"] == str(file)
    assert zeroshot.details["file_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert zeroshot.details["theirs"]["dataset"] == "wds/openclipart"


def test_the_directions_of_retrieval_are_right(run_import, golden):
    _, records = run_import("clip-benchmark", golden / "clip_retrieval.json")
    result = records["retrieval/emoji_captions"]
    theirs = json.loads((golden / "clip_retrieval.json").read_text())["metrics"]
    values = metrics(result)
    for k in (1, 5, 10):
        assert values[f"text_to_image_recall@{k}"] == theirs[f"image_retrieval_recall@{k}"]
        assert values[f"image_to_text_recall@{k}"] == theirs[f"text_retrieval_recall@{k}"]
    assert len(values) == 6 and result.primary_metric == "image_to_text_recall@1"


def test_a_probe_says_how_it_was_trained(run_import, golden):
    _, records = run_import("clip-benchmark", golden / "clip_probe.json")
    result = records["linear_probe/openclipart"]
    assert result.primary.value == 0.3645680819912152 and set(metrics(result)) >= {"acc1", "acc5"}
    assert result.task.settings["epochs"] == 2 and result.task.settings["normalized"] is True
    assert result.details["not_imported"] == {} and result.task.version == 0


def test_the_csv_says_what_the_files_say(run_import, golden, tmp_path):
    _, from_json = run_import("clip-benchmark", *golden.glob("clip_*.json"), name="json")
    run_import("clip-benchmark", golden / "clip_benchmark.csv", name="csv")
    frame = results_frame(tmp_path / "out").set_index(["model", "task", "metric"])["value"]
    assert len(frame) == 24 and frame["csv"].to_dict() == frame["json"].to_dict()
    csv_probe = json.loads((tmp_path / "out" / "csv" / "linear_probe__openclipart.json").read_text())
    assert csv_probe["task"]["settings"] == from_json["linear_probe/openclipart"].task.settings


@pytest.mark.parametrize(
    ("dataset", "task"),
    [
        ("wds/vtab/cifar10", "zeroshot/cifar10"),
        ("vtab/clevr_count_all", "zeroshot/clevr"),
        ("cifar10", "zeroshot/cifar10"),
        ("wds/imagenet-a", "zeroshot/imagenet_a"),
        ("imagenet1k", "zeroshot/imagenet"),
        ("caltech101", "zeroshot/caltech101-clip-benchmark"),
        ("vtab/caltech101", "zeroshot/caltech101"),
        ("vtab/svhn", "zeroshot/vtab_svhn"),
        ("wds/../../x", "zeroshot/-..-x"),
    ],
)
def test_datasets_are_named_as_our_tasks_only_where_they_are_theirs(run_import, golden, tmp_path, dataset, task):
    code, records = run_import("clip-benchmark", changed(tmp_path, golden / "clip_zeroshot.json", dataset=dataset))
    assert code == 0 and list(records) == [task]


def test_data_in_several_languages_are_our_tasks_in_that_language(run_import, golden, tmp_path):
    for dataset, language, task, code in (
        ("wds/crossmodal3600", "de", "retrieval/xm3600", "de"),
        ("multilingual_mscoco_captions", "jp", "retrieval/xtd", "ja"),
        ("babel_imagenet", "SW", "zeroshot/babel_imagenet", "sw"),
        ("imagenet1k", "cn", "zeroshot/translated_imagenet", "zh"),
    ):
        kind = "clip_zeroshot.json" if task.startswith("zeroshot") else "clip_retrieval.json"
        file = changed(tmp_path, golden / kind, dataset=dataset, language=language)
        records = run_import("clip-benchmark", file)[1]
        assert records[task].task.settings["language"] == code and records[task].name == f"{task}@language={code}"
        assert list((tmp_path / "out").rglob(f"{task.replace(chr(47), chr(95) * 2)}@language={code}.json"))


@pytest.mark.parametrize("language", [["it"], {"a": 1}, 2.5, True])
def test_a_language_that_is_no_text_is_another_language(run_import, golden, tmp_path, language):
    code, records = run_import("clip-benchmark", changed(tmp_path, golden / "clip_zeroshot.json", language=language))
    assert code == 0 and [record.task.settings["language"] for record in records.values()] == [str(language)]


def test_another_language_and_few_shots_are_other_tasks(run_import, golden, tmp_path):
    file = changed(tmp_path, golden / "clip_zeroshot.json", dataset="cars", language="it")
    assert list(run_import("clip-benchmark", file)[1]) == ["zeroshot/cars-clip-benchmark-it"]
    theirs = json.loads((golden / "clip_probe.json").read_text())["metrics"] | {"fewshot_k": 16}
    file = changed(tmp_path, golden / "clip_probe.json", dataset="vtab/cifar10", metrics=theirs)
    assert "linear_probe/vtab-cifar10-16shot" in run_import("clip-benchmark", file, name="probe")[1]


def test_multilabel_and_undefined_values(run_import, golden, tmp_path):
    values = {"mean_average_precision": 0.8}
    file = changed(tmp_path, golden / "clip_zeroshot.json", dataset="voc2007_multilabel", metrics=values)
    result = run_import("clip-benchmark", file)[1]["zeroshot/voc2007"]
    assert result.primary_metric == "map" and result.dataset.kind == "multilabel"
    values = {"acc1": 0.5, "acc5": float("nan")}
    result = run_import("clip-benchmark", changed(tmp_path, file, metrics=values), name="b")[1]["zeroshot/voc2007"]
    assert metrics(result) == {"acc1": 0.5, "acc5": None} and result.primary_metric == "acc1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"acc1": float("nan")}}, "acc1 is nan, expected a fraction, 0 to 1"),
        ({"metrics": {"acc1": 15.8}}, "acc1 is 15.8, expected a fraction, 0 to 1"),
        ({"metrics": {"acc1": None}}, "acc1 is None, expected a fraction, 0 to 1"),
        (
            {"metrics": {"cider": 0.3}},
            "holds no value that mlcd-eval knows: wds/openclipart: cider (a metric that is not known here)",
        ),
        ({"task": "captioning"}, "holds no value that mlcd-eval knows: wds/openclipart: acc1, acc5, mean"),
    ],
)
def test_values_that_cannot_be_are_refused(run_import, golden, tmp_path, capsys, changes, message):
    code, records = run_import("clip-benchmark", changed(tmp_path, golden / "clip_zeroshot.json", **changes))
    assert code == 2 and records == {}
    assert message in capsys.readouterr().err


def test_unknown_metrics_are_listed(run_import, golden, tmp_path, capsys):
    file = changed(tmp_path, golden / "clip_zeroshot.json", metrics={"acc1": 0.5, "acc7": 0.9})
    _, records = run_import("clip-benchmark", file)
    assert records["zeroshot/openclipart"].details["not_imported"]["acc7"]["value"] == 0.9
    message = f"not imported: {file}: wds/openclipart: acc7 (a metric that is not known here)\n"
    assert message == capsys.readouterr().err


def test_each_run_of_a_grid_of_probes_is_a_task(run_import, golden):
    _, records = run_import("clip-benchmark", golden / "clip_benchmark_probes.csv")
    assert len(records) == 8
    few = records["linear_probe/vtab-dtd-10shot-lr0.01-epochs20-batch_size256"]
    assert (few.primary_metric, few.primary.value, few.task.settings["shots"]) == ("acc1", 0.669681, 10)
    full = records["linear_probe/vtab-dtd-lr0.1-epochs10-batch_size256"]
    assert full.primary.value == 0.775 and full.task.settings["shots"] is None and full.task.settings["lr"] == 0.1
    assert full.primary.num_scored is None and full.dataset.name == "vtab/dtd"


def test_captions_of_winoground_are_no_retrieval(run_import, golden, tmp_path):
    values = {"image_acc": 0.125, "text_acc": 0.25, "acc": 0.0625}
    changes = {"dataset": "winoground", "task": "image_caption_selection", "metrics": values}
    result = run_import("clip-benchmark", changed(tmp_path, golden / "clip_zeroshot.json", **changes))[1]
    assert metrics(result["imported/clip-benchmark-winoground"]) == values
    assert result["imported/clip-benchmark-winoground"].primary_metric == "acc"


def test_the_scaling_experiments_are_read_as_they_are(run_import, tmp_path):
    """Two runs of LAION-AI/CLIP_benchmark, probe_benchmark/scaling_experiment_data2.json at 9a7a17af (MIT)."""
    run = {
        "k": 10,
        "lr": 0.1,
        "bs": 256,
        "epochs": 10,
        "model": "ViT-B-32",
        "pretrained": "laion400m_e32",
        "pretrained_clean": "LAION",
        "dataset": "imagenet1k-unverified",
        "macts": 5.01,
        "samples_seen_pretty": "13B",
        "lp_acc1": 0.58496,
        "lp_acc5": 0.83928,
        "lp_mean_per_class_recall": 0.58486,
        "seed": 0,
        "fewshot_k": 10,
    }
    full = {**run, "k": -1, "lr": 0.01, "lp_acc1": 0.74902, "lp_acc5": 0.93498, "fewshot_k": -1}
    path = tmp_path / "scaling_experiment_data2.json"
    path.write_text(json.dumps([run, full]))
    code, records = run_import("clip-benchmark", path)
    assert code == 0 and len(records) == 2
    by_shots = {result.task.settings["shots"]: result for result in records.values()}
    values = {metric.name: metric.value for metric in by_shots[10].metrics}
    assert values == {"acc1": 0.58496, "acc5": 0.83928, "mean_per_class_recall": 0.58486}
    assert by_shots[None].primary.value == 0.74902
    assert (by_shots[10].task.settings["batch_size"], by_shots[10].task.settings["lr"]) == (256, 0.1)
    assert not by_shots[10].details["not_imported"]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(
            ("True", True),
            ("False", False),
            ("16", 16),
            ("-1", -1),
            ("01", 1),
            ("0.10", 0.1),
            ("-.5", -0.5),
            ("1.", 1.0),
        ),
        *(("1.2.3", "1.2.3"), (".", "."), ("-", "-"), ("9" * 5000, "9" * 5000), ("en", "en"), (4, 4), (None, None)),
    ],
)
def test_cells_of_numbers_are_numbers_and_others_stay(cell, value):
    got = clip_benchmark._parsed(cell)
    assert got == value and type(got) is type(value)


def test_metrics_are_in_the_order_of_the_numbers_in_their_names():
    names = ["recall@10", "acc5", "recall@5", "acc1", "recall@1"]
    ordered = sorted([metric(name, 0.5) for name in names], key=clip_benchmark._natural)
    assert [each.name for each in ordered] == ["acc1", "acc5", "recall@1", "recall@5", "recall@10"]
