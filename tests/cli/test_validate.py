import argparse
import re

import pytest

from mlcd_eval.cli import validate

TASK = "name: {0}/x\nversion: 1\nprotocol: {0}\ndataset:\n  name: x\n"


def run(*paths) -> int:
    parser = argparse.ArgumentParser()
    validate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["validate", *map(str, paths)])
    return args.run(args)


@pytest.fixture
def write(tmp_path):
    def _write(name: str, text: str):
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


def test_every_problem_of_every_file_is_told(write, tmp_path, capsys):
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
