"""What a plan says before a model is loaded: names of models, and pairs that do not go together."""

import dataclasses
import json

import pytest
from own_data import MODEL, flags, items, write_wds
from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.records import read_all
from mlcd_eval.request import RunRequest
from mlcd_eval.running.executors.base import groups_of
from mlcd_eval.running.run import run

BLIND = "python:tiny_encoder:vision_only"
TASKS = "knn/demo_clipart,zeroshot/demo_clipart,retrieval/demo_captions"


@pytest.fixture
def known(monkeypatch):
    """Whether a `python:` model has texts is known before it is loaded, as for kinds that read a local config."""
    row = dataclasses.replace(KINDS["python"], has_text=lambda spec: "vision" not in spec.target)
    monkeypatch.setattr(KINDS, "built_in", {**KINDS.built_in, "python": row})


def request(tmp_path, **changes):
    fields = {"models": (BLIND, MODEL), "tasks": tuple(TASKS.split(",")), "output": tmp_path / "out", "limit": 20}
    return RunRequest(**{**fields, "cache": tmp_path / "cache", "workers": 0, **changes})


def test_pairs_that_do_not_go_together_are_listed_before_a_model_is_loaded(tmp_path, known):
    problems = make_plan(request(tmp_path)).problems
    assert [problem.split()[0] for problem in problems] == ["zeroshot/demo_clipart", "retrieval/demo_captions"]
    assert all(f"got model {BLIND!r}, which has no text tower" in problem for problem in problems)
    assert all(problem.endswith("; --skip-incompatible leaves this pair out") for problem in problems)


def test_they_are_left_out_of_the_plan_and_of_the_run(tmp_path, known):
    plan = make_plan(request(tmp_path, skip_incompatible=True))
    assert not plan.problems and len(plan.refused) == 2
    pairs = [(model, task.name) for model, task, _ in plan.records()]
    assert [name for model, name in pairs if model == "tiny_encoder_vision_only"] == ["knn/demo_clipart"]
    assert groups_of(plan, cores=1)[0].tasks == ("knn/demo_clipart",)
    assert [(result.model.name, result.task.name) for result in run(plan)] == pairs


def test_without_that_knowledge_the_model_is_loaded_and_nothing_encoded(tmp_path):
    plan = make_plan(request(tmp_path))
    assert not plan.problems
    TinyEncoder.images_seen = 0
    with pytest.raises(IncompatibleError, match=r"zeroshot/demo_clipart needs .*\n.*retrieval/demo_captions needs"):
        list(run(plan))
    assert TinyEncoder.images_seen == 0
    results = list(run(make_plan(request(tmp_path, skip_incompatible=True))))
    assert [result.task.name for result in results] == ["knn/demo_clipart", *TASKS.split(",")]


def test_the_command_line_says_what_it_leaves_out(tmp_path, known, capsys):
    words = flags(tmp_path, "--model", BLIND, "--limit", "20", tasks=TASKS)
    assert main(words) == 2
    assert capsys.readouterr().err.count("--skip-incompatible leaves this pair out") == 2
    assert main([*words, "--skip-incompatible"]) == 0
    assert capsys.readouterr().err.count("left out: ") == 2
    assert len(read_all([tmp_path / "out"])) == 4
    assert main(["plan", *words[1:], "--skip-incompatible", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (len(plan["jobs"]), len(plan["left_out"]), plan["problems"]) == (4, 2, [])
    assert main(["plan", *words[1:], "--skip-incompatible"]) == 0
    assert capsys.readouterr().out.count("left out: ") == 2


def test_a_plan_of_which_nothing_is_left_is_refused(tmp_path, known):
    plan = make_plan(request(tmp_path, models=(BLIND,), tasks=("zeroshot/demo_clipart",), skip_incompatible=True))
    assert plan.problems == [
        "--skip-incompatible leaves out every pair of a model and a task: expected one that is left"
    ]


@pytest.mark.parametrize("file", ["classnames.txt", "zeroshot_classification_templates.txt"])
def test_missing_class_names_and_templates_are_seen(tmp_path, file):
    data = write_wds(tmp_path / "wds_mine", {"train": items(4), "test": items(4)})
    (data / file).unlink()
    plan = make_plan(request(tmp_path, tasks=("zeroshot", "knn"), datasets=(f"wds:{data}",)))
    assert len(plan.problems) == 1 and f"expected {file} in its folder" in plan.problems[0]


def test_two_folders_of_one_name_stand_in_one_table_under_other_names(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint.py").write_text("from tiny_encoder import make\n")
    specs = [f"python:{tmp_path / name}/checkpoint.py:make" for name in "ab"]
    words = flags(tmp_path, "--model", f"second={specs[1]}", "--limit", "20", model=f"first={specs[0]}", tasks=TASKS)
    assert main(words) == 0
    assert {path.parent.name for path in (tmp_path / "out").glob("*/*.json")} == {"first", "second"}
    assert {result.model.spec for result in read_all([tmp_path / "out"])} == set(specs)
    groups = groups_of(make_plan(RunRequest(models=(f"first={specs[0]}",), tasks=("demo",), output=tmp_path)), cores=1)
    assert {group.request.models for group in groups} == {(f"first={specs[0]}",)}
    capsys.readouterr()
    clash = [word.replace("second=", "first=") for word in words]
    assert main(clash) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "would both write to" in error
