import argparse
import re
import shutil

import pytest

from mlcd_eval.cli import validate
from mlcd_eval.support.bundled import demo_data_dir

TASK = "name: {0}/x\nversion: 1\nprotocol: {0}\ndataset:\n  name: x\n"
NAMED = "name: knn/x\nversion: 1\nprotocol: knn\n"


def run(*paths) -> int:
    parser = argparse.ArgumentParser()
    validate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["validate", *map(str, paths)])
    return args.run(args)


@pytest.fixture
def write(tmp_path):
    def _write(name: str, text: str):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return _write


def test_the_shipped_files_are_right(capsys):
    assert run() == 0
    assert capsys.readouterr().out.endswith(" files, 0 problems\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TASK.format("knn") + "settings: {temprature: 1}\n", "unknown key 'temprature', .*did you mean 'temperature'"),
        (TASK.format("linear_probe") + "settings: {metric: acc}\n", "'metric' is 'acc', expected 'acc1'"),
        (TASK.format("zeroshoot"), "unknown protocol 'zeroshoot', .*did you mean 'zeroshot'"),
        (TASK.format("zeroshot") + "  templates: [a photo]\n", "got 'a photo', expected {c} in it"),
        (TASK.format("zeroshot") + "  templates: imagenet8\n", "got 'imagenet8', .*did you mean 'imagenet7'"),
        (TASK.format("zeroshot") + "  class_names: [a, b]\n  num_classes: 3\n", "has 2 names, expected num_classes, 3"),
        (TASK.format("knn") + "tags: demo\n", "'tags' is 'demo', expected a list"),
        (TASK.format("knn") + "  kind: retrieval\n", "'dataset.kind' is 'retrieval', expected classification for"),
        (NAMED + "dataset: mnits\n", "'dataset' is 'mnits', expected a name of .*did you mean 'mnist'"),
        (NAMED + "dataset: {name: mnist, num_classes: 9}\n", "is 9, expected 10 as of the data set mnist"),
        (NAMED + "dataset: {name: demo_clipart, num_classes: 9}\n", "is 9, expected 14, the class names of wds:"),
        ("name: s\ndescription: S.\ntasks: [knn/mnits]\n", "suite 's': got 'knn/mnits', .*did you mean 'knn/mnist'"),
    ],
)
def test_a_problem_is_a_line_that_names_the_file(write, capsys, text, problem):
    path = write("x.yaml", text)
    assert run(path) == 2
    line, total = capsys.readouterr().out.splitlines()
    assert line.startswith(str(path))
    assert re.search(problem, line)
    assert total == "1 files, 1 problems"


def test_every_problem_of_every_file_is_reported(write, tmp_path, capsys):
    write("a.yaml", TASK.format("knn") + "temperature: 1\n")
    write("b.yaml", TASK.format("retrieval") + "settings: {ks: [0], lair: a}\n")
    write("c.yaml", "tasks: [knn/mnist]\n")
    write("d.yaml", TASK.format("linear_probe"))
    assert run(tmp_path) == 2
    *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
        "a.yaml",
        "c.yaml",
        "c.yaml",
        "b.yaml",
        "b.yaml",
    ]
    assert total == "4 files, 5 problems"


def test_a_suite_may_name_the_tasks_beside_it(write, tmp_path, capsys):
    write("x.yaml", TASK.format("knn"))
    write("mine.yaml", "name: mine\ndescription: Mine.\ntasks: [knn/x, knn/mnist]\n")
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == "2 files, 0 problems\n"


def test_two_files_of_one_name_are_refused(write, tmp_path, capsys):
    write("a.yaml", TASK.format("knn"))
    write("b.yaml", TASK.format("knn"))
    assert run(tmp_path) == 2
    assert "are both called 'knn/x'" in capsys.readouterr().out


def test_a_data_set_that_no_task_is_on_is_reported(write, tmp_path, capsys):
    write("datasets/lions.yaml", "name: lions\n")
    write("datasets/tigers.yaml", "name: tigers\n")
    write("x.yaml", NAMED + "dataset: lions\n")
    assert run(tmp_path) == 2
    line, total = capsys.readouterr().out.splitlines()
    assert line.endswith("tigers.yaml: no task is on the data set 'tigers', expected at least one")
    assert total == "3 files, 1 problems"


def test_the_kind_is_checked_against_the_data(write, tmp_path, capsys):
    path = write("x.yaml", TASK.format("zeroshot") + "  kind: multilabel\n")
    assert run(path) == 0
    shutil.copytree(demo_data_dir() / "wds_demo_clipart", tmp_path / "root" / "wds_x")
    assert run(path, "--data-root", tmp_path / "root") == 2
    problem = f"'dataset.kind' is 'multilabel', expected classification, the kind of wds:{tmp_path}"
    assert problem in capsys.readouterr().out
