"""Settings of several values: a record for each, from one pass over the images."""

import pytest
from own_data import MODEL, flags
from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.planning.swept import each_value
from mlcd_eval.protocols.base import Protocol
from mlcd_eval.records import read
from mlcd_eval.request import RunRequest

FEW = ("--limit", "60", "--set", "trials=2", "--log-samples")


def run(tmp_path, shots, *more):
    words = flags(tmp_path, *FEW, "--set", f"shots={shots}", *more, tasks="linear_probe/demo_clipart")
    assert main(words) == 0
    return words


def test_each_number_of_shots_has_a_record_of_its_own(tmp_path, capsys):
    TinyEncoder.images_seen = 0
    words = run(tmp_path, "[1, 2]")
    assert TinyEncoder.images_seen == 120  # of train and test, once
    assert "[shots=1, trials=2, limit 60]" in (printed := capsys.readouterr().out) and "[shots=2, " in printed
    folder = tmp_path / "out" / "tiny_encoder_make"
    one, two = (folder / f"linear_probe__demo_clipart@shots={shots}.json" for shots in (1, 2))
    assert sorted(folder.glob("*.json")) == [one, two]
    assert [read(path).task.settings["shots"] for path in (one, two)] == [1, 2]
    assert len((folder / "samples" / f"{two.stem}.jsonl").read_text().splitlines()) == 60

    run(tmp_path, "2")  # the same number, asked for alone
    alone, in_curve = read(folder / "linear_probe__demo_clipart.json"), read(two)
    assert alone.request_key() == in_curve.request_key() and alone.metrics == in_curve.metrics
    assert alone.task == in_curve.task and in_curve.name == "linear_probe/demo_clipart@shots=2"

    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().err.count("kept the record") == 2
    assert main(["rerun", str(two), "--trust-remote-code"]) == 0
    assert "equal numbers" in capsys.readouterr().out


def test_tables_have_the_columns_in_the_order_of_the_numbers(tmp_path, capsys):
    run(tmp_path, "[2, 16]", "--set", "lambda_=1.0")
    capsys.readouterr()
    assert main(["table", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert 0 < printed.index("shots=2,") < printed.index("shots=16,")


def test_two_models_are_compared_at_each_number_of_shots(tmp_path, capsys):
    for name in ("a", "b"):
        words = flags(
            tmp_path, *FEW, "--set", "shots=[1, 2]", tasks="linear_probe/demo_clipart", model=f"{name}={MODEL}"
        )
        assert main(words) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "out" / "a"), str(tmp_path / "out" / "b")]) == 0
    printed = capsys.readouterr().out
    assert "linear_probe/demo_clipart@shots=1" in printed and "ties 2" in printed


def planned(value, *tasks):
    return make_plan(
        RunRequest(models=(MODEL,), tasks=("linear_probe/demo_clipart", *tasks), settings={"shots": value})
    )


def test_the_word_curve_means_the_usual_numbers_and_other_protocols_are_not_touched():
    names = [f"linear_probe/demo_clipart@shots={shots}" for shots in (1, 2, 4, 8, 16, 32)]
    assert list(planned("curve", "knn/demo_clipart").tasks) == [*names, "knn/demo_clipart"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "'shots' is [], expected values that differ"),
        ([4, 4], "'shots' is [4, 4], expected values that differ"),
        ([4, 0], "'shots' is 0, expected greater than 0"),
        ("curves", "'shots' is 'curves', expected a valid integer"),
    ],
)
def test_a_wrong_list_is_one_problem(value, problem):
    [sentence] = planned(value).problems
    assert sentence.startswith(f"settings of linear_probe/demo_clipart: {problem}")


def test_two_lists_make_every_combination():
    both = Protocol()
    both.swept = {"shots": (1, 2), "c": (0.5,)}
    assert each_value(both, {"shots": "curve", "c": [1, 10], "layer": ["x"]}, "") == [
        ("@shots=1@c=1", {"shots": 1, "c": 1}),
        ("@shots=1@c=10", {"shots": 1, "c": 10}),
        ("@shots=2@c=1", {"shots": 2, "c": 1}),
        ("@shots=2@c=10", {"shots": 2, "c": 10}),
    ]
    assert each_value(both, {"shots": 4}, "") == [("", {})]
    with pytest.raises(ConfigError, match=r"^here: 'c' is \[\], expected values that differ, such as \[0.5\]"):
        each_value(both, {"c": []}, "here")
