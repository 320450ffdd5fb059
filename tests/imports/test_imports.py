"""What all harnesses share: which file is whose, places of records, names."""

import json
import re
from pathlib import Path

import pytest

from mlcd_eval.cli import main
from mlcd_eval.imports.imported_task import foreign_task
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.records import read_all


def test_the_help_lists_every_harness_with_its_files_and_version(capsys):
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    text = capsys.readouterr().out
    for name in HARNESSES:
        assert f"  {name} ({HARNESSES[name].version})\n    {HARNESSES[name].files}\n" in text
        assert callable(HARNESSES[name].reader().read) and callable(HARNESSES[name].reader().recognises)


@pytest.mark.parametrize(
    ("harness", "keys"),
    [
        ("clip-benchmark", "dataset model task metrics"),
        ("clip-benchmark", "dataset model task model_fullname"),
        ("clip-benchmark", "model pretrained dataset shots lp_acc1 lr epochs batch_size"),
        ("clip-benchmark", "k bs fewshot_k lr epochs lp_acc1"),
        ("open_clip", "name pretrained MNIST"),
        ("open_clip", "model version MNIST"),
        ("mteb", "mteb_version"),
        ("mlcd-seg", "accuracy_iou"),
        ("vlmevalkit", "Overall"),
        ("vlmevalkit", "Final_Score"),
        ("vlmevalkit", "perception reasoning"),
        ("vlmevalkit", "aAcc fAcc qAcc"),
        ("vlmevalkit", "Bleu CIDEr"),
        ("vlmevalkit", "index prediction"),
    ],
)
def test_a_row_is_known_by_these_keys_and_not_by_fewer(harness, keys):
    recognises = HARNESSES[harness].reader().recognises
    row = {key.replace("_", " ") if key == "Final_Score" else key: 1 for key in keys.split()}
    assert recognises(row, "results") and recognises({**row, "more": 1}, "results")
    for key in row:
        assert not recognises({name: value for name, value in row.items() if name != key}, "results")
    assert [name for name in HARNESSES if HARNESSES[name].reader().recognises(row, "results")] == [harness]


def test_results_of_the_two_lm_harnesses_are_told_apart():
    ours, theirs = (HARNESSES[name].reader().recognises for name in ("lm-eval", "lmms-eval"))
    marked = {"results": {}, "configs": {"task": {"doc_to_visual": "x"}}}
    for run, expected in (
        ({"results": {}, "lm_eval_version": 1}, (True, False)),
        ({"results": {}, "lmms_eval_version": 1}, (False, True)),
        ({"results": {}, "model_configs": 1, "pretty_env_info": 1}, (False, True)),
        (marked, (False, True)),
        ({"results": {}}, (True, True)),
        ({"results": [], "lmms_eval_version": 1}, (False, False)),
    ):
        assert (ours(run, "results"), theirs(run, "results")) == expected


def test_an_unknown_harness_is_refused_with_the_nearest(run_import, golden, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_import("lmm-eval", golden / "clip_zeroshot.json")
    assert "(did you mean 'lmms-eval'?)" in capsys.readouterr().err


def test_tasks_that_are_not_ours_have_a_protocol_of_their_own():
    assert foreign_task("mteb", "A/B+", "de") == "imported/mteb-A-B+-de" and "imported" not in PROTOCOLS


@pytest.mark.parametrize(
    ("harness", "file", "like"),
    [
        ("lm-eval", "20260925_122419_results.json", "lmms-eval"),
        ("lmms-eval", "results_2026-09-25T12-24-19.123456.json", "lm-eval"),
        ("lmms-eval", "clip_zeroshot.json", "clip-benchmark"),
        ("vlmevalkit", "clip_benchmark.csv", "clip-benchmark"),
        ("clip-benchmark", "InternVL-Chat_DocVQA_VAL_acc.csv", "vlmevalkit"),
        ("clip-benchmark", "20260925_122419_results.json", "lmms-eval"),
        ("clip-benchmark", "openclip_results.csv", "open_clip"),
        ("open_clip", "clip_benchmark_probes.csv", "clip-benchmark"),
        ("mteb", "vila_8b_MME_score.csv", "vlmevalkit"),
        ("lm-eval", "results_lmms_0.2.json", "lmms-eval"),
        ("lmms-eval", "mteb/openai__clip-vit-base-patch32/3d74acf9/CIFAR10.json", "mteb"),
    ],
)
def test_the_harness_of_a_file_of_another_is_named(run_import, golden, capsys, harness, file, like):
    assert run_import(harness, golden / file) == (2, {})
    assert re.search(
        rf"{file} is not a result file of {harness}: it looks like one of {like}\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("harness", ["clip-benchmark", "open_clip", "lm-eval", "lmms-eval", "vlmevalkit", "mteb"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is not JSON: "),
        (b"[]", "it looks like none that is known"),
        (b"3", "it looks like none that is known"),
        (b"[" * 100_000, "is not JSON: "),
        (b"\xff\xfe", "is not text: "),
        (b"PK\x03\x04", "is a spreadsheet or archive, no text: it looks like one of vlmevalkit"),
        (b'{"schema_version": 1, "metrics": []}', "it looks like one of mlcd-eval"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(run_import, tmp_path, capsys, harness, text, message):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_bytes(text)
    assert run_import(harness, path) == (2, {})
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_is_written_where_one_file_is_wrong(run_import, golden, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", tmp_path / "bad.json") == (2, {})


@pytest.fixture
def two_runs(golden, tmp_path):
    """Two files of one name with different values of one task and model, as two runs of clip-benchmark write them."""
    paths = []
    for folder, value in (("a", 0.25), ("b", 0.75)):
        content = json.loads((golden / "clip_zeroshot.json").read_text()) | {"metrics": {"acc1": value}}
        paths.append(tmp_path / folder / "result.json")
        paths[-1].parent.mkdir()
        paths[-1].write_text(json.dumps(content))
    return paths


def test_files_that_differ_never_replace_each_other(run_import, two_runs, tmp_path, capsys):
    first, second = two_runs
    assert run_import("clip-benchmark", first)[0] == 0
    assert run_import("clip-benchmark", second)[0] == 2
    assert (
        f"{first} and {second} differ, and both hold zeroshot/openclipart of tiny_clip_tiny" in capsys.readouterr().err
    )
    assert run_import("clip-benchmark", second, first, name="both")[0] == 2
    assert f"{second} and {first} differ, and both hold zeroshot/openclipart of both" in capsys.readouterr().err
    code, records = run_import("clip-benchmark", second, name="second")
    assert code == 0 and records["zeroshot/openclipart"].primary.value == 0.75
    values = {result.model.name: result.primary.value for result in read_all([tmp_path / "out"])}
    assert values == {"tiny_clip_tiny@clip-benchmark": 0.25, "second": 0.75}


def test_the_same_content_is_imported_again_under_any_name(run_import, golden, tmp_path, capsys):
    copy = tmp_path / "copy.json"
    copy.write_bytes((golden / "clip_zeroshot.json").read_bytes())
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json")[0] == 0
    first = run_import("clip-benchmark", golden / "clip_zeroshot.json")[1]["zeroshot/openclipart"]
    capsys.readouterr()
    code, records = run_import("clip-benchmark", golden / "clip_zeroshot.json", copy)
    assert code == 0 and len(records) == 1 and capsys.readouterr().out.count("acc1") == 1
    assert records["zeroshot/openclipart"].model.spec == first.model.spec


def test_a_run_is_never_replaced_by_an_import(run_import, golden, tmp_path, capsys):
    result = run_import("clip-benchmark", golden / "clip_zeroshot.json")[1]["zeroshot/openclipart"]
    path = tmp_path / "out" / result.model.name / "zeroshot__openclipart.json"
    run = json.loads(path.read_text()) | {"details": {}}
    run["model"]["spec"] = "open_clip:tiny"
    run.pop("checksum")  # it is edited on purpose
    path.write_text(json.dumps(run))
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json")[0] == 2
    assert "open_clip:tiny and " in capsys.readouterr().err


def test_a_file_that_holds_a_task_twice(run_import, golden, tmp_path, capsys):
    text = (golden / "clip_benchmark_probes.csv").read_text()
    path = tmp_path / "probes.csv"
    path.write_text(f"{text}\n{text.splitlines()[1]}\n")
    assert run_import("clip-benchmark", path) == (2, {})
    assert "holds linear_probe/vtab-dtd-10shot-lr0.1-epochs10-batch_size256 of ViT-B-32" in capsys.readouterr().err


def test_a_record_says_which_format_was_known_and_why_values_are_missing(run_import, golden, tmp_path):
    content = json.loads((golden / "clip_zeroshot.json").read_text()) | {"metrics": {"acc1": 0.5, "acc7": 0.9}}
    (tmp_path / "x.json").write_text(json.dumps(content))
    details = run_import("clip-benchmark", tmp_path / "x.json")[1]["zeroshot/openclipart"].details
    assert details["format"] == HARNESSES["clip-benchmark"].version
    assert details["not_imported"] == {"acc7": {"value": 0.9, "reason": "a metric that is not known here"}}


def test_only_mteb_is_read_by_folders(run_import, golden, tmp_path, capsys):
    assert run_import("clip-benchmark", golden)[0] == 2
    assert "is a folder, expected result files of clip-benchmark" in capsys.readouterr().err
    assert run_import("mteb", tmp_path)[0] == 2
    assert "holds no JSON file" in capsys.readouterr().err


def test_all_kinds_stand_in_one_table_of_every_format(run_import, golden, tmp_path, capsys):
    files = {
        "clip-benchmark": ["clip_zeroshot.json", "clip_benchmark_probes.csv"],
        "open_clip": ["openclip_results.csv", "openclip_retrieval_results.csv"],
        "lmms-eval": ["20260925_122419_results.json"],
        "lm-eval": ["results_2026-09-25T12-24-19.123456.json"],
        "vlmevalkit": ["vila_8b_MME_score.csv", "vila_8b_OCRBench_score.json", "InternVL-Chat_MMMU_DEV_VAL_acc.csv"],
        "mteb": ["mteb"],
    }
    for harness, names in files.items():
        assert run_import(harness, *(golden / name for name in names))[0] == 0
    assert run_import("dinov2", golden / "results_eval_linear.json", name="dino")[0] == 0
    records = read_all([tmp_path / "out"])
    capsys.readouterr()
    texts = {}
    for form in ("markdown", "csv", "json", "latex", "html"):
        assert main(["table", str(tmp_path / "out"), "--format", form]) == 0
        texts[form] = capsys.readouterr().out
    rows = json.loads(texts["json"])
    assert {row["task"] for row in rows} == {result.task.name for result in records}
    assert " vlmevalkit-MME " in texts["markdown"] and "perception, points" in texts["markdown"]
    assert "1558.52" in texts["markdown"] and "reasoning,False,282.5,points,True" in texts["csv"]


def test_the_golden_files_are_small_and_name_no_place(golden):
    for path in (path for path in Path(golden).rglob("*") if path.is_file()):
        text = path.read_text()
        assert len(text) < 10_000 and "/work" not in text and "/home" not in text
