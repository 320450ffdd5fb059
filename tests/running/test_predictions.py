"""Models' own masks and answers, saved predictions without a model, and submissions, through the command line."""

import json
import shutil

import pytest
from tiny_encoder import RedFinder

from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.records import read
from mlcd_eval.support.bundled import demo_data_dir

REFER = f"refer:{demo_data_dir()}/refer/refdemo/unc/val"
DOCVQA = f"docvqa:{demo_data_dir()}/docdemo/val_v1.0_withQT.json"


@pytest.fixture
def masks(tmp_path):
    """A function that writes masks to a file, by default the right ones for refdemo val, which are its `items`."""
    items = [{"sent_id": o.sent_id, "segmentation": o.truth} for o in open_dataset(REFER).annotations("val")]

    def write(items=items, name="preds.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(item) + "\n" for item in items))
        return str(tmp_path / name)

    write.items = items
    return write


def score(tmp_path, *arguments):
    return main(["score", *arguments, "--output", str(tmp_path / "out")])


def test_right_masks_score_100(tmp_path, masks, capsys):
    assert score(tmp_path, "--dataset", REFER, masks(), "--name", "oracle", "--log-samples") == 0
    assert "| oracle | refcoco/refdemo_val | overall_iou | 100.00" in capsys.readouterr().out
    record = read(tmp_path / "out" / "oracle" / "refcoco__refdemo_val.json")
    assert record.dataset.num_samples == 146 and record.model.num_params is None
    assert record.task.settings["mode"] == "native" and record.details["source"] == "saved predictions"
    samples = (tmp_path / "out" / "oracle" / "samples" / "refcoco__refdemo_val.jsonl").read_text().splitlines()
    assert len(samples) == 146 and json.loads(samples[0])["iou"] == 1.0


def test_masks_may_be_named_by_ref_and_sentence_and_by_task(tmp_path, masks):
    expressions = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc/testA").annotations("testA")
    items = [{"ref_id": o.ref_id, "sentence": o.text, "segmentation": o.truth} for o in expressions]
    assert score(tmp_path, "refcoco/demo", masks(items), "--empty-union", "lavt") == 0
    record = read(tmp_path / "out" / "preds" / "refcoco__demo.json")
    assert record.primary.value == 1.0 and record.task.settings["empty_union"] == "lavt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items[6:], "6 missing sent_ids, first "),
        (lambda items: [*items, items[0]], "1 repeated sent_ids, first "),
        (
            lambda items: [*items, {**items[0], "sent_id": 10**6}],
            "1 unknown sent_ids, first 1000000: expected each of 146",
        ),
        (
            lambda items: [{**items[0], "segmentation": {"size": [2, 2], "counts": [4]}}, *items[1:]],
            "mask's size is [2, 2]",
        ),
        (lambda items: [{"segmentation": {}}], "expected sent_id, or ref_id and sentence"),
        (
            lambda items: [{"sent_id": 1, "mask": []}],
            "the prediction for 1 has no segmentation: got ['mask', 'sent_id'], expected one, as COCO's RLE {\"size\"",
        ),
        (lambda items: [3], "line 1 is no JSON object: got int"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, masks, capsys, change, message):
    assert score(tmp_path, "--dataset", REFER, masks(change(masks.items))) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_data_of_another_size_than_the_protocols_is_noted(tmp_path, masks, capsys):
    """A path counts too: a folder `refcoco` split by unc must be RefCOCO, and split otherwise may have any size."""
    refdemo = demo_data_dir() / "refer" / "refdemo"
    folder = tmp_path / "root" / "refcoco"
    folder.mkdir(parents=True)
    for split_by in ("unc", "google"):
        shutil.copy(refdemo / "refs(unc).p", folder / f"refs({split_by}).p")
    shutil.copy(refdemo / "instances.json", folder)
    (tmp_path / "root" / "images").symlink_to(refdemo.parent / "images" / "refdemo")
    note = "note: split 'val' of refcoco_val has 146 samples, the protocol's has 10,834"
    assert score(tmp_path, "--dataset", f"refer:{folder}/unc/val", masks()) == 0
    assert note in capsys.readouterr().err
    assert read(tmp_path / "out" / "preds" / "refcoco__refcoco_val.json").dataset.expected_num_samples == 10_834
    assert score(tmp_path, "--dataset", f"refer:{folder}/google/val", masks()) == 0
    assert "note" not in capsys.readouterr().err
    authors = {path.stem: read(path).dataset.split_by for path in (tmp_path / "out" / "preds").glob("*.json")}
    assert authors == {"refcoco__refcoco_val": "unc", "refcoco__refcoco_google_val": "google"}


@pytest.fixture
def without_images(tmp_path):
    """refdemo val by its annotations alone."""
    folder = tmp_path / "annotations" / "refdemo"
    shutil.copytree(demo_data_dir() / "refer" / "refdemo", folder)
    return f"refer:{folder}/unc/val"


def test_saved_masks_need_no_images(tmp_path, masks, without_images, capsys):
    assert score(tmp_path, "--dataset", without_images, masks(), "--log-samples") == 0
    captured = capsys.readouterr()
    assert "100.00" in captured.out and "note: no pictures of samples: the images of refdemo_val" in captured.err
    [path] = (tmp_path / "out").rglob("refcoco__refdemo_val.json")
    alone = read(path).dataset
    assert score(tmp_path, "--dataset", REFER, masks()) == 0
    assert read(path).dataset == alone  # images make no difference


def test_saved_masks_and_a_models_own_are_scored_on_the_same(tmp_path, masks, without_images, capsys):
    assert run(tmp_path, "--dataset", REFER, tasks="refcoco") == 0
    assert score(tmp_path, "--dataset", REFER, masks()) == 0
    own, saved = (read(path).dataset for path in sorted((tmp_path / "out").rglob("refcoco__refdemo_val.json")))
    assert own.identity == saved.identity and own.fingerprint != saved.fingerprint
    RedFinder.asked = 0
    assert run(tmp_path, "--dataset", without_images, "--no-resume", tasks="refcoco") == 2  # a run needs the images
    assert "the images of refdemo_val are missing" in capsys.readouterr().err and RedFinder.asked == 0


def test_grefcoco_is_scored_by_its_own_metrics(tmp_path):
    source = demo_data_dir() / "refer" / "refdemo"
    folder = tmp_path / "root" / "grefcoco"
    folder.mkdir(parents=True)
    shutil.copy(source / "instances.json", folder)
    refs = [{**ref, "ann_id": [ref["ann_id"]], "no_target": False} for ref in read_pickle(source / "refs(unc).p")]
    val = [ref for ref in refs if ref["split"] == "val"]
    val[0] |= {"ann_id": [-1], "no_target": True}
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    items = [
        {"sent_id": sentence.sent_id, "segmentation": [sentence.truth] if sentence.has_target else []}
        for sentence in open_dataset(f"refer:{folder}/unc/val").annotations("val")
    ]
    (tmp_path / "preds.json").write_text(json.dumps(items))
    assert score(tmp_path, "refcoco/grefcoco_val", str(tmp_path / "preds.json"), "--data-root", str(folder.parent)) == 0
    record = read(tmp_path / "out" / "preds" / "refcoco__grefcoco_val.json")
    assert {metric.name: metric.value for metric in record.metrics} == dict.fromkeys(
        (
            *("overall_iou", "mean_iou", "target_accuracy", "no_target_accuracy"),
            *("target_precision@0.7", "target_precision@0.8", "target_precision@0.9"),
        ),
        1.0,
    )
    assert next(m for m in record.metrics if m.name == "no_target_accuracy").num_scored == len(val[0]["sentences"])


def answers(tmp_path, items, name="answers.json"):
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(item) for item in items) if name.endswith("l") else json.dumps(items))
    return str(path)


def right():
    return [{"questionId": q.question_id, "answer": q.answers[0]} for q in open_dataset(DOCVQA).annotations("val")]


@pytest.mark.parametrize("name", ["answers.json", "answers.jsonl"])
def test_right_answers_score_100(tmp_path, name, capsys):
    assert score(tmp_path, "docvqa/demo", answers(tmp_path, right(), name)) == 0
    assert "| answers | docvqa/demo | anls   | 100.00" in capsys.readouterr().out


def test_ids_as_text_are_the_same_ids(tmp_path):
    items = [{**item, "questionId": str(item["questionId"])} for item in right()]
    assert score(tmp_path, "--dataset", DOCVQA, answers(tmp_path, items)) == 0


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (right()[2:], "2 missing questionIds, first 1, 2: expected each of 72 once"),
        ([*right(), right()[3]], "1 repeated questionIds"),
        ([*right(), {"questionId": 999, "answer": "x"}], "1 unknown questionIds, first 999"),
        ([{"questionId": 1, "answer": ["x"]}], "expected text"),
        ([{"id": 1}], "expected questionId and answer"),
    ],
)
def test_answers_that_do_not_fit_are_refused(tmp_path, items, message, capsys):
    assert score(tmp_path, "docvqa/demo", answers(tmp_path, items)) == 2
    assert message in capsys.readouterr().err


def test_score_refuses_wrong_arguments(tmp_path, capsys):
    path = answers(tmp_path, right())
    assert score(tmp_path, "knn/demo_clipart", path) == 2
    assert "is scored from features, expected a task of docvqa or refcoco" in capsys.readouterr().err
    assert score(tmp_path, path) == 2
    assert "takes a TASK or --dataset" in capsys.readouterr().err
    assert score(tmp_path, "docvqa/demo", str(tmp_path / "none.json")) == 2
    assert "none.json is missing" in capsys.readouterr().err


def run(tmp_path, *more, tasks="refcoco,docvqa"):
    common = ["--model", "python:tiny_encoder:red_finder", "--tasks", tasks, "--output", str(tmp_path / "out")]
    return main(["run", *common, "--cache", str(tmp_path / "cache"), "--workers", "0", *more])


def test_a_model_with_masks_and_answers_of_its_own(tmp_path, capsys):
    RedFinder.asked = 0
    assert run(tmp_path, tasks="refcoco/demo,docvqa/demo") == 0
    assert RedFinder.asked == 154 + 72
    record = read(tmp_path / "out" / "tiny_encoder_red_finder" / "refcoco__demo.json")
    assert record.task.settings["mode"] == "native" and 0 < record.primary.value < 1
    answered = read(tmp_path / "out" / "tiny_encoder_red_finder" / "docvqa__demo.json")
    assert answered.details["prompt"].startswith("{question}") and answered.dataset.num_samples == 72
    assert run(tmp_path, "--no-resume", tasks="refcoco/demo,docvqa/demo") == 0
    assert RedFinder.asked == 154 + 72  # predictions are stored
    assert run(tmp_path, "--no-resume", "--set", "prompt='{question}'", tasks="docvqa/demo") == 0
    assert RedFinder.asked == 154 + 2 * 72


def test_groups_name_the_tasks_under_a_data_root(tmp_path):
    assert run(tmp_path, "--data-root", str(demo_data_dir()), "--limit", "9") == 0
    names = {path.stem for path in (tmp_path / "out" / "tiny_encoder_red_finder").glob("*.json")}
    assert {"refcoco__demo", "refcoco__refdemo_val", "refcoco__refdemo_testB", "docvqa__demo"} <= names
    assert read(tmp_path / "out" / "tiny_encoder_red_finder" / "refcoco__refdemo_val.json").dataset.num_samples == 9


def test_answers_that_are_not_public_are_refused_before_any_is_asked(tmp_path, capsys):
    source = json.loads((demo_data_dir() / "docdemo" / "val_v1.0_withQT.json").read_text())
    for item in source["data"]:
        del item["answers"]
    source["dataset_split"] = "test"
    (tmp_path / "test_v1.0.json").write_text(json.dumps(source))
    (tmp_path / "documents").symlink_to(demo_data_dir() / "docdemo" / "documents")
    RedFinder.asked = 0
    ref = ["--dataset", f"docvqa:{tmp_path}/test_v1.0.json"]
    assert run(tmp_path, *ref, tasks="docvqa") == 2
    assert "cannot be scored: its file has no true answers, expected them (or --submit" in capsys.readouterr().err
    assert RedFinder.asked == 0
    assert run(tmp_path, *ref, "--submit", tasks="docvqa") == 0
    [path] = (tmp_path / "out").rglob("submissions/*.json")
    items = json.loads(path.read_text())
    assert len(items) == 72 and set(items[0]) == {"questionId", "answer"} and items[0]["questionId"] == 1


def test_settings_that_no_task_has_are_refused(tmp_path, capsys):
    assert run(tmp_path, "--set", "mod=native", tasks="refcoco/demo") == 2
    assert "--set mod: no chosen task has that setting" in capsys.readouterr().err
    assert run(tmp_path, "--set", "mode=naive", tasks="refcoco/demo") == 2
    assert "'mode' is 'naive', expected 'auto', 'native', 'probe' or 'zeroshot'" in capsys.readouterr().err


def test_another_models_text_encoder(tmp_path, capsys):
    common = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "c"), "--workers", "0", "--set", "steps=2"]
    blind = ["run", "--model", "python:tiny_encoder:vision_only", "--tasks", "refcoco/demo", *common]
    assert main([*blind, "--set", "text_encoder=nowhere"]) == 2
    assert "text_encoder: --model: no file or folder 'nowhere'" in capsys.readouterr().err
    assert main([*blind, "--set", "text_encoder=python:tiny_encoder:vision_only"]) == 2
    error = capsys.readouterr().err
    assert "has no text tower, expected a model with one" in error and "images in" not in error
    assert not (tmp_path / "out" / "tiny_encoder_vision_only").exists()
    assert main([*blind, "--set", "text_encoder=python:tiny_encoder:make"]) == 0
    record = read(tmp_path / "out" / "tiny_encoder_vision_only" / "refcoco__demo.json")
    assert record.details["text_encoder"] == "python:tiny_encoder:make" and record.details["recipe"] == 1


@pytest.mark.slow
def test_a_probe_runs_from_the_command_line(tmp_path):
    common = ["--model", "python:tiny_encoder:make", "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    tasks = "refcoco/demo,docvqa/demo"
    assert main(["run", *common, "--tasks", tasks, "--set", "steps=3", "--workers", "0"]) == 0
    pages = read(tmp_path / "out" / "tiny_encoder_make" / "docvqa__demo.json")
    assert [row["holds"] for row in pages.details["controls"]] == [True, True, True]
    assert pages.details["reading"]["smallest_legible_letter"] is None  # of eight pixels on a side
    record = read(tmp_path / "out" / "tiny_encoder_make" / "refcoco__demo.json")
    assert record.task.settings["mode"] == "probe" and record.details["baselines"]["mean_box_overall_iou"] > 0


def test_the_help_has_no_flag_without_an_effect_on_saved_predictions(capsys):
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    printed = capsys.readouterr().out
    assert "--empty-union" in printed
    assert not any(flag in printed for flag in ("--templates", "--classnames", "--embedding"))
