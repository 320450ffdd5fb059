"""The request that a record holds, and its repetition."""

import json
import re
import shlex

import pytest
from own_data import MODEL, flags, items, write_wds
from tiny_encoder import TinyEncoder

from mlcd_eval import evaluate
from mlcd_eval.cli import build_parser, main
from mlcd_eval.cli.request import flags_and_request
from mlcd_eval.records import read, read_all
from mlcd_eval.request import RunRequest

SHOWN = "knn/demo_clipart"


def record(tmp_path, *more, **changes):
    """Run one task and return the record's path."""
    assert main(flags(tmp_path, "--limit", "40", *more, **{"tasks": SHOWN, **changes})) == 0
    (path,) = (tmp_path / "out").glob("*/*.json")
    return path


def change(path, edit):
    """Edit a record in place, as an earlier or another program would have written it."""
    text = json.loads(path.read_text())
    text.pop("checksum", None)  # the message about an edited record asks for this
    edit(text)
    path.write_text(json.dumps(text))


def test_a_record_holds_the_request_that_made_it_and_not_where(tmp_path):
    path = record(tmp_path, "--seed", "3", "--set", "ks=[5, 10]", "--set", "layer=penultimate", model=f"mine={MODEL}")
    request = read(path).request
    assert request.options == {
        "models": [f"mine={MODEL}"],
        "tasks": [SHOWN],
        "limit": 40,
        "seed": 3,
        "settings": {"ks": [5, 10], "layer": "penultimate"},
    }
    assert request.dataset.startswith("wds:") and request.dataset.endswith("wds_demo_clipart")
    assert request.revision is None and request.predictions is None
    args = build_parser().parse_args(shlex.split(request.command)[1:])
    _, again = flags_and_request(args)
    assert again == RunRequest(**request.options)


@pytest.mark.parametrize("word", ["zeroshot", "mine.yaml", "zeroshot/*"])
def test_the_request_is_narrowed_to_the_records_task(tmp_path, word, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_wds(tmp_path / "root" / "wds_mine", {"train": items(8), "test": items(8)}).parent
    (tmp_path / "mine.yaml").write_text(f"name: s\ndescription: x\ntasks: [{SHOWN}, zeroshot/demo_clipart]\n")
    changes = {"data_root": root} if word != "mine.yaml" else {}
    folders = {"output": tmp_path / "out", "cache": tmp_path / "cache"}
    results = evaluate(MODEL, [word, "knn/demo_clipart"], limit=8, workers=0, **folders, **changes)
    for result in results:
        options = result.request.options
        expected = {"mine.yaml"} if word == "mine.yaml" else {result.task.name}
        assert set(options["tasks"]) == expected and len(options["tasks"]) == 1
        path = tmp_path / "out" / "tiny_encoder_make" / f"{result.task.name.replace('/', '__')}.json"
        assert main(["rerun", str(path), "--trust-remote-code"]) == 0


def test_a_rerun_encodes_again_and_gives_equal_numbers(tmp_path, capsys):
    path = record(tmp_path)
    TinyEncoder.images_seen = 0
    capsys.readouterr()
    assert main(["rerun", str(path), "--trust-remote-code"]) == 0
    assert TinyEncoder.images_seen == 80
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"tiny_encoder_make {SHOWN}: equal numbers (8 metrics)", "environment: the same"]
    assert len(read_all([tmp_path / "out"])) == 1


def test_what_differs_is_said(tmp_path, capsys):
    path = record(tmp_path)

    def edit(text):
        text["metrics"][0]["value"] = 0.123
        text["environment"]["torch"] = "1.0"
        text["model"]["fingerprint"] = "f" * 64

    change(path, edit)
    arguments = ["rerun", str(path), "--trust-remote-code", "--output", str(tmp_path / "again")]
    capsys.readouterr()
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "1 of 8 numbers differ" in printed
    name = read(path).metrics[0].name
    assert f"number {name}: value 0.123 -> value 0." in printed and "environment torch: 1.0 -> " in printed
    assert f"identity model: {'f' * 64} -> " in printed
    assert main([*arguments, "--json"]) == 1
    differences = json.loads(capsys.readouterr().out)
    assert not differences["equal"] and list(differences["numbers"]) == [name]
    assert len(read_all([tmp_path / "again"])) == 1


def test_saved_predictions_are_scored_again(tmp_path, capsys):
    pages = tmp_path / "pages.json"
    question = {"questionId": 1, "question": "q", "image": "a.png", "answers": ["yes"], "data_split": "val"}
    pages.write_text(
        json.dumps({"dataset_name": "x", "dataset_version": "1", "dataset_split": "val", "data": [question]})
    )
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps([{"questionId": 1, "answer": "yes"}]))
    words = ["--dataset", f"docvqa:{pages}", str(answers), "--output", str(tmp_path / "out"), "--name", "theirs"]
    assert main(["score", *words]) == 0
    (path,) = (tmp_path / "out").glob("*/*.json")
    assert read(path).request.command.startswith(f"mlcd-eval score {answers} --name theirs --dataset docvqa:")
    assert main(["rerun", str(path)]) == 0
    answers.write_text(json.dumps([{"questionId": 1, "answer": "no"}]))
    assert main(["rerun", str(path)]) == 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.pop("request"), "does not hold the request that made it: got a record of another harness"),
        (lambda text: None, "runs code of its model, 'python:tiny_encoder:make': expected --trust-remote-code"),
        (
            lambda text: text["request"]["options"].update(models=["hf:x/y"], trust_remote_code=True),
            "runs code of its model, 'hf:x/y'",
        ),
        (
            lambda text: text["request"]["options"].update(datasets=["wds:https://REDACTED@h/x"]),
            "its request had a secret, which the record does not hold",
        ),
        (lambda text: text["model"].update(spec="object:torch.nn.Linear"), "the model was in memory"),
        (lambda text: text["request"]["options"].update(limt=3), "unknown key 'limt', expected .*did you mean 'limit'"),
        (lambda text: text["request"]["options"].update(tasks=["knn/demo_clipar"]), "did you mean 'knn/demo_clipart'"),
    ],
)
def test_a_record_that_cannot_be_repeated_is_one_sentence(tmp_path, capsys, edit, message):
    path = record(tmp_path)
    change(path, edit)
    capsys.readouterr()
    TinyEncoder.images_seen = 0
    assert main(["rerun", str(path)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1 and TinyEncoder.images_seen == 0


def test_secrets_reach_neither_the_request_nor_the_models_spec(tmp_path):
    (tmp_path / "make.py").write_text("import tiny_encoder\ndef make(api_key):\n    return tiny_encoder.make()\n")
    path = record(tmp_path, model=f"mine=python:{tmp_path}/make.py:make?api_key=sk-123")
    assert "sk-123" not in path.read_text() and "api_key=REDACTED" in read(path).request.command
