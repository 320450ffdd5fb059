"""Wide tables in parts, and tables on a terminal."""

import os
import re

import pytest
from conftest import make_result, metric
from rich.text import Text

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.boards.fit import fitted
from mlcd_eval.tables.boards.grid import Grid
from mlcd_eval.tables.boards.terminal import STYLE, visible
from mlcd_eval.tables.formats import render

TABLE = Grid(
    [["task", "x", "x", "y", "z"], ["m", "aaaa", "bbbb", "cccc", "d" * 30], ["n", "1", "2", "3", "4"]],
    heads=1,
    names=1,
    tasks=["", "x", "x", "y", "z"],
    models_down=True,
)


def parts(width, **how):
    return [part.lines[0] for part in fitted(TABLE, width, **how)]


def test_columns_of_a_task_stay_together_and_the_models_are_repeated():
    assert parts(61) == [["task", "x", "x", "y", "z"]]  # 7 + 3 * 7 + 33
    assert parts(60) == [["task", "x", "x", "y"], ["task", "z"]]
    assert parts(27) == [["task", "x", "x"], ["task", "y"], ["task", "z"]]
    assert parts(20) == [["task", "x"], ["task", "x"], ["task", "y"], ["task", "z"]]  # the task alone is too wide
    assert [part.lines[2] for part in fitted(TABLE, 27)] == [["n", "1", "2"], ["n", "3"], ["n", "4"]]


def test_too_many_models_side_by_side_go_down():
    lines = [["task", "metric", "n", "m" * 60, "p" * 60, "q" * 60], ["x", "acc1", "9", "1", "2", "3"]]
    (turned,) = fitted(Grid(lines, heads=1, names=2, tasks=["", "x"], facts=1), 100)
    assert (turned.heads, turned.names, turned.models_down) == (3, 1, True)
    assert turned.lines == [
        ["task", "x"],
        ["metric", "acc1"],
        ["n", "9"],
        ["m" * 60, "1"],
        ["p" * 60, "2"],
        ["q" * 60, "3"],
    ]


def many(tasks=9, models=4, name="model"):
    pairs = [(n, task) for n in range(models) for task in range(tasks)]
    return [
        make_result(f"{name}_{n}", f"linear_probe/task{task:02}", [metric("acc1", (n + task) / 80, (0.1, 0.9))])
        for n, task in pairs
    ]


def test_markdown_and_latex_of_many_tasks_fit():
    text = render(many(27, 30), "markdown")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert max(map(len, table)) <= 150
    heads = [line for line in table if line.startswith("| task")]
    assert len(heads) > 1 and sum(line.count("task") for line in heads) == 27 + len(heads)
    assert sum(line.startswith("| model_3 ") for line in table) == len(heads)
    latex = render(many(27, 30), "latex")
    floats = latex.split(r"\begin{table*}")[1:]  # across both columns, and none longer than a page
    assert len(floats) == latex.count(r"\begin{tabular}") > 1 and r"\begin{table}" not in latex
    assert all(text.count(r"\\" + "\n") <= 40 for text in floats)
    assert [r"\caption{linear\_probe, continued.}" in text for text in floats] == [False, *[True] * (len(floats) - 1)]
    seen = [re.sub(r"\\(textbf|underline)|[{}\\]", "", line) for line in latex.splitlines() if " & " in line]
    assert max(map(len, seen)) <= 100
    few = render(many(27, 5), "latex")
    assert (few.count(r"\begin{tabular}"), few.count(r"\begin{table*}")) == (7, 2)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_terminal_is_as_wide_as_it_is(monkeypatch, width):
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 20)))
    lines = render(many(name="a rather long name of a model [x] 模型 🙂"), "terminal").splitlines()
    assert max(Text.from_ansi(line).cell_len for line in lines) <= width
    text = "\n".join(lines)
    assert "[x]" in text and "13.75" in text and "15.00" not in text  # at most 3 + 8 of 80


def test_names_cannot_steer_a_terminal():
    assert visible("a\x1b[31m\nb [bold]") == "a[31m b \\[bold]"
    assert Text.from_markup(STYLE.best(visible("[/bold] x"))).plain == "[/bold] x"


def test_table_draws_on_a_terminal_and_writes_markdown_elsewhere(tmp_path, capsys, monkeypatch):
    store = ResultStore(tmp_path / "out")
    for result in many():
        store.write(result)
    assert main(["table", str(tmp_path / "out")]) == 0
    assert "| task " in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["table", str(tmp_path / "out")]) == 0
    drawn = capsys.readouterr().out
    assert "| task" not in drawn and "──" in drawn
    assert main(["table", str(tmp_path / "out"), "--format", "markdown"]) == 0
    assert "| task " in capsys.readouterr().out
