"""Flags as a file."""

import json
import re

import pytest
from own_data import MODEL

from mlcd_eval.cli import build_parser, main
from mlcd_eval.cli.request import flags_and_request


def request(*words):
    args = build_parser().parse_args(["run", *map(str, words)])
    flags, made = flags_and_request(args)
    return flags, made


def test_every_key_means_its_flag_and_flags_win(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: {mine: 'hf:x/y', other: 'timm:z'}\ntasks: [knn, zeroshot]\ndataset: 'wds:a'\nlimit: 3\n"
        "log_samples: true\n"
        "no_resume: true\njson: true\nset: {shots: 4, ks: [5, 10]}\nbatch_size: auto\nexecutor: slurm\nslurm_hours: 2\n"
        "precision: bf16\nseed: null\n"
    )
    flags, made = request("--config", path)
    assert made.models == ("mine=hf:x/y", "other=timm:z") and made.tasks == ("knn", "zeroshot")
    assert (made.datasets, made.limit, made.log_samples, made.resume) == (("wds:a",), 3, True, False)
    assert (made.settings, made.batch_size, made.precision, made.seed) == ({"shots": 4, "ks": [5, 10]}, None, "bf16", 0)
    assert (flags.json, flags.executor, flags.slurm_hours) == (True, "slurm", 2)
    words = ["--model", "hf:w", "--tasks", "docvqa", "--limit", "9", "--no-log-samples", "--resume", "--set", "shots=8"]
    _, made = request("--config", path, *words)
    assert (made.models, made.tasks, made.limit) == (("hf:w",), ("docvqa",), 9)
    assert (made.log_samples, made.resume, made.settings) == (False, True, {"shots": 8, "ks": [5, 10]})


def test_saved_flags_make_the_same_request(tmp_path):
    words = [
        "--model",
        "a=hf:x/y",
        "--model",
        "timm:z",
        "--tasks",
        "knn,zeroshot",
        "--dataset",
        "wds:a",
        "--limit",
        "3",
    ]
    words += ["--no-resume", "--offline", "--set", "ks=[5, 10]", "--empty-union", "lavt", "--output", "o u t", "--json"]
    words += ["--embedding", "dim=64"]
    flags, made = request(*words, "--save-config", tmp_path / "run.yaml")
    again, same = request("--config", tmp_path / "run.yaml")
    assert same == made and made.settings["embedding"] == "dim=64"
    for name in vars(flags).keys() - {"config", "save_config", "parser"}:
        assert getattr(again, name) == getattr(flags, name), name


def test_a_run_by_a_file_writes_what_the_flags_write(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    folders = {"output": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    path.write_text(json.dumps({"model": MODEL, "tasks": "knn/demo_clipart", "limit": 20, "workers": 0, **folders}))
    assert main(["plan", "--config", str(path)]) == 0
    assert "jobs: 1, problems: 0" in capsys.readouterr().out
    assert main(["run", "--config", str(path), "--save-config", str(tmp_path / "saved.yaml")]) == 0
    assert main(["run", "--config", str(tmp_path / "saved.yaml")]) == 0
    assert "kept the record" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: x", r"run.yaml: unknown key 'modle', expected one of model, .*did you mean 'model'"),
        ("data-root: x", r"unknown key 'data-root', .*did you mean 'data_root'"),
        ("config: x", r"unknown key 'config'"),
        ("limit: ten", r"run.yaml: argument --limit: got 'ten', expected an integer of at least 1"),
        ("limit: [1, 2]", r"run.yaml: 'limit' is a list, expected one value"),
        ("output: {a: b}", r"run.yaml: 'output' is a mapping, expected a value"),
        ("offline: 'yes'", r"run.yaml: 'offline' is 'yes', expected true or false"),
        ("precision: fp23", r"run.yaml: argument --precision: invalid choice: 'fp23' .*did you mean 'fp32'"),
        ("- a", r"run.yaml holds a list, expected a mapping"),
        ("limit: 1\nlimit: 2", r"run.yaml .*line 2.*'limit' is given twice"),
        ("limit: 1", r"the following arguments are required: --model, --tasks \(here or by --config\)"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, capsys, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    try:
        code = main(["run", "--config", str(path)])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and re.search(message, error) and error.count("\n") == 1
