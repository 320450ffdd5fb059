"""The matrix that opens a report."""

import json
import re
from html import unescape

import numpy as np
import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore, read_files
from mlcd_eval.tables.report import matrix as module
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.matrix import matrix

HOSTILE = '<b title="x">مرحبا 🙂' + "x" * 300
NUMBERS = {"a": (150, 60), HOSTILE: (148, 90), "c": (60, 80)}


@pytest.fixture
def records(tmp_path):
    for model, numbers in NUMBERS.items():
        for task, number in zip(("x", "y"), numbers, strict=True):
            rank = np.where(np.arange(200) < number, 1, 2).tolist()
            value = number / 200
            result = make_result(model, f"zeroshot/{task}", [metric("acc1", value, (value - 0.05, value + 0.05))])
            folder = "hostile" if model == HOSTILE else model
            store = ResultStore(tmp_path)
            store.path = lambda of, folder=folder: tmp_path / folder / f"{of.task.name.replace('/', '__')}.json"
            store.write(result, {"key": list(range(200)), "rank": rank})
    pairs = read_files([tmp_path])
    return [result for _, result in pairs], [file for file, _ in pairs]


def shown(results, files=()):
    """The only view of a matrix."""
    (view,) = matrix(results, files)["views"]
    return view


def columns(view):
    return [column for group in view["groups"] for column in group["columns"]]


def cells(row):
    return [cell for group in row["groups"] for cell in group["cells"]]


def test_cells_have_value_interval_mark_and_shade(records):
    view = shown(*records)
    assert [(column["name"], column["metric"]) for column in columns(view)] == [("x", "acc@1"), ("y", "acc@1")]
    x = {row["name"]: cells(row)[0] for row in view["rows"]}
    assert {model: (cell["text"], cell["ends"], cell["mark"], cell["shade"]) for model, cell in x.items()} == {
        "a": ("75.0", "[70.0, 80.0]", "best", 8),
        HOSTILE: ("74.0", "[69.0, 79.0]", "tied", round(8 * 88 / 90)),
        "c": ("30.0", "[25.0, 35.0]", "", 0),
    }
    assert x["a"]["hint"] == "[70.0, 80.0]; n = 200; best"
    assert x[HOSTILE]["hint"].endswith("n = 200; not distinguishable from the best")
    assert [row["name"] for row in view["rows"]][:1] == [HOSTILE]  # ranks 1.5, 2, 2.5
    assert {row["name"]: row["overall"][0]["text"] for row in view["rows"]} == {"a": "2.0", HOSTILE: "1.5", "c": "2.5"}
    assert len(view["notes"]) == 1 and view["notes"][0].startswith("rank: the mean over the 2 of 2 tasks that 3 of 3")


def test_records_without_files_have_no_marks_and_it_is_said(records):
    view = shown(records[0])
    assert not any(cell["mark"] == "tied" for row in view["rows"] for cell in cells(row))
    assert view["notes"][0].startswith("Not tested against the best of their task: 4 of 4 numbers, most since ")
    assert "its record has no outcomes of samples" in view["notes"][0]


def test_one_model_of_a_task_is_best_of_nothing():
    results = [make_result("a", "zeroshot/x"), make_result("b", "zeroshot/y"), make_result("b", "zeroshot/z")]
    view = shown(results)
    assert [[cell and cell["mark"] for cell in cells(row)] for row in view["rows"]] == [
        ["", None, None],
        [None, "", ""],
    ]
    assert all(cell["shade"] is None for row in view["rows"] for cell in cells(row) if cell)
    assert view["ranked"] is False and "There is no rank over all tasks" in view["notes"][0]
    assert 'id="matrix"' in report(results) and matrix(results[:1]) is None and matrix([]) is None
    assert 'id="matrix"' not in report([])


def test_lower_is_better_is_shaded_the_other_way_round():
    few, many = (metric("character_error_rate", value, higher_is_better=False) for value in (0.1, 0.4))
    view = shown([make_result("a", "docvqa/x", [many]), make_result("b", "docvqa/x", [few])])
    ((a, b),) = ([cells(row)[0] for row in view["rows"]],)
    assert (a["shade"], a["mark"], b["shade"], b["mark"]) == (0, "", 8, "best")
    assert columns(view)[0]["first"] == "ascending"


def test_too_many_cells_make_no_matrix(records, monkeypatch):
    monkeypatch.setattr(module, "MOST", 5)
    assert matrix(*records) is None and 'id="matrix"' not in report(records[0])


def test_a_cell_takes_little_room(monkeypatch):
    results = [make_result(f"m{n}", f"zeroshot/t{task}") for n in range(10) for task in range(40)]
    whole = len(report(results))
    monkeypatch.setattr("mlcd_eval.tables.report.html.matrix", lambda *_: None)
    assert whole - len(report(results)) < 5_000 + 130 * 400 + 300 * (10 + 40)


def test_the_page_holds_it_and_escapes_names(records, tmp_path):
    assert main(["table", str(tmp_path), "--format", "html", "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    section = page.partition('<section aria-labelledby="matrix"')[2].partition("</section>")[0]
    assert section.index("<h2") < section.index("<table") and '<b title="x">' not in section
    assert HOSTILE in unescape(section)
    assert re.findall(r'<span class="tied">([\d.]+)</span><span class="hidden">, not distinguishable', section) == [
        "74.0"
    ]
    assert section.count("<strong>") == 3  # one in its explanation
    assert 'data-ends aria-pressed="false"' in section
    assert "style=" not in section  # which the page's security policy would not apply


SEEDS = {"a_seed0": 0.70, "a_seed1": 0.74, "a_seed2": 0.78, "b": 0.5}


def seeds_and_more():
    results = [make_result(model, "zeroshot/x", [metric("acc1", value)]) for model, value in SEEDS.items()]
    results += [make_result(model, "zeroshot/y", [metric("acc1", 0.9)]) for model in ("a_seed0", "a_seed1", "b")]
    return [*results, make_result("b", "knn/z", [metric("knn_acc1", 0.4)])]


def test_seeds_are_a_view_of_their_own_with_mean_deviation_and_number():
    seeds, each = matrix(seeds_and_more())["views"]
    assert (seeds["key"], each["key"]) == ("seeds", "each") and len(each["rows"]) == 4
    (a,) = (row for row in seeds["rows"] if row["name"] == "a")
    x, y, z = cells(a)
    # the mean of 70, 74 and 78 is 74; (16 + 0 + 16) / 2 is 16, whose root is 4
    assert (x["text"], x["spread"], x["runs"]) == ("74.0", "± 4.0", 3)
    assert x["hint"].startswith("3 seeds; [64.1, 83.9]")
    assert (y["spread"], y["runs"], z) == ("± 0.0", 2, None) and a["runs"] == 3
    assert "with the uncertainty of each mean over seeds" in seeds["notes"][-1]
    assert "over tasks and their samples" in each["notes"][-1]
    (b,) = (row for row in seeds["rows"] if row["name"] == "b")
    assert (cells(b)[0]["spread"], b["runs"]) == ("", 1)
    page = report(seeds_and_more())
    assert 'id="rows-seeds" checked' in page and "<strong>74.0</strong> ± 4.0" in page and " ± 0.0 (n = 2)" in page
    assert "74.0 ±" not in report(seeds_and_more(), apart="@.") and 'name="rows"' not in report(
        seeds_and_more(), apart="@."
    )


def test_rows_say_what_they_are_filtered_by():
    about = make_result().model
    specs = {"a": ("open_clip:x", 10), "b": ("results/run/b", None), "c": ("hf:x", 30), "d": ("strange:x", 5)}
    results = [
        make_result().model_copy(
            update={"model": about.model_copy(update={"name": name, "spec": spec, "num_params": size})}
        )
        for name, (spec, size) in specs.items()
    ]
    of = matrix(results)
    assert {row["name"]: (row["kind"], row["params"]) for row in of["views"][0]["rows"]} == {
        "a": ("open_clip", 10), "b": ("checkpoint", None), "c": ("hf", 30), "d": ("unknown", 5)
    }  # fmt: skip
    assert of["kinds"] == ["checkpoint", "hf", "open_clip", "unknown"]
    assert 'data-kind="checkpoint" data-params=""' in report(results)


def test_a_folded_group_shows_its_mean_above_chance():
    results = [
        make_result(model, f"zeroshot/{task}", [metric("acc1", value)])
        for model, values in {"a": (0.5, 0.75), "b": (1.0, None)}.items()
        for task, value in zip("xy", values, strict=True)
        if value is not None
    ]
    rows = {row["name"]: row["groups"][0]["mean"] for row in shown(results)["rows"]}
    # of four classes chance is 25%: (50 - 25) / 75 is 1/3 and (75 - 25) / 75 is 2/3
    assert rows["a"]["value"] == pytest.approx(0.5) and (rows["b"]["value"], rows["b"]["text"]) == (None, "-")


def test_tasks_of_a_protocol_stand_side_by_side():
    results = [make_result(m, task) for m in "ab" for task in ("zeroshot/x", "linear_probe/x", "zeroshot/y")]
    assert [column["protocol"] for column in columns(shown(results))] == ["zeroshot", "zeroshot", "linear_probe"]


STRANGE = ["x" * 300, "مدل عربی", "🙂👩‍🔬 模型", '"><script>alert(1)</script>', "a_seed1", "a_seed2", "‮reversed"]


def test_strange_names_without_samples_stay_text_and_are_all_there():
    results = [make_result(name, f"zeroshot/{name[:40]}", [metric("acc1", 0.5)]) for name in STRANGE]
    results += [make_result(name, "zeroshot/shared", [metric("acc1", place / 9)]) for place, name in enumerate(STRANGE)]
    page = report(results, baseline=STRANGE[0])
    section = unescape(page.partition('<section aria-labelledby="matrix"')[2].partition("</section>")[0])
    assert all(f"<bdi>{name}</bdi>" in section for name in STRANGE)
    assert "<script>alert(1)" not in page
    assert "Not tested against the best of their task: 6 of 6 numbers" in section


@pytest.mark.parametrize("number", [0, 1])
def test_no_record_and_one_make_a_page(number):
    page = report([make_result()] * number)
    assert "</html>" in page and 'id="matrix"' not in page and ('id="tasks"' in page) == bool(number)
    assert ("There are no records yet." in page) == (number == 0)


def test_published_models_wait_until_they_are_asked_for():
    values = {"linear_probe/food101": "acc1", "linear_probe/dtd": "acc1", "linear_probe/none_of_this_name": "acc1"}
    results = [make_result(model, task, [metric(name, 0.5)]) for model in "ab" for task, name in values.items()]
    page = report(results, published=["MLCD"])
    of = json.loads(re.search(r'id="published">(.*?)</script>', page)[1])
    # arXiv 2407.17331, Table 1, the row of MLCD ViT-L/14 on LAION-400M
    assert dict(of["rows"])["MLCD ViT-L/14, LAION-400M"] == ["94.3", "84.6", ""] and of["scales"] == [100] * 3
    assert "Show " in page and 'id="published"' not in report(results)
    measured_otherwise = [make_result(model, "linear_probe/food101", [metric("acc5", 0.5)]) for model in "ab"]
    assert 'id="published"' not in report(measured_otherwise, published=["MLCD"])


def test_group_is_said_to_be_wrong_before_records_are_read(capsys):
    assert main(["table", "nowhere", "--format", "html", "--group", "seed["]) == 2
    assert "--group: got 'seed[', which is no regular expression" in capsys.readouterr().err
    assert main(["table", "nowhere", "--format", "markdown", "--group", "_s"]) == 2
    assert "--group goes with --format html: got --format markdown" in capsys.readouterr().err
