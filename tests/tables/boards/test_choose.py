"""Papers' tables, alone and with records; what is said of numbers that do not compare."""

import re
from decimal import Decimal

import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.support.bundled import published_dir
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.boards.choose import choose
from mlcd_eval.tables.boards.leaderboard import PUBLISHED
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.published import groups, published_numbers, published_table
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.text import shown

LEADERBOARDS = published_dir().parent / "leaderboards"
CLIP = "CLIP ViT-L/14, WIT-400M (reported in the CLIP paper)"
PAGE = ["--published", "MLCD-Embodied-7B", "--published", "MLCD-Seg-7B", "--format", "pwc-table"]


def probe(model, dataset, value, ci95=None, **changes):
    return make_result(model, f"linear_probe/{dataset}", [metric("acc1", value, ci95, **changes)])


def cells(text, name):
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in row.split("|")[1:-1]]


@pytest.mark.parametrize("group", groups("papers"))
def test_a_committed_table_is_what_one_command_prints(group, capsys):
    assert main(["table", "--published-group", group]) == 0
    assert (LEADERBOARDS / f"{group}.md").read_text() == capsys.readouterr().out, "stale: run `make leaderboards`"


def test_no_other_table_is_committed(capsys):
    assert {file.stem for file in LEADERBOARDS.iterdir()} == {*groups("papers"), "paper_page"}
    assert main(["table", *PAGE]) == 0
    assert (LEADERBOARDS / "paper_page.md").read_text() == capsys.readouterr().out, "stale: run `make leaderboards`"


@pytest.mark.parametrize("group", groups("papers"))
def test_a_papers_table_holds_its_numbers_and_their_average(group):
    (board,), _ = choose([], groups=[group])
    texts = {
        (r.model, c.name): shown(cell.value, c.unit, cell.decimals) for r in board.rows for c, cell in r.cells.items()
    }
    means = {}
    for number in published_numbers(group):
        if number.column == "AVG":
            means[number.label + PUBLISHED] = f"{number.value:.{number.decimals}f}"
        else:
            printed = Decimal(str(number.value)) * (100 if number.unit == "fraction" else 1)
            assert Decimal(texts.pop((number.label + PUBLISHED, number.column))) == printed
    assert not texts
    if means:
        average = board.average()
        assert means == {
            row.model: shown(cell.value, decimals=cell.decimals)
            for row, cell in zip(board.rows, average.cells, strict=True)
        }


def test_columns_stand_in_the_papers_order_and_units_are_not_averaged():
    (imagenet, towers), _ = choose([], groups=["imagenet_vit_l14", "vision_towers"])
    assert [column.name for column in imagenet.columns] == published_table("imagenet_vit_l14").columns
    assert imagenet.average() is None  # fine-tuning, probe and zero-shot
    assert towers.average() is None
    text = render([], "markdown", groups=["vision_towers"])
    assert cells(text, "MLCD ViT-L-14-336")[1:] == ["67.84", "76.46", "43.48", "531", "44.30"]
    assert "score, points of 1000" in text


def test_published_models_without_records_stand_by_protocol():
    boards, _ = choose([], ["EVF-SAM", "GLaMM"])
    assert [(board.title, len(board.columns)) for board in boards] == [("refcoco", 8)]
    names = [row.model.partition(" (")[0] for row in boards[0].rows]
    assert names == ["EVF-SAM, published", "GLaMM, published", "GLaMM"]  # the page's rows, and table 2 of RICE


def test_records_stand_in_a_papers_table(tmp_path, capsys):
    store = ResultStore(tmp_path)
    store.write(probe("ours", "food101", 0.951, (0.948, 0.9515)))
    store.write(probe("ours", "demo", 0.5))
    assert main(["table", str(tmp_path), "--published-group", "linear_probe_vit_l14"]) == 0
    text = capsys.readouterr().out
    first = text.partition("\n\n| task")[2]  # the first of the parts, of a line per model
    assert cells(f"| task{first}", "task")[1:3] == ["Food101", "CIFAR10"]
    assert cells(first, "n")[1:3] == ["200", "-"]
    assert cells(first, "ours")[1:3] == ["95.10 [94.8, 95.2]", "-"]
    assert cells(first, "*CLIP ViT-L/14, WIT-400M (reported in the CLIP paper), published*")[1] == "<u>95.2</u>"
    assert " demo " not in text
    assert "average" not in text  # "ours" has one of the tasks
    assert main(["table", str(tmp_path), "--published-group", "refcoco"]) == 0
    assert "No record is of this table's tasks." in capsys.readouterr().out


def test_reproduced_stands_beside_published_with_the_difference_and_a_mark():
    results = [
        probe("other", "food101", 0.9),
        probe("clip", "food101", 0.951, (0.948, 0.9515)),
        probe("clip", "cifar10", 0.97, (0.965, 0.975)),
        probe("clip", "stl10", 0.998),  # no interval: no mark
    ]
    text = render(results, "markdown", published=[f"clip={CLIP}"])
    assert cells(text, "task")[3:] == ["other", "clip", f"*{CLIP}{PUBLISHED}*"]
    assert cells(text, "food101")[3:] == ["90.00", "<u>95.10</u> [94.8, 95.2] (Δ -0.10†)", "**95.2**"]
    assert cells(text, "cifar10")[4] == "<u>97.00</u> [96.5, 97.5] (Δ -1.00†)"
    assert cells(text, "stl10")[4:] == ["**99.80** (Δ 0.00)", "**99.8**"]
    inside = render([probe("clip", "food101", 0.951, (0.948, 0.953))], "markdown", published=[f"clip={CLIP}"])
    assert "**" in inside and "(Δ -0.10)" in inside
    assert "where the published value lies outside the interval" in inside
    assert "outside the interval" not in render(results, "markdown", published=[CLIP])


def test_the_page_has_papers_tables_and_differences_too():
    page = report([probe("clip", "food101", 0.951, (0.948, 0.9515))], published=[f"clip={CLIP}"])
    assert "<small>[94.8, 95.2]</small><small>Δ -0.10†</small>" in page
    assert "where the published value lies outside the interval" in page
    page = report([], groups=groups("papers"))
    assert page.count('<section aria-labelledby="board-') == len(groups("papers"))
    assert "Table 4, MLCD paper: fine-tuning" in page
    assert "Δ" not in page


def test_a_published_baseline_marks_too():
    text = render([probe("ours", "food101", 0.9, (0.89, 0.91))], "markdown", baseline=CLIP, published=[CLIP])
    assert "(-5.20†)" in text


def test_the_row_that_is_reproduced_must_be_one():
    with pytest.raises(ConfigError, match=r"^--published clip=CLIP: got 3 rows, expected one: CLIP ViT-L-14-336 \(rep"):
        render([probe("clip", "food101", 0.9)], "markdown", published=["clip=CLIP"])


def test_a_mean_is_over_tasks_that_every_model_has():
    alone = [probe("a", "x", 0.9), probe("b", "y", 0.8)]
    assert "average" not in render(alone, "markdown")
    text = render([*alone, probe("a", "y", 0.7), probe("b", "x", 0.6)], "markdown")
    assert cells(text, "average of 2")[2:] == ["", "**80.00**", "<u>70.00</u>"]


def test_many_models_go_down():
    text = render(
        [probe(name, "x", value) for name, value in zip("abcd", (0.1, 0.4, 0.3, 0.2), strict=True)], "markdown"
    )
    assert [cells(text, name)[1] for name in ("task", "metric", "n", "a", "b")] == [
        "x",
        "acc1",
        "200",
        "10.00",
        "**40.00**",
    ]


def test_a_column_holds_one_unit():
    results = [probe("a", "x", 0.9), probe("b", "x", 90.0, unit="percent")]
    sentence = (
        "linear_probe/x acc1 is in fraction (higher is better) for a and in percent (higher is better) for b: "
        "a column holds one unit"
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        render(results, "markdown")


def test_lower_is_better_is_ranked_and_said():
    results = [
        make_result(name, "x/y", [metric("error", value, higher_is_better=False)])
        for name, value in (("a", 0.1), ("b", 0.2))
    ]
    assert cells(render(results, "markdown"), "y")[1:] == ["error, lower is better", "200", "**10.00**", "<u>20.00</u>"]


def test_other_data_has_a_column_of_its_own():
    data = probe("c", "x", 0.3).dataset
    other = data.model_copy(update={"fingerprint": "e" * 64})
    results = [probe("a", "x", 0.1), probe("b", "x", 0.2), make_result("c", "linear_probe/x", dataset=other)]
    text = render(results, "markdown")
    assert cells(text, "x [data dddddddd]")[3:] == ["<u>10.00</u>", "**20.00**", "-"]
    assert cells(text, "x [data eeeeeeee]")[3:] == ["-", "-", "45.25 [40.0, 50.1]"]
    assert "x {[}data eeeeeeee{]}" in render(results, "latex")
    assert cells(render(results[:2], "markdown"), "x")[3:] == ["<u>10.00</u>", "**20.00**"]
    failed = results[2].model_copy(update={"status": "error", "error": "no", "metrics": ()})
    assert cells(render([*results[:2], failed], "markdown"), "x")[3:] == ["<u>10.00</u>", "**20.00**", "failed"]


def test_a_failed_task_fails_every_column_of_it():
    recalls = [metric("image_to_text_recall@1", 0.5), metric("text_to_image_recall@1", 0.4)]
    failed = make_result("b", "retrieval/x").model_copy(update={"status": "error", "error": "no", "metrics": ()})
    (board,) = leaderboards([make_result("a", "retrieval/x", recalls), failed])
    assert [board.rows[1][column].failed for column in board.columns] == ["no", "no"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "expected PATH of records, --published NAME or --published-group GROUP"),
        (["--published-group", "refcocoo"], "no published table is called 'refcocoo', expected one of"),
        (["--published", "MLCD", "--format", "csv"], "--published and --published-group go with --format markdown"),
        (
            ["--published", "MLCD", "--baseline", "x", "--format", "pwc"],
            "--baseline goes with --format markdown, html, latex or",
        ),
        (["--published", "MLCD", "--dry-run"], "--dry-run goes with --push-to-hub ORG/NAME"),
        (["--published", "MLCD", "--push-to-hub", "a/b"], "--push-to-hub writes a model card"),
    ],
)
def test_flags_that_do_not_go_together(arguments, sentence, capsys):
    assert main(["table", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1


def test_records_of_another_schema_and_records_that_disagree(tmp_path, capsys):
    store = ResultStore(tmp_path / "one")
    store.write(make_result())
    ResultStore(tmp_path / "two").write(make_result(metrics=[metric("acc1", 0.5)]))
    assert main(["table", str(tmp_path)]) == 2
    assert re.search(r"are records of the same request and disagree: keep one\n$", capsys.readouterr().err)
    path = store.path(make_result())
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert main(["table", str(path)]) == 2
    assert re.search(r"has schema_version 2, expected 1\n$", capsys.readouterr().err)


def test_what_sees_no_image_is_below_the_table():
    blind = {"length": {"text_accuracy": 0.5, "group_accuracy": 0.1}, "majority": {"text_accuracy": 0.25}}
    results = [
        make_result(model, "compositionality/demo", [metric("text_accuracy", 0.6)], details={"baselines": blind})
        for model in ("a", "b")
    ]
    results.append(make_result("a", "refcoco/demo", [metric("overall_iou", 0.6)], details={"baselines": {"box": 0.1}}))
    boards, _ = choose(results)
    assert [board.notes for board in boards] == [
        ["Without the images: compositionality/demo text_accuracy: length 50.00, majority 25.00."],
        [],
    ]
