"""The HTML report without a browser: what stands in it, by hand-made records."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from conftest import make_result, metric
from html_pages import HOSTILE, Page

from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError
from mlcd_eval.records import ResultStore, read_files
from mlcd_eval.tables.report import html
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.trainings import Training


@pytest.fixture
def results():
    return [
        make_result("a", "linear_probe/food101", [metric("acc1", 0.90, (0.89, 0.91))]),
        make_result("a", "linear_probe/pets", [metric("mean_per_class_recall", 0.80)]),
        make_result("b", "linear_probe/food101", [metric("acc1", 0.95)]),
        make_result("b", "linear_probe/pets", [metric("mean_per_class_recall", 0.70)]),
        make_result("c", "linear_probe/food101", [metric("acc1", 0.96)]),
    ]


def test_a_board_is_ranked_ordered_and_averaged(results):
    page = Page(report(results))
    ((head, *rows),) = page.tables[1:]  # behind the matrix
    assert [cell[0] for cell in head] == [
        "model",
        "food101 acc1 n = 200",
        "pets mean_per_class_recall n = 200",
    ]
    assert [cell[1].get("aria-sort") for cell in head] == [None, "descending", None]
    assert [[cell[0] for cell in row] for row in rows] == [
        ["c", "96.00 , best", "-"],
        ["b", "95.00 , second", "70.00 , second"],
        ["a", "90.00 [89.0, 91.0]", "80.00 , best"],
    ]
    assert "strong" in rows[0][1][1] and "u" in rows[1][1][1]
    assert [row[2][1]["data-value"] for row in rows] == ["", "0.7", "0.8"]


def test_a_board_of_which_every_model_has_every_value_has_an_average():
    results = [
        make_result(model, f"linear_probe/{task}", [metric("acc1", value)])
        for model, values in (("a", (0.9, 0.8)), ("b", (0.95, 0.7)))
        for task, value in zip(("food101", "cifar10"), values, strict=True)
    ]
    page = Page(report(results))
    ((head, *rows),) = page.tables[1:]  # behind the matrix
    assert head[1][0] == "average of 2, acc1" and head[1][1].get("aria-sort") == "descending"
    assert [[cell[0] for cell in row[:2]] for row in rows] == [["a", "85.00 , best"], ["b", "82.50 , second"]]
    title, lines = page.opened(rows[0][1][1]["entry"])
    parts = {"linear_probe/food101 acc1": "90.00", "linear_probe/cifar10 acc1": "80.00"}
    assert title == "a: average" and lines["mean of, in per cent"] == parts


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize(("most", "is_short"), [(2, True), (3, False)])
def test_long_boards_show_some_rows_until_all_are_asked_for(results, monkeypatch, folds, most, is_short):
    monkeypatch.setattr("mlcd_eval.tables.report.html.MANY", most)
    monkeypatch.setattr("mlcd_eval.tables.report.html.MOST_CELLS", 0 if folds else 100)
    page = Page(report(results))
    _, table = [attributes for tag, attributes in page.tags if tag == "table"]  # behind the matrix
    assert (table.get("class") == "short") == is_short
    assert any("data-all" in attributes for _, attributes in page.tags) == is_short
    assert any("data-board" in attributes for _, attributes in page.tags) == folds


def test_every_number_opens_its_whole_record(results):
    record = results[0].model_copy(update={"details": {"lambda": 1.5, "search": [{"score": None}]}, "limit": 7})
    page = Page(report([record]))
    ((_, (_, cell)),) = page.tables
    title, lines = page.opened(cell[1]["entry"])
    assert title == "a: linear_probe/food101 [limit 7] acc1"
    assert lines[""]["value"] == "0.9"
    assert lines[""]["95% bootstrap interval"] == "0.89 to 0.91"
    assert lines[""]["samples scored"] == "200"
    assert lines["task"] == {
        "name": "linear_probe/food101",
        "version": "1",
        "protocol": "linear_probe",
        "protocol_version": "none",
        "seed": "0",
        "limit": "7",
    }
    assert lines["settings"] == {"layer": "penultimate"}
    assert lines["data"]["fingerprint"] == "d" * 64
    assert lines["model"]["fingerprint"] == "m" * 64
    assert lines["model"]["spec"] == "open_clip:local-dir:a"
    assert lines["model"]["preprocessing"] == "resize"
    assert lines["environment"] == {"python": "3.11"}
    assert lines["timing"]["started"] == "2026-01-01T00:00:00+00:00"
    assert lines["details"] == {"lambda": "1.5", "search": '[{"score": null}]'}


def test_published_numbers_open_their_table(results):
    page = Page(report(results, published=["MLCD"]))
    row = next(row for row in page.tables[1] if row[0][0] == "MLCD ViT-L/14, LAION-400M published")
    assert row[0][1]["em"]
    assert row[1][0] == "94.3"
    assert "entry" not in row[1][1]
    title, lines = page.opened(row[0][1]["entry"])  # the name opens all of the row's numbers
    assert title == "MLCD ViT-L/14, LAION-400M, published"
    assert lines[""] == {
        "linear_probe/food101 acc1": "94.3 percent",
        "linear_probe/pets mean_per_class_recall": "95.3 percent",
    }
    assert lines["published in"]["table"] == "Table 1"
    assert lines["published in"]["paper"].startswith("Multi-label Cluster Discrimination")
    assert {"setting", "paper_url", "printed_in", "source"} <= lines["published in"].keys()
    assert "No published number of MLCD is of these" in report([make_result()], published=["MLCD"])


def test_the_head_counts_published_rows_too(results):
    assert "<p>3 models, 2 tasks</p>" in report(results)
    assert "<p>8 models, 8 tasks</p>" in report([], groups=["refcoco"])


def test_a_failed_task_says_why(failed_result):
    page = Page(report([failed_result, make_result("other")]))
    row = page.tables[0][2]
    assert [cell[0] for cell in row] == ["tiny", "failed"]
    _, lines = page.opened(row[1][1]["entry"])
    assert lines[""]["failed"] == "split 'test' is empty"


def test_data_of_another_size_is_noted():
    dataset = make_result().dataset.model_copy(update={"expected_num_samples": 25_250})
    assert "(and the protocol&#39;s): zeroshot/demo 200 (25,250)." in report([make_result(dataset=dataset)])


def test_names_stay_text(tmp_path):
    task = f"zeroshot/{HOSTILE}"
    results = [make_result(HOSTILE, task), make_result('"><img src=x onerror=alert(1)>', task)]
    results += [make_result(model.model.name, f"knn/{n}") for model in results for n in "xy"]
    log = Training(HOSTILE, [1, 2], {"loss": [1.0, 2.0]})
    text = report(results, baseline=HOSTILE, trainings=[log])
    page = Page(text)
    assert {name: len(texts) for name, texts in page.scripts.items()} == {"provenance": 1, "code": 2}
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "<script>alert" not in text
    assert "\\u003cscript\\u003ealert(1)" in text
    assert HOSTILE in [row[0][0] for row in page.tables[0][2:]]
    names = [series["name"] for chart in page.charts for series in json.loads(chart)["series"]]
    assert HOSTILE in names


def test_nothing_loads_and_only_its_own_script_runs(results):
    text = report(results, baseline="a")
    page = Page(text)
    library = page.scripts["code"][1]
    assert not re.findall(r"(?:src=|@import|url\(|href=\"(?!#))", text.replace(library, ""))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    own, charts = (base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in page.scripts["code"])
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{own}' 'sha256-{charts}';" in policy
    assert "unsafe" not in policy


def test_tables_are_named_and_scoped(results):
    page = Page(report(results))
    assert sum(tag == "caption" for tag, _ in page.tags) == len(page.tables)
    assert all(attributes["scope"] in ("col", "colgroup", "row") for tag, attributes in page.tags if tag == "th")


def test_differences_are_from_the_baseline_and_open_both_values(results):
    page = Page(report(results, baseline="a"))
    of_b, of_c = map(json.loads, page.charts)  # as many models as tasks: a chart of each model
    assert of_b["x"]["span"] == of_c["x"]["span"] == pytest.approx([-0.1, 0.06])
    places = [(series["name"], series["y"], series["x"]) for series in of_b["series"]]
    assert places == [
        ("better", ["food101 acc1"], pytest.approx([0.05])),
        ("worse", ["pets mean_per_class_recall"], pytest.approx([-0.1])),
    ]
    head, *rows = page.tables[-2]
    assert [cell[0] for cell in head] == ["series", "task", "difference, points"]
    assert [[cell[0] for cell in row] for row in rows] == [
        ["better", "food101 acc1", "+5.00"],
        ["worse", "pets mean_per_class_recall", "-10.00"],
    ]
    title, lines = page.opened(rows[0][0][1]["entry"])
    assert title == "b minus a: linear_probe/food101 acc1"
    assert lines[""] == {"b": "0.95", "a": "0.9"}
    _, _, shared = page.provenance["entries"][rows[0][0][1]["entry"]]
    groups = page.provenance["groups"]
    assert [dict(groups[place][1])["name"] for place in shared if groups[place][0] == "model"] == ["b", "a"]
    assert "Differences" not in report(results)
    with pytest.raises(ConfigError, match=r"--baseline: got 'bb', expected one of a, b, c"):
        report(results, baseline="bb")


def test_of_many_models_each_task_has_a_chart_of_differences():
    values = zip("abcd", (0.5, 0.7, 0.25, 0.5), strict=True)
    results = [make_result(model, "knn/x", [metric("ece", value, higher_is_better=False)]) for model, value in values]
    page = Page(report(results, baseline="a"))
    [chart] = map(json.loads, page.charts)
    assert [(series["name"], series["y"], series["x"]) for series in chart["series"]] == [
        ("better", ["c"], [-0.25]),
        ("equal", ["d"], [0.0]),
        ("worse", ["b"], pytest.approx([0.2])),
    ]
    assert chart["y"]["ticks"] == ["b", "d", "c"]  # the largest first


def test_differences_have_the_intervals_of_paired_tests(tmp_path):
    """Of 200 samples b has 20 more right than a, none fewer: the error is sqrt(20 - 20 ** 2 / 200) / 200 = 0.0212."""
    for model, right in {"a": 100, "b": 120, "c": 110}.items():
        rank = [1 if place < right else 2 for place in range(200)]
        record = make_result(model, "zeroshot/x", [metric("acc1", right / 200)])
        ResultStore(tmp_path).write(record, {"key": list(range(200)), "rank": rank} if model != "c" else None)
    files, results = zip(*read_files([tmp_path]), strict=True)
    [chart] = map(json.loads, Page(report(results, baseline="a", files=files)).charts)
    [better] = chart["series"]
    assert (better["y"], better["x"]) == (["b", "c"], pytest.approx([0.1, 0.05]))
    assert (better["low"][0], better["high"][0]) == pytest.approx((0.1 - 0.0416, 0.1 + 0.0416), abs=0.01)
    assert better["low"][1] is None  # of c nothing is known but its value


def test_the_chart_of_all_tasks_needs_three_that_all_models_have():
    results = [make_result(model, f"knn/{task}", [metric("acc1", 0.5, (0.4, 0.6))]) for model in "ab" for task in "xyz"]
    [chart] = map(json.loads, Page(report(results)).charts)
    assert [series["name"] for series in chart["series"]] == ["a", "b"]
    assert chart["series"][0] == {
        "name": "a", "line": False, "dots": True, "labelled": False,
        "x": [0.5] * 3, "y": ["knn/x", "knn/y", "knn/z"], "low": [0.4] * 3, "high": [0.6] * 3,
    }  # fmt: skip
    assert Page(report(results[:5])).charts == []
    assert len(Page(report([])).scripts["code"]) == 1  # without a chart there is no library


def test_the_command_writes_a_page(tmp_path, capsys):
    ResultStore(tmp_path / "runs").write(make_result())
    (tmp_path / "run" / "fit").mkdir(parents=True)
    (tmp_path / "run" / "fit" / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    page, words = tmp_path / "report.html", ["table", str(tmp_path / "runs"), "--training", str(tmp_path / "run")]
    assert main([*words, "--format", "html", "--baseline", "tiny", "--output", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    assert "45.25" in text and "run/fit: loss" in text
    assert main(words) == 2
    assert "--training goes with --format html: got --format markdown" in capsys.readouterr().err


def test_what_scrolls_can_be_reached_by_key_and_has_a_name():
    templates = Path(html.__file__).parent.glob("*.jinja")
    regions = [line for path in templates for line in path.read_text().splitlines() if '<div class="scroll' in line]
    assert len(regions) > 8
    named = re.compile('role="(region|group)" tabindex="0" aria-label="[^"]+"')
    assert [region for region in regions if not named.search(region)] == []
