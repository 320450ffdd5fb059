"""The table of a suite: DataComp's mean over 38 sets, and no mean of a part of them."""

from decimal import Decimal

import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.boards.choose import choose
from mlcd_eval.tables.boards.leaderboard import PUBLISHED
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.published import published_numbers

HALF = Decimal("0.00005")  # of the last digit that open_clip prints
ROUNDED_OTHERWISE = {
    "ViT-L-14, openai (open_clip)",
    "ViT-B-16, commonpool_l_text_s1b_b8k (open_clip)",
    "coca_ViT-B-32, mscoco_finetuned_laion2b_s13b_b90k (open_clip)",
}
"""Models whose mean of 38 rounded values is less than a tenth of half a digit beyond half a digit, as means of rounded
values may be: the printed mean is that of the values before they were rounded."""


def test_datacomps_averages_of_all_121_models_come_out():
    (board,), _ = choose([], published=["open_clip:*"], suites=["datacomp38"])
    printed = {
        number.label: Decimal(str(number.value))
        for number in published_numbers("open_clip/zeroshot")
        if number.column == "Average perf. on 38 datasets"
    }
    average = board.average()
    assert average.name == "Average perf. on 38 datasets" and len(average.over) == 38 == len(board.columns)
    ours = {
        row.model.removesuffix(PUBLISHED): sum(Decimal(str(row[column].value)) for column in board.columns) / 38
        for row in board.rows
    }
    assert ours.keys() == printed.keys() and len(ours) == 121
    distances = {name: abs(ours[name] - printed[name]) for name in printed}
    assert {name for name, distance in distances.items() if distance > HALF} == ROUNDED_OTHERWISE
    assert max(distances.values()) < HALF * Decimal("1.1")
    for row, cell in zip(board.rows, average.cells, strict=True):
        assert cell.value == pytest.approx(float(ours[row.model.removesuffix(PUBLISHED)]), abs=1e-12)
    assert board.notes == []


def test_datacomps_tasks_rank_by_its_main_metrics():
    (board,), _ = choose([], published=["open_clip:ViT-B-32/openai"], suites=["datacomp38"])
    metrics = {column.task: column.metric for column in board.columns}
    others = {task: name for task, name in metrics.items() if name != "acc1"}
    assert others == {
        **dict.fromkeys(
            [f"zeroshot/{name}" for name in ("vtab_caltech101", "aircraft", "flowers", "pets")],
            "mean_per_class_recall",
        ),
        "retrieval/datacomp_flickr30k": "mean_recall@1",
        "retrieval/datacomp_mscoco_captions": "mean_recall@1",
        "association/winogavil": "jaccard@10-12",
        "zeroshot/iwildcam": "macro_f1_true",
        "zeroshot/fmow": "worst_group_acc1",
        "zeroshot/dollar_street": "worst_group_acc5",
        "zeroshot/geode": "worst_group_acc1",
    }


VALUES = {"a": (0.5, 0.7), "b": (0.6, None)}


def of_classes(result, count):
    return result.model_copy(update={"dataset": result.dataset.model_copy(update={"num_classes": count})})


def pair():
    """Two models, one of which lacks a task of elevater20's first two."""
    return [
        of_classes(make_result(model, f"zeroshot/{task}", [metric(name, value)]), classes)
        for model, values in VALUES.items()
        for task, name, value, classes in zip(
            ("caltech101", "cifar10"), ("mean_per_class_recall", "acc1"), values, (102, 10), strict=True
        )
        if value is not None
    ]


@pytest.fixture
def two_tasks(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(
        "name: two\ndescription: two tasks\naverage: Mean of two\ntasks:\n- zeroshot/caltech101\n- zeroshot/cifar10\n"
    )
    return file


def test_a_part_has_no_average_and_what_is_missing_is_named(monkeypatch, two_tasks):
    index = TaskIndex.load([two_tasks])
    monkeypatch.setattr("mlcd_eval.tables.boards.suites.TaskIndex.load", lambda: index)
    (board,), _ = choose(pair(), suites=["two"])
    average, over_chance = board.average(), board.over_chance()
    assert [cell.value for cell in average.cells] == [pytest.approx(0.6), None]
    expected = ((0.5 - 1 / 102) / (1 - 1 / 102) + (0.7 - 0.1) / 0.9) / 2
    assert [cell.value for cell in over_chance.cells] == [pytest.approx(expected), None]
    assert board.notes == ["No 'Mean of two' of b: 1 of the 2 tasks have no usual value: zeroshot/cifar10."]
    (part,), _ = choose(pair()[:1], suites=["two"])
    assert part.average() is None and part.over_chance() is None and "of a: 1 of the 2 tasks" in part.notes[0]


def test_the_command_prints_chance_levels_and_both_means(tmp_path, capsys, monkeypatch, two_tasks):
    index = TaskIndex.load([two_tasks])
    monkeypatch.setattr("mlcd_eval.tables.boards.suites.TaskIndex.load", lambda: index)
    store = ResultStore(tmp_path / "out")
    for result in pair()[:2]:
        store.write(result)
    assert main(["table", str(tmp_path / "out"), "--suite", "two"]) == 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: line[1:] for line in lines if line}
    assert rows["task"][:3] == ["metric", "n", "chance"]
    assert rows["caltech101"][2] == "0.98" and rows["cifar10"][2] == "10.00"
    assert rows["Mean of two"][-1] == "60.00" and rows["over chance, 2 tasks"][-1] == "58.09"
    assert main(["table", str(tmp_path / "out")]) == 0
    assert "chance" not in capsys.readouterr().out
    assert main(["table", str(tmp_path / "out"), "--chance"]) == 0
    assert "| over chance, 2 tasks " in capsys.readouterr().out
    assert main(["table", str(tmp_path / "out"), "--suite", "tow"]) == 2
    assert "--suite: got 'tow', expected one of" in (err := capsys.readouterr().err) and "mean 'two'" in err
    assert main(["table", str(tmp_path / "out"), "--suite", "two", "--format", "csv"]) == 2
    assert "--suite goes with --format" in capsys.readouterr().err


def test_a_page_has_the_suites_table_too(monkeypatch, two_tasks):
    index = TaskIndex.load([two_tasks])
    monkeypatch.setattr("mlcd_eval.tables.boards.suites.TaskIndex.load", lambda: index)
    page = render(pair()[:2], "html", suites=["two"])
    assert "average over chance" in page and "<small>chance 0.98</small>" in page and "Models by two" in page
