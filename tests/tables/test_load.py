"""Tables of many records: the work grows as their number, and a page of many numbers stays small."""

import json
import re
import sys

import pytest
from conftest import make_result, metric

from mlcd_eval.records import DatasetRecord
from mlcd_eval.tables import identity
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.report import differences, html


def records(models, tasks, failed=10):
    """Every task on every model, one in `failed` failed, each task's data of another size than its task says."""
    made = []
    for model in range(models):
        for task in range(tasks):
            data = DatasetRecord(
                name=f"d{task}", kind="classification", split="test", fingerprint=f"{task:064}", num_samples=200,
                expected_num_samples=201,
            )  # fmt: skip
            value = (7 * model + 13 * task) % 89 / 89
            changes = {"status": "error", "error": f"why {model} {task}"} if (model + task) % failed == 0 else {}
            made.append(
                make_result(
                    f"model{model}", f"zeroshot/d{task}", [metric("acc1", value, (0.0, 1.0))], dataset=data, **changes
                )
            )
    return [each.model_copy(update={"metrics": ()}) if each.status == "error" else each for each in made]


def calls(work):
    """How many Python functions `work` calls."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "latex", "html"])
@pytest.mark.parametrize("shape", [(8, 3), (3, 8)], ids=["models", "tasks"])
def test_twice_the_records_are_at_most_twice_the_work(form, shape):
    few, many = (records(*sizes) for sizes in (shape, tuple(4 * size if size == 8 else size for size in shape)))
    render(many, form)  # what is kept from call to call
    assert calls(lambda: render(many, form)) < 4.4 * calls(lambda: render(few, form))


def test_facts_are_worked_out_once_per_task_and_compared_once_per_record_and_table(monkeypatch):
    results = records(20, 10)
    identity._facts.cache_clear()
    identity._identity.cache_clear()
    stated, counted = identity._stated, []
    monkeypatch.setattr(identity, "_stated", lambda result: counted.append(result) or stated(result))
    render(results, "markdown")
    assert identity._facts.cache_info().misses == 10
    assert len(counted) <= len(results) + 2 * 10


@pytest.fixture
def page(monkeypatch):
    """A folded page of 10 models and 30 tasks: its text, and its data."""
    monkeypatch.setattr(html, "MOST_CELLS", 299)
    results = records(10, 30)
    text = render(results, "html", baseline="model0")
    data = re.search(r'<script type="application/json" id="folds">(.*?)</script>', text)
    return results, text, json.loads(data[1])


def test_every_number_of_a_folded_page_is_in_its_data(page):
    results, _, (board,) = page
    rows = {row[0]: place for place, row in enumerate(board["rows"])}
    columns = {column[4]: place for place, column in enumerate(board["columns"]) if column[4]}
    assert len(columns) == 30
    for result in results:
        column, row = columns[result.task.name], rows[result.model.name]
        text = board["cells"][column][row]
        if result.status == "error":
            assert text == "failed" and board["failed"][f"{column},{row}"] == result.error
        else:
            assert text == f"{100 * result.metrics[0].value:.2f}|[0.0, 100.0]"


def test_what_numbers_of_a_folded_page_share_is_held_once_and_reached_from_each(page):
    results, text, (board,) = page
    groups = json.loads(re.search(r'id="provenance">(.*?)</script>', text)[1])["groups"]
    names = [name for name, _ in groups]
    assert names.count("model") == 10 and names.count("data") == 30 and names.count("environment") == 1
    assert "timing" not in names
    for column, name in enumerate(header[4] for header in board["columns"]):
        for row, (model, *_) in enumerate(board["rows"]):
            shared = board["shared"]
            places = {*shared["rows"][row], *shared["columns"][column], *shared["others"].get(f"{column},{row}", ())}
            known = {groups[place][0]: dict(groups[place][1]) for place in places}
            if name:
                assert len(places) == len(known) == 5
                assert (known["model"]["name"], known["task"]["name"]) == (model, name)
    assert not [each for each in results if each.details]


def test_a_chart_of_a_folded_page_has_the_largest_and_smallest_differences(page):
    text = page[1].partition('<section aria-labelledby="differences">')[2]
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text)
    charts = [[each["x"] for each in json.loads(spec)["series"]] for spec in specs]
    assert len(charts) == 9
    assert max(sum(map(len, chart)) for chart in charts) == differences.MOST
    assert '<section aria-labelledby="overview">' not in text


def test_a_folded_page_takes_forty_bytes_per_number_and_a_small_one_is_not_folded(monkeypatch):
    results = records(10, 60)
    whole = render(results, "html")
    monkeypatch.setattr(html, "MOST_CELLS", 599)
    monkeypatch.setattr("mlcd_eval.tables.report.matrix.MOST", 599)
    page = render(results, "html")
    assert 'id="folds"' in page and 'id="folds"' not in whole
    assert len(page) < 30_000 + 40 * 600 + 1_000 * (10 + 60) < len(whole)
