"""benchmarks/study*.py: labels of three qualities, tests by hand and by SciPy, measures of features that are known."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
data, design, measures, tests, report, panels = map(
    importlib.import_module,
    ("study_data", "study_design", "study_measures", "study_tests", "study_report", "study_panels"),
)
PRIMARY = report.PRIMARY
VOCABULARY = [f"class {n}" for n in range(9)]


def record(cell, value):
    """What study_cell writes, with one measure that matters."""
    at = dict.fromkeys(report.MEASURES, value)
    pairs = {"pairs": [30] * measures.BINS, "true": [15] * measures.BINS}
    at |= {"cosines_train": {"own": 0.5, "other": 0.0, "wrong": None, "missed": None}}
    at |= {"calibration": {"given": pairs, "not_given": pairs}}
    curve = [{"step": n, "loss": 1.0, "positive": 5.0 - n, "negative": 2.0} for n in range(3)]
    return {
        "cell": vars(cell),
        "lengths": [1, 2],
        "measures": {"1": at, "2": at},
        "curve": curve,
        "cost": {"cpu_seconds": 3.0},
    }


def test_labels_are_altered_as_their_quality_says():
    true = VOCABULARY[:3]
    for seed in range(20):
        wrong = data.altered(true, "wrong_added", VOCABULARY, np.random.default_rng(seed))
        assert wrong[:3] == true and len(set(wrong)) == 6 and set(wrong) <= set(VOCABULARY)
        kept = data.altered(true, "half_missing", VOCABULARY, np.random.default_rng(seed))
        assert kept and set(kept) <= set(true)
    assert data.altered(true, "exact", VOCABULARY, np.random.default_rng(0)) == true


def test_a_file_of_labels_has_one_of_the_given_ones_for_objectives_of_one(tmp_path):
    """The alteration is that of the seed, whatever the objective."""
    true = {f"k{n}": VOCABULARY[n % 5 : n % 5 + 2] for n in range(30)}
    for one in (False, True):
        data.write_labels(tmp_path / f"{one}.jsonl", true, "wrong_added", one, 7)
    several, single = (data.read_labels(tmp_path / f"{one}.jsonl") for one in (False, True))
    assert all(len(single[key]) == 1 and single[key][0] in several[key] and len(several[key]) == 4 for key in true)


def test_every_cell_is_trained_once_and_what_is_compared_is_among_them():
    every = design.cells(design.blocks() | design.added())
    assert len(every) == len(set(every)) == len({cell.name for cell in every})
    known = {cell for cell in every if cell.seed == design.SEEDS[0]}
    for comparisons in report.families().values():
        assert {side for _, a, b in comparisons for side in (a, b)} <= known


def test_measures():
    """mAP as scikit-learn has it; cosines by what is true and given, and their counts, by hand."""
    rng = np.random.default_rng(0)
    labels, scores = rng.random((40, 5)) < 0.3, rng.normal(size=(40, 5))
    expected = np.mean([average_precision_score(y, s) for y, s in zip(labels.T, scores.T, strict=True)])
    assert measures.mean_average_precision(scores, labels.astype(int)) == pytest.approx(expected)
    cosine = np.array([[0.9, 0.1, -0.95], [0.2, 0.8, 0.95]])
    true, given = np.array([[1, 0, 0], [1, 1, 0]]), np.array([[1, 0, 1], [0, 1, 0]])
    by_truth = measures.cosines_by_truth(cosine, true, given)
    assert by_truth == pytest.approx({"own": 1.9 / 3, "other": 0.1 / 3, "wrong": -0.95, "missed": 0.2})
    counts = measures.calibration(cosine, true, given)
    assert sum(counts["given"]["pairs"]) == 3 and sum(counts["given"]["true"]) == 2
    assert counts["given"]["pairs"][0] == 1 and counts["not_given"]["pairs"][-1] == 1
    assert counts["not_given"]["true"] == [0] * 12 + [1] + [0] * 7


def test_single_objects_are_found_where_features_show_them():
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4), 10)
    features = np.eye(4, dtype=np.float32)[labels]
    assert measures.in_clutter(features, labels, features, labels, 4) == {"knn": 1.0, "linear_probe": 1.0}
    noise = rng.normal(size=(40, 4)).astype(np.float32)
    assert measures.in_clutter(noise, labels, noise[::-1].copy(), labels, 4)["linear_probe"] < 0.6


def test_a_family_is_tested_over_seeds_with_a_pooled_deviation():
    """One comparison is SciPy's paired t test; two have the deviation of both."""
    a, b, c = (design.Cell(name) for name in ("mlcd", "mlc", "unicom"))
    values = {a: (0.5, 0.52, 0.55), b: (0.55, 0.6, 0.58), c: (0.5, 0.51, 0.56)}
    records = {}
    for cell, of_seeds in values.items():
        for seed, value in enumerate(of_seeds):
            own = design.Cell(cell.objective, seed=seed)
            records[own] = record(own, value)
    [alone] = tests.family(records, [("b - a", a, b)], PRIMARY)
    reference = stats.ttest_rel(values[b], values[a])
    assert (alone.p, alone.difference) == pytest.approx((reference.pvalue, 0.16 / 3), rel=1e-6)
    assert alone.ci95 == pytest.approx(tuple(reference.confidence_interval()), rel=1e-6)
    both = tests.family(records, [("b - a", a, b), ("c - a", a, c)], PRIMARY)
    of_b, of_c = (np.subtract(values[x], values[a]) for x in (b, c))
    error = np.sqrt((of_b.var(ddof=1) + of_c.var(ddof=1)) / 2 / 3)
    p = [2 * stats.t.sf(abs(each.mean()) / error, 4) for each in (of_b, of_c)]
    assert [test.p for test in both] == pytest.approx(p, rel=1e-6)
    assert both[0].adjusted == pytest.approx(2 * p[0], rel=1e-6)
    text = report.table_of_tests(both)
    assert "+5.33" in text and "b - a" in text


def test_images_are_exchanged_in_all_seeds_at_once(tmp_path):
    """A side that ranks every image right is told from one that ranks at random, and not from itself."""
    rng, labels = np.random.default_rng(1), np.random.default_rng(0).random((60, 4)) < 0.3
    pairs = [(design.Cell("mlc", seed=seed), design.Cell("mlcd", seed=seed)) for seed in range(2)]
    for worse, better in pairs:
        np.save(tmp_path / f"{worse.name}.npy", rng.normal(size=labels.shape).astype(np.float16))
        np.save(tmp_path / f"{better.name}.npy", (labels + 0.1 * rng.normal(size=labels.shape)).astype(np.float16))
    tests.DRAWS = 50
    assert tests.of_images(pairs, tmp_path, labels.astype(int)) == pytest.approx(1 / 51)
    assert tests.of_images([(worse, worse)], tmp_path, labels.astype(int)) == 1.0


def test_the_report_shows_what_there_is(tmp_path, monkeypatch):
    """Records of two objectives and seeds: tables between their marks, a page with the charts that they have."""
    records = {}
    for seed in (0, 1):
        for name in ("mlcd", "mlc"):
            cell = design.Cell(name, "exact", 8, seed=seed)
            records[cell] = record(cell, 0.5 + 0.1 * seed + 0.01 * (name == "mlcd") * (1 + seed))
    found = {"separation": tests.family(records, report.families()["separation"], PRIMARY)}
    assert [test.name for test in found["separation"]] == ["exact, scale 8"]
    drawn = {panel.anchor: panel.charts for panel in panels.panels(records, found)}
    phases = drawn["phases"][0]
    assert [series.name for series in phases.series] == ["mlcd", "mlc"]
    assert [(point.x, point.y) for point in phases.series[0].points] == [(5.0, 2.0), (4.0, 2.0), (3.0, 2.0)]
    page = report.page(title="t", models=4, tasks=1, why="w", panels=panels.panels(records, found))
    assert "Phases of the loss" in page and 'id="calibration"' not in page
    table = report.table_of_cells(records, "separation")
    assert table.count("\n") == 4 and "55.0 ± 7.1" in table
    text = report.filled("a\n<!-- X -->\nold\n<!-- end -->\nb\n", {"X": "new"})
    assert text == "a\n<!-- X -->\nnew\n<!-- end -->\nb\n"


@pytest.mark.slow
def test_the_reduced_form_and_its_report(tmp_path):
    """On bundled data alone: every objective, gradient, start and ratio; a second run trains nothing again."""
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    train = [sys.executable, benchmarks / "study.py", "--form", "reduced", "--work", tmp_path, "--jobs", "2"]
    made = []
    for _ in range(2):
        subprocess.run(train, check=True, timeout=900)
        made.append({path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()})
    assert made[0] == made[1] and len(made[0]) == len(design.reduced())
    for record in map(json.loads, (path.read_text() for path in made[0])):
        last = record["measures"][str(record["lengths"][-1])]
        assert 0 < last["map_test"] < 1 and last["cosines_test"]["own"] > -1 and record["curve"][-1]["loss"] > 0
    write = [sys.executable, benchmarks / "study_report.py", "--records", tmp_path / "records", "--work", tmp_path]
    subprocess.run([*write, "--output", tmp_path / "report"], check=True, timeout=300)
    assert "Phases of the loss" in (tmp_path / "report/report.html").read_text()
