"""`mlcd-eval compare` from the command line, on records that `run` wrote."""

import json

import pytest

from mlcd_eval.cli import main

VISION = "knn/demo_clipart,linear_probe/demo_clipart"
TASKS = {"make": f"{VISION},zeroshot/demo_clipart,retrieval/demo_captions", "vision_only": VISION}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    flags = ["--output", str(folder / "out"), "--cache", str(folder / "cache"), "--limit", "40", "--workers", "0"]
    for factory, tasks in TASKS.items():
        words = ["--model", f"python:tiny_encoder:{factory}", "--tasks", tasks]
        assert main(["run", *words, *flags]) == 0
    return folder / "out"


def test_two_folders_or_two_names(output, capsys):
    a, b = "tiny_encoder_make", "tiny_encoder_vision_only"
    assert main(["compare", str(output / a), str(output / b)]) == 0
    by_folder = capsys.readouterr().out
    assert main(["compare", str(output), "--model", a, "--model", b]) == 0
    assert capsys.readouterr().out == by_folder
    assert main(["compare", str(output)]) == 0  # of two models
    assert capsys.readouterr().out == by_folder
    assert "wins 0, ties 2, losses 0, not tested 0. Mean rank by task: A 1.50, B 1.50." in by_folder
    assert by_folder.count("Left out: ") == 2


def test_a_model_with_itself_is_a_tie_on_every_protocol(output, capsys):
    model = output / "tiny_encoder_make"
    assert main(["compare", str(model), str(model), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {task["task"] for task in found["tasks"]} == set(TASKS["make"].split(","))
    assert all(task["p"] == task["adjusted_p"] == 1 for task in found["tasks"])
    assert all(task["ci95"] == [0, 0] and task["outcome"] == "tie" for task in found["tasks"])


def test_power(output, capsys):
    a, b = (str(output / f"tiny_encoder_{factory}") for factory in TASKS)
    assert main(["power", a, b]) == 0
    table = capsys.readouterr().out
    assert "| detectable | to detect B - A |" in table and table.count("Left out: ") == 2
    assert main(["power", a, a, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["level"], found["power"]) == (0.05, 0.8)
    assert all(task["detectable"] is None and task["images"] is None for task in found["tasks"])  # they never differ
    assert main(["power", a]) == 2
    assert (
        "power takes two folders OUTPUT/MODEL, or one OUTPUT with --model twice or of two models: got 1"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["OUT/keys"], "--model twice or of two models: got 1 (it holds 0 models) and --model 0 times"),
        (["OUT", "--model", "x"], "--model twice or of two models: got 1 and --model 1 times"),
        (["OUT", "OUT", "--model", "x"], "got 2 and --model 1 times"),
        (["OUT", "--model", "tiny_encoder_mak", "--model", "x"], "did you mean 'tiny_encoder_make'?"),
        (["OUT/nothing", "OUT"], "nothing holds no records: expected OUTPUT/MODEL"),
    ],
)
def test_one_sentence_for_what_cannot_be(output, capsys, words, sentence):
    assert main(["compare", *(word.replace("OUT", str(output)) for word in words)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
