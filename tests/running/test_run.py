"""`mlcd-eval run` and `evaluate`, end to end on bundled data."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from own_data import MODEL, flags, items, write_wds
from PIL import Image
from tiny_encoder import TinyEncoder

from mlcd_eval import evaluate
from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.protocols.classification.knn import KNN
from mlcd_eval.records import read
from mlcd_eval.request import RunRequest
from mlcd_eval.support.bundled import demo_data_dir


def values(results):
    return {(result.task.name, metric.name): metric.value for result in results for metric in result.metrics}


def test_a_run_writes_one_record_per_task_and_encodes_each_image_once(tmp_path, capsys):
    TinyEncoder.images_seen = 0
    assert main(flags(tmp_path)) == 0
    assert "zeroshot/demo_clipart" in capsys.readouterr().out
    records = sorted(path.name for path in (tmp_path / "out" / "tiny_encoder_make").glob("*.json"))
    assert records == [
        "clustering__demo_clipart.json",
        "knn__demo_clipart.json",
        "linear_probe__demo_clipart.json",
        "retrieval__demo_captions.json",
        "zeroshot__demo_clipart.json",
    ]
    assert TinyEncoder.images_seen == 450 + 235 + 300  # train and test clip art for three tasks, test captions
    record = read(tmp_path / "out" / "tiny_encoder_make" / "linear_probe__demo_clipart.json")
    assert (record.status, record.dataset.split, record.dataset.num_samples) == ("ok", "test", 235)
    assert record.primary.value > 1.5 / record.dataset.num_classes  # thumbnails are better than chance
    assert all(
        metric.ci95[0] <= metric.value <= metric.ci95[1] for metric in record.metrics if metric.value is not None
    )
    assert record.environment["torch"]

    assert main(flags(tmp_path)) == 0
    assert "kept the record" in capsys.readouterr().err
    assert main(flags(tmp_path, "--no-resume")) == 0
    assert TinyEncoder.images_seen == 985  # a second run encodes no image
    again = read(tmp_path / "out" / "tiny_encoder_make" / "linear_probe__demo_clipart.json")
    assert again.metrics == record.metrics
    assert again.timing.images_encoded == 0
    capsys.readouterr()
    assert main(flags(tmp_path, "--limit", "40", tasks="knn/demo_clipart")) == 0
    assert "knn/demo_clipart: replaces" in capsys.readouterr().err


def test_no_image_is_decoded_twice_in_a_run_over_several_tasks(tmp_path, monkeypatch):
    from mlcd_eval.features import decode

    decoded, real = Counter(), decode.decode
    monkeypatch.setattr(decode, "decode", lambda image, *more: (decoded.update([image]), real(image, *more))[1])
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    tasks = ["linear_probe", "zeroshot", "knn"]
    evaluate(MODEL, tasks, datasets=[f"wds:{data}"], output=tmp_path / "out", cache=tmp_path / "cache", workers=0)
    assert decoded == Counter(image for image, _ in items(20) + items(10))


def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    options = {"datasets": [f"wds:{data}"], "output": tmp_path / "out", "cache": tmp_path / "cache", "workers": 0}
    evaluate(MODEL, ["zeroshot"], **options)
    assert capsys.readouterr().err == ""
    evaluate(MODEL, ["knn"], progress=True, **options)
    assert "tiny_encoder_make: mine/train: 20 images in" in capsys.readouterr().err
    words = ["--dataset", f"wds:{data}", "--verbose"]
    assert main(flags(tmp_path, *words, tasks="zeroshot,linear_probe,knn")) == 0
    shown = capsys.readouterr().err
    assert "linear_probe/mine: fits of the probe: 16 fits in" in shown and "knn/mine: kept the record" in shown
    assert main(flags(tmp_path, *words[:2], "--quiet", "--no-resume", tasks="zeroshot")) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 2), (64, 2)])
def test_numbers_do_not_depend_on_batch_size_or_workers(tmp_path, batch_size, workers):
    def scores(folder, **options):
        return values(evaluate(MODEL, "[!a]*/demo_c*", output=tmp_path / folder, cache=tmp_path / folder, **options))

    reference = scores("reference", workers=0)
    other = scores("other", batch_size=batch_size, workers=workers)
    assert other == pytest.approx(reference, abs=1e-6)


def test_your_own_data_by_path_needs_no_yaml(tmp_path):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    results = evaluate(
        MODEL,
        ["linear_probe", "zeroshot"],
        datasets=[f"wds:{data}"],
        output=tmp_path / "out",
        cache=tmp_path / "cache",
    )
    assert [result.task.name for result in results] == ["linear_probe/mine", "zeroshot/mine"]
    assert [result.status for result in results] == ["ok", "ok"]


def test_a_group_with_a_data_root_names_what_is_in_it(tmp_path):
    write_wds(tmp_path / "root" / "wds_mine", {"train": items(20), "test": items(10)})
    write_wds(tmp_path / "root" / "wds_mnist", {"test": items(10)}, names=tuple("0123456789"))
    shutil.copytree(demo_data_dir() / "wds_demo_captions", tmp_path / "root" / "wds_demo_captions")
    options = {"data_root": tmp_path / "root", "output": tmp_path / "out", "cache": tmp_path / "cache", "limit": 8}
    results = evaluate(MODEL, ["zeroshot", "retrieval", "knn"], **options)
    assert [result.task.name for result in results] == [
        "zeroshot/mnist",  # a known task, with its own settings
        "zeroshot/mine",
        "knn/mine",
        "retrieval/demo_captions",
    ]
    assert all(result.dataset.num_samples == 8 for result in results)
    assert results[0].dataset.expected_num_samples == 10_000  # the record shows that this is not the real MNIST
    with pytest.raises(ConfigError, match="holds no data for --tasks retrieval"):
        evaluate(MODEL, "retrieval", **{**options, "data_root": tmp_path / "out"})


def test_samples_are_logged_with_their_keys(tmp_path):
    results = evaluate(
        MODEL, "knn/demo_clipart", output=tmp_path / "out", cache=tmp_path / "cache", limit=30, log_samples=True
    )
    path = tmp_path / "out" / "tiny_encoder_make" / "samples" / "knn__demo_clipart.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == results[0].primary.num_scored == 30
    assert len({row["key"] for row in rows}) == 30


@pytest.mark.parametrize("log_samples", [True, False])
def test_pictures_are_asked_for_where_samples_are_logged(log_samples, tmp_path, monkeypatch):
    asked, score = [], KNN.score

    def noted(self, settings, inputs):
        asked.append(inputs.with_pictures)
        return score(self, settings, inputs)

    monkeypatch.setattr(KNN, "score", noted)
    options = {"output": tmp_path / "out", "cache": tmp_path / "cache", "limit": 8, "log_samples": log_samples}
    evaluate(MODEL, "knn/demo_clipart", **options)
    assert asked[0] == log_samples  # others are of controls


def test_a_bug_fails_its_task_with_a_traceback_and_keeps_the_others(tmp_path, capsys):
    arguments = flags(tmp_path, "--limit", "60", model="python:tiny_encoder:broken")
    assert main(arguments) == 1
    folder = tmp_path / "out" / "tiny_encoder_broken"
    failed = read(folder / "zeroshot__demo_clipart.json")
    assert (failed.status, failed.error) == ("error", "ZeroDivisionError: a bug of the model")
    assert "encode_texts" in failed.traceback
    assert read(folder / "knn__demo_clipart.json").status == "ok"
    assert "failed: tiny_encoder_broken zeroshot/demo_clipart" in capsys.readouterr().err


def test_a_broken_image_fails_its_tasks_by_name_unless_allowed(tmp_path, capsys):
    broken = [*items(9), (b"no image", 1)]
    data = f"wds:{write_wds(tmp_path / 'wds_mine', {'train': items(20), 'test': broken})}"
    assert main(flags(tmp_path, "--dataset", data, tasks="knn,zeroshot")) == 2
    assert "image 's009' cannot be decoded" in capsys.readouterr().err
    failed = read(tmp_path / "out" / "tiny_encoder_make" / "knn__mine.json")
    assert (failed.status, failed.traceback) == ("error", None)
    assert main(flags(tmp_path, "--dataset", data, "--allow-bad-images", "1", tasks="zeroshot")) == 0
    metric = read(tmp_path / "out" / "tiny_encoder_make" / "zeroshot__mine.json").primary
    assert (metric.num_scored, metric.num_unscored) == (9, 1)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(flags(tmp_path, "--limit", "20")) == 2
    error = capsys.readouterr().err
    assert "no space left on the device" in error
    assert "Traceback" not in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "test" / "nshards.txt").unlink(), "nshards.txt is missing"),
        (lambda root: truncate(root / "test" / "0.tar"), "0.tar"),
        (lambda root: (root / "classnames.txt").write_text("only one"), "label"),
        (lambda root: (root / "classnames.txt").unlink(), "needs class names"),
        (lambda root: (root / "test" / "nshards.txt").write_text("0"), "is empty"),
        (lambda root: (root / "test" / "nshards.txt").write_text("2"), "1.tar is missing"),
        (lambda root: shutil.rmtree(root / "test"), "expected test"),
        (lambda root: (root / "dataset_type.txt").write_text("retrieval"), "cannot use the retrieval dataset"),
    ],
)
def test_damaged_data_is_reported_before_any_image_is_encoded(tmp_path, capsys, damage, message):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    damage(data)
    TinyEncoder.images_seen = 0
    assert main(flags(tmp_path, "--dataset", f"wds:{data}", tasks="knn,zeroshot")) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert TinyEncoder.images_seen == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": "linear_prob"}, "did you mean 'linear_probe'"),
        ({"tasks": "zeroshot/food10"}, "did you mean 'zeroshot/food101'"),
        ({"model": "openclip:ViT-B-32"}, "did you mean 'open_clip'"),
        ({"model": "python:tiny_encoder:mak"}, "did you mean 'make'"),
        ({"model": "python:tiny_encoder:vision_only"}, "needs a text tower: got model"),
        ({"model": "/nowhere/model"}, "no file or folder '/nowhere/model'"),
        ({"tasks": "linear_probe/birdsnap"}, "dataset birdsnap is missing"),
        ({"more": ["--offline"], "tasks": "knn/mnist"}, "--offline forbids"),
        ({"more": ["--dataset", "wds:x"], "tasks": "demo"}, "--tasks with --dataset takes protocols"),
        ({"more": ["--dataset", "wsd:x"], "tasks": "knn"}, "did you mean 'wds'"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_2(tmp_path, capsys, change, message):
    TinyEncoder.images_seen = 0
    arguments = flags(tmp_path, *change.pop("more", []), **change)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert TinyEncoder.images_seen == 0


def test_plan_shows_what_would_run_and_what_is_missing(tmp_path, capsys):
    arguments = flags(tmp_path, tasks="demo,linear_probe/birdsnap")
    arguments[0] = "plan"
    assert main([*arguments, "--json"]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert [job["task"] for job in plan["jobs"]][:2] == ["zeroshot/demo_clipart", "retrieval/demo_captions"]
    assert len(plan["problems"]) == 1
    assert "birdsnap" in plan["problems"][0]
    assert not (tmp_path / "out").exists()


def test_two_models_of_the_same_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "ckpt").mkdir(parents=True)
    request = RunRequest(
        models=(f"{tmp_path}/a/ckpt", f"{tmp_path}/b/ckpt"), tasks=("knn/demo_clipart",), output=tmp_path
    )
    problems = make_plan(request).problems
    assert len(problems) == 1
    assert "would both write to" in problems[0] and f"--model ckpt_2={tmp_path}/b/ckpt" in problems[0]
    named = RunRequest(
        models=(f"{tmp_path}/a/ckpt", f"b={tmp_path}/b/ckpt"), tasks=("knn/demo_clipart",), output=tmp_path
    )
    plan = make_plan(named)
    assert not plan.problems and list(plan.models) == ["ckpt", "b"]
    again = RunRequest(models=(MODEL, f"tiny_encoder_make={MODEL}?a=b"), tasks=("demo",), output=tmp_path)
    assert "would both write to" in make_plan(again).problems[0]


def test_two_datasets_of_the_same_name_are_refused(tmp_path):
    """Otherwise one of them would be left out."""
    folders = [tmp_path / parent / "photos" for parent in "ab"]
    for folder in folders:
        for split in ("train", "test"):
            for label in "xy":
                (folder / split / label).mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(folder / split / label / "1.png")
    refs = tuple(f"imagefolder:{folder}" for folder in folders)
    problems = make_plan(RunRequest(models=(MODEL,), tasks=("knn",), datasets=refs, output=tmp_path)).problems
    assert len(problems) == 1
    assert f"would both write the record knn/photos: got data {refs[0]} and {refs[1]}" in problems[0]
    twice = make_plan(RunRequest(models=(MODEL,), tasks=("knn",), datasets=refs[:1] * 2, output=tmp_path))
    assert not twice.problems and len(twice.tasks) == 1


def test_several_models_share_a_run(tmp_path, capsys):
    assert (
        main(flags(tmp_path, "--model", "python:tiny_encoder:vision_only", "--limit", "40", tasks="knn/demo_clipart"))
        == 0
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "keys",
        "tiny_encoder_make",
        "tiny_encoder_vision_only",
    }
    assert main(["table", str(tmp_path / "out")]) == 0
    assert "tiny_encoder_vision_only" in capsys.readouterr().out
