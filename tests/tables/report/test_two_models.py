"""Two models on a page: the numbers of `mlcd-eval compare`, and which pairs a page or a site has."""

import json
import re

import numpy as np
import pytest
from conftest import make_result, metric
from scipy import stats

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore, read_files
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import sides
from mlcd_eval.tables.report import two_models as module
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.two_models import comparison_page, pairs, two_models
from mlcd_eval.tables.serving.pages import pages

N = 60
RIGHT = {"a": (50, 20), "b": (30, 18), "c/<i>": (45, 19)}


@pytest.fixture
def records(tmp_path):
    for folder, (model, numbers) in enumerate(RIGHT.items()):
        for task, right in zip(("x", "y"), numbers, strict=True):
            store = ResultStore(tmp_path)
            store.path = lambda of, folder=folder: tmp_path / str(folder) / f"{of.task.name.replace('/', '__')}.json"
            result = make_result(model, f"zeroshot/{task}", [metric("acc1", right / N)])
            store.write(result, {"key": list(range(N)), "rank": np.where(np.arange(N) < right, 1, 2).tolist()})
    read = read_files([tmp_path])
    return [result for _, result in read], [file for file, _ in read]


def test_the_forest_and_the_table_have_the_numbers_of_the_paired_test(records):
    known = sides(*records)
    comparison = compare(known["a"], known["b"])
    view = two_models(comparison)
    (chart,) = view["charts"]
    points = {point.y: (series.name, point) for series in chart.series for point in series.points}
    # only A is right on 20 samples of x, on two of y: McNemar's exact p of 20 to none, and of two to none
    assert points["zeroshot/x"][0] == "A is better" and points["zeroshot/x"][1].x == pytest.approx(-20 / N)
    assert points["zeroshot/y"][0] == "not told apart" and points["zeroshot/y"][1].x == pytest.approx(-2 / N)
    assert (chart.x.unit, chart.y.ticks) == ("difference", ["zeroshot/x", "zeroshot/y"])
    low, high = points["zeroshot/x"][1].ci95
    assert low < -20 / N < high < 0
    x = dict(zip(view["header"], view["rows"][0], strict=True))
    p = stats.binomtest(0, 20).pvalue
    assert (x["outcome of B"], x["B - A"], x["adjusted p"]) == (
        "loss",
        "-33.33",
        "below 1e-06" if 2 * p < 1e-6 else f"{2 * p:.2g}",
    )
    assert "detectable" in dict(zip(view["header"], view["rows"][1], strict=True))["outcome of B"]
    assert "wins 0, ties 1, losses 1" in view["summary"]


def test_a_report_has_the_pairs_of_the_best_models_within_its_budget(records, monkeypatch):
    page = report(*records[:1], files=records[1])
    spec = json.loads(re.search(r'class="picker.*?application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert spec == {"models": ["a", "c/<i>", "b"], "pairs": {"0,1": "#pair-1", "0,2": "#pair-2", "1,2": "#pair-3"}}
    assert all(f'id="pair-{n}"' in page for n in (1, 2, 3)) and "<i>" not in page.partition("<script")[0]
    monkeypatch.setattr(module, "MOST_TESTS", 3)
    page = report(*records[:1], files=records[1])
    assert 'id="pair-1"' in page and 'id="pair-2"' not in page
    assert 'class="picker' not in report(records[0])  # no files, so no outcomes
    assert list(pairs(sides(*records), ["b", "a", "c/<i>"], 4)) == [("b", "a"), ("b", "c/<i>")]


def test_compare_writes_the_page(records, tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["compare", str(tmp_path / "0"), str(tmp_path / "1"), "--html", str(target)]) == 0
    assert target.read_text() == comparison_page(compare(*(sides(*records)[name] for name in "ab")))
    assert main(["compare", str(tmp_path / "0"), str(tmp_path / "1"), "--html", str(target), "--json"]) == 2
    assert "got --json and --html, expected one of them" in capsys.readouterr().err


def test_a_site_has_a_page_for_every_pair_at_an_address_of_names_alone(records):
    results, files = records
    site = pages(results, "T", files=files)
    compare_pages = [address for address in site if address.startswith("compare/")]
    assert sorted(compare_pages) == ["compare/a/b.html", "compare/a/c__<i>.html", "compare/b/c__<i>.html"]
    assert site["compare/a/b.html"].make().count("-33.33") > 0
    index = site["index.html"].make()
    assert '"0,1": "compare/a/b.html"' in index and 'href="../compare/a/b.html"' in site["models/a.html"].make()
    few = pages(results, "T", files=files, most_tests=2)
    assert [address for address in few if address.startswith("compare/")] == ["compare/a/c__<i>.html"]  # the best two
    assert not [address for address in pages(results, "T") if address.startswith("compare/")]


def test_a_pair_that_cannot_be_compared_says_why(tmp_path):
    for model in "ab":
        ResultStore(tmp_path).write(make_result(model, "zeroshot/x"))
    read = read_files([tmp_path])
    site = pages([result for _, result in read], "T", files=[file for file, _ in read])
    text = site["compare/a/b.html"].make()
    assert "has no outcomes of samples" in text and str(tmp_path) not in text
