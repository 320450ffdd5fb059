"""From records to tables, by hand-made records."""

import csv
import io
import json
import re
import tracemalloc

import pandas
import pytest
from conftest import make_result, metric

from mlcd_eval import results_frame
from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError
from mlcd_eval.records import ResultStore
from mlcd_eval.records.result import plain
from mlcd_eval.support.fileio import write_text
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.formats import TableInput, pieces, render
from mlcd_eval.tables.frame import COLUMNS, tidy_rows
from mlcd_eval.tables.summary import summary
from mlcd_eval.tables.text import shown, shown_difference, shown_metric


def probe(model, dataset, value, name="acc1", **changes):
    return make_result(model, f"linear_probe/{dataset}", [metric(name, value)], **changes)


@pytest.fixture
def results():
    return [
        probe("a", "food101", 0.90),
        probe("a", "pets", 0.80, "mean_per_class_recall"),
        probe("b", "food101", 0.95),
        probe("b", "pets", 0.70, "mean_per_class_recall"),
        probe("c", "food101", 0.85),
    ]


def test_numbers_are_shown_in_per_cent_and_only_here():
    assert shown(0.452549) == "45.25"
    assert shown(None) == "-"
    assert shown(525.0, "points") == "525.00"
    assert shown_metric(metric("acc1", 0.4525, (0.4, 0.5012))) == "45.25 [40.0, 50.1]"


def test_markdown_ranks_and_averages_only_where_all_have_every_value(results):
    table = render(results, "markdown")
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[4:-1]]
        for line in table.splitlines()
        if "|" in line
    }
    assert lines["food101"] == ["<u>90.00</u>", "**95.00**", "85.00"]
    assert lines["pets"] == ["**80.00**", "<u>70.00</u>", "-"]
    assert not any("average" in name for name in lines)
    both = render(results[:4], "markdown")
    assert re.search(r"\| average of 2 +\| 2 metrics +\|", both)
    assert "85.00" in both and "82.50" in both


def test_an_average_is_over_one_metric_or_over_a_suite_as_papers_print_it():
    def averages(protocol, *columns):
        results = [make_result("m", f"{protocol}/{task}", [metric(name, 0.5)]) for task, name in columns]
        return [line.split("|")[1:3] for line in render(results, "markdown").splitlines() if "average" in line]

    assert len(averages("docvqa", ("docvqa_val", "anls"), ("infovqa_val", "anls"))) == 1
    assert not averages("docvqa", ("docvqa_val", "anls"), ("chartqa", "relaxed_accuracy"))
    assert not averages("zeroshot", ("food101", "acc1"), ("x", "map"))  # x is in no suite
    assert not averages("zeroshot", ("food101", "acc1"), ("voc2007", "map"))  # papers print the 11-point form
    assert len(averages("zeroshot", ("food101", "acc1"), ("voc2007", "map_11point"))) == 1


def test_markdown_word_for_word():
    text = render(
        [make_result("tiny", "zeroshot/demo"), make_result("big", "zeroshot/demo", [metric("acc1", 0.5)])], "markdown"
    )
    assert text.startswith(
        "## zeroshot\n"
        "\n"
        "| task | metric |   n |                      tiny |       big |\n"
        "| ---- | ------ | --: | ------------------------: | --------: |\n"
        "| demo | acc1   | 200 | <u>45.25</u> [40.0, 50.1] | **50.00** |\n"
    )


def test_a_baseline_and_published_rows_stand_beside(results):
    text = render(results, "markdown", baseline="a", published=["MLCD"])
    assert "95.00</u> (+5.00)" in text
    assert " 90.00 |" in text  # the baseline has no difference from itself
    assert "MLCD ViT-L/14, LAION-400M, published" in text
    assert " 94.3 (+4.30) |" in text  # table 1, Food101, with the decimals that were printed
    with pytest.raises(ConfigError, match=r"--baseline: got 'bb', expected one of a, b, c"):
        render(results, "markdown", baseline="bb")
    with pytest.raises(ConfigError, match=r"--published: got 'UNICON'.*did you mean 'UNICOM'"):
        render(results, "markdown", published=["UNICON"])


def test_published_rows_that_have_no_task_in_common_are_missed():
    text = render([make_result()], "markdown", published=["MLCD"])
    assert text.endswith("\nNo published number of MLCD is of these tasks and metrics.\n")
    typeset = render([make_result()], "latex", published=["MLCD"])
    assert typeset.endswith("\\end{table}\n% No published number of MLCD is of these tasks and metrics.\n")


def test_a_unit_other_than_per_cent_is_named():
    rmse = metric("rmse", 2.319, (2.084, 2.588), unit="metres", higher_is_better=False)
    depth = make_result("a", "depth_linear/demo", [rmse])
    head, _, line = summary([depth]).splitlines()
    assert "| % or unit [95% interval] |" in head
    assert line.split(" | ")[2:4] == ["rmse, metres, lower is better", "       2.32 [2.08, 2.59]"]
    assert "| % [95% interval] |" in summary([probe("a", "pets", 0.5)])
    table = render([depth], "markdown")
    assert "2.32 [2.08, 2.59] |" in table and "\nPer cent, or the unit that is named, with 95% bootstrap" in table
    page = render([depth, make_result("b", "depth_linear/demo", [rmse])], "html")
    assert "[2.08, 2.59]" in page and "in per cent unless a column says otherwise" in page
    assert "RMSE, metres, lower is better" in page and '"rmse, metres"' in page  # the matrix, an axis


def test_differences_have_a_sign_and_no_minus_zero():
    assert [shown_difference(value) for value in (0.012, -0.0035, -0.00001, 0.0)] == ["+1.20", "-0.35", "0.00", "0.00"]


def test_data_of_another_size_than_the_protocols_is_noted():
    def of_size(model, size):
        dataset = make_result().dataset.model_copy(update={"num_samples": size, "expected_num_samples": 25_250})
        return make_result(model, "linear_probe/food101", dataset=dataset)

    assert "Not the protocol's data" not in render([of_size("a", 25_250)], "markdown")
    text = render([of_size("a", 25_250), of_size("b", 200)], "markdown")
    note = "Not the protocol's data, by number of samples (and the protocol's): linear_probe/food101 200 (25,250)."
    assert note in text


def test_models_scored_on_different_counts_show_both():
    other = make_result("other", metrics=[metric("acc1", 0.5, n=1_000)])
    assert "| 200 to 1,000 |" in render([make_result(), other], "markdown")


def test_failed_tasks_are_shown_as_failed(failed_result):
    text = render([failed_result, make_result("other")], "markdown")
    row = next(line for line in text.splitlines() if line.startswith("| demo"))
    assert [cell.strip() for cell in row.split("|")[4:-1]] == ["failed", "45.25 [40.0, 50.1]"]
    assert "failed" in summary([failed_result])


def test_a_protocol_whose_only_task_failed_has_a_board_that_says_so(failed_result):
    failed = [failed_result, failed_result.model_copy(update={"model": make_result("other").model})]
    (board,) = leaderboards(failed)
    assert [(column.task, column.metric, column.protocol) for column in board.columns] == [
        ("zeroshot/demo", "failed", "zeroshot")
    ]
    assert [row[column].failed for row in board.rows for column in board.columns] == ["split 'test' is empty"] * 2
    assert re.search(r"\| demo +\| failed +\| failed +\| failed \|", render(failed, "markdown"))


def test_names_cannot_break_out_of_a_table():
    text = render([make_result("<script>|x")], "markdown")
    assert "<script>" not in text
    assert "&lt;script&gt;\\|x" in text


def test_frame_is_tidy_and_in_fractions(tmp_path, results, failed_result):
    store = ResultStore(tmp_path)
    for result in [*results, failed_result]:
        store.write(result)
    frame = results_frame(tmp_path)
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 6
    row = frame[(frame.model == "a") & (frame.dataset == "food101")].iloc[0]
    assert (row.value, row.metric, row.primary, row.num_scored) == (0.90, "acc1", True, 200)
    failed = frame[frame.status == "error"].iloc[0]
    assert pandas.isna(failed.value)
    assert failed.error == "split 'test' is empty"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_disarms_texts_and_leaves_numbers(start):
    results = [make_result(f"{start}1+1", metrics=[metric("loss", -0.5, (-0.75, 1e-7), unit="nats")])]
    (row,) = csv.DictReader(io.StringIO(render(results, "csv"), newline=""))
    assert row["model"] == f"'{start}1+1".replace("\r", "\n")
    assert [row[name] for name in ("value", "ci_low", "ci_high", "num_scored")] == ["-0.5", "-0.75", "1e-07", "200"]


def test_csv_and_json_hold_the_same_and_no_formula():
    results = [make_result("=cmd|' /C calc'!A0")]
    rows = list(csv.DictReader(io.StringIO(render(results, "csv"))))
    assert rows[0]["model"] == "'=cmd|' /C calc'!A0"
    assert float(rows[0]["value"]) == 0.4525
    tidy = json.loads(render(results, "json"))
    assert [row["value"] for row in tidy] == [0.4525, None]
    assert tidy[0]["ci_low"] == 0.40


def test_json_is_laid_out_as_json_would_lay_it_out():
    of_data = make_result().dataset
    settings = {"layer": "projected", "ks": [5, 20], "empty": {}, "none": [], "deep": {"a": [{"é": None}, 1e-7]}}
    cost = {"images_per_s": float("nan"), "num_params": 3}
    failed = {"status": "error", "error": 'a "settings": null\n\udcff\u2028'}
    task = make_result().task.model_copy(update={"settings": settings})
    results = [
        make_result('a "settings": null', efficiency=cost).model_copy(update={"task": task}),
        make_result("é", metrics=[metric("acc1", 1e22, (-0.0, 1e-9), unit="x")], dataset=of_data),
        make_result(**failed).model_copy(update={"metrics": ()}),
    ]
    rows = [plain(row) for row in tidy_rows(results)]
    assert render(results, "json") == json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    assert render([], "json") == "[]\n"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_long_text_is_made_while_it_is_written(tmp_path, form):
    table = TableInput([make_result("a"), make_result("b")] * 500)
    write_text(tmp_path / "table", pieces(form, table))  # what is kept from call to call
    tracemalloc.start()
    write_text(tmp_path / "table", pieces(form, table))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "table").read_text() == render(table.results, form)
    assert peak < (tmp_path / "table").stat().st_size / 2


def test_the_command(tmp_path, capsys):
    ResultStore(tmp_path / "runs").write(make_result())
    assert main(["table", str(tmp_path / "runs")]) == 0
    assert "45.25" in capsys.readouterr().out
    assert main(["table", str(tmp_path / "runs"), "--format", "csv", "--output", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").read_text().startswith("model,spec,task")
    assert main(["table", str(tmp_path / "empty")]) == 2
    assert "no records at" in capsys.readouterr().err
    assert main(["table", str(tmp_path / "runs"), "--format", "csv", "--baseline", "tiny"]) == 2
    with pytest.raises(SystemExit) as caught:
        main(["table", str(tmp_path), "--format", "markdwon"])
    assert caught.value.code == 2
    assert "did you mean 'markdown'" in capsys.readouterr().err
