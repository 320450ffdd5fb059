"""What all harnesses share: which file is whose, places of records, names."""

import json
import re
from pathlib import Path

import pytest

from mlcd_eval.cli import import_
from mlcd_eval.imports import HARNESSES
from mlcd_eval.imports.common import fraction, safe_name


def test_the_command_line_knows_every_harness():
    assert tuple(HARNESSES) == import_.HARNESSES


@pytest.mark.parametrize(
    ("harness", "file", "like"),
    [
        ("lm-eval", "20260925_122419_results.json", "lmms-eval"),
        ("lmms-eval", "results_2026-09-25T12-24-19.123456.json", "lm-eval"),
        ("lmms-eval", "clip_zeroshot.json", "clip-benchmark"),
        ("vlmevalkit", "clip_benchmark.csv", "clip-benchmark"),
        ("clip-benchmark", "InternVL-Chat_DocVQA_VAL_acc.csv", "vlmevalkit"),
        ("clip-benchmark", "20260925_122419_results.json", "lmms-eval"),
    ],
)
def test_a_file_of_another_harness_is_told(run_import, golden, capsys, harness, file, like):
    assert run_import(harness, golden / file) == (2, {})
    assert re.search(
        rf"{file} is not a result file of {harness}: it looks like a file of {like}\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("harness", ["clip-benchmark", "lm-eval", "lmms-eval", "vlmevalkit"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "is not JSON: "),
        (b"[]", "it looks like a file of no known harness"),
        (b"3", "it looks like a file of no known harness"),
        (b"[" * 100_000, "is not JSON: "),
        (b"\xff\xfe", "is not text: "),
        (b"PK\x03\x04", "is a spreadsheet or archive, not text: it looks like a file of vlmevalkit"),
        (b'{"schema_version": 1, "metrics": []}', "it looks like a file of mlcd-eval"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_sentence(run_import, tmp_path, capsys, harness, text, sentence):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_bytes(text)
    assert run_import(harness, path) == (2, {})
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_nothing_is_written_where_one_file_is_wrong(run_import, golden, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", tmp_path / "bad.json") == (2, {})


def test_a_record_replaces_only_that_of_the_same_file(run_import, golden, tmp_path, capsys):
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json")[0] == 0
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json")[0] == 0
    copy = tmp_path / "copy.json"
    copy.write_bytes((golden / "clip_zeroshot.json").read_bytes())
    assert run_import("clip-benchmark", copy)[0] == 2
    assert (
        "holds the record of import:clip-benchmark:clip_zeroshot.json: give another --name" in capsys.readouterr().err
    )
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", copy, name="both")[0] == 2
    assert "both hold zeroshot/openclipart of both: give one" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "a\\b", "a\nb"])
def test_a_name_is_no_path(run_import, golden, capsys, name):
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", name=name)[0] == 2
    assert "--name: got" in capsys.readouterr().err


def test_a_name_is_for_one_model(run_import, golden, tmp_path, capsys):
    other = json.loads((golden / "clip_probe.json").read_text()) | {"model": "ViT-B-32"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", tmp_path / "other.json", name="x")[0] == 2
    assert "--name is for one model: got files of ViT-B-32_tiny, tiny_clip_tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("ViT-B-32", "openai"), "ViT-B-32_openai"),
        (("ViT-L-14", "/a/epoch_32.pt"), "ViT-L-14_epoch_32"),
        (("hf-hub:org/name", None), "name"),
        (("../..", ""), ""),
        (("C:\\models\\clip", "x y"), "clip_x_y"),
    ],
)
def test_models_are_named_by_the_last_part(parts, name):
    assert safe_name(*parts) == name


def test_fractions_are_checked_by_unit():
    assert fraction("x", 1.0000001) == 1.0 and fraction("x", 50, per_cent=True) == 0.5 and fraction("x", "0.25") == 0.25
    for value, per_cent in ((1.1, False), (-0.1, False), (True, False), (100.1, True), (float("inf"), True)):
        with pytest.raises(Exception, match="expected"):
            fraction("x", value, per_cent=per_cent)


def test_the_golden_files_are_small_and_name_no_place(golden):
    for path in Path(golden).iterdir():
        text = path.read_text()
        assert len(text) < 10_000 and "/work" not in text and "/home" not in text
