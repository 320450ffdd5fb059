"""The page's section on reliability."""

from conftest import make_result, metric

from mlcd_eval.data.alterations.names import CORRUPTIONS
from mlcd_eval.records import TaskRecord
from mlcd_eval.tables.report.corruptions import mce_against
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.reliability import reliability_of

BINS = [
    {"bin": 3, "count": 25, "confidence": 0.25, "accuracy": 0.5},
    {"bin": 14, "count": 75, "confidence": 1.0, "accuracy": 0.75},
]


def measured(**changes):
    metrics = [
        metric("acc1", 0.5),
        metric("ece", 0.25, (0.2, 0.31), higher_is_better=False),
        metric("ece_scaled", 0.0625, higher_is_better=False),
        metric("nll", 1.5, (1.25, 1.755), unit="nats", higher_is_better=False),
        metric("ood_auroc_mcm", 0.875),
    ]
    details = {"reliability": {"raw": BINS, "fitted": BINS[:1]}, "temperature": 2.5}
    return make_result(metrics=metrics, details=details, **changes)


def test_tables_have_a_column_per_metric_that_some_record_has():
    found = reliability_of([measured(), make_result(task="zeroshot/pets", metrics=[metric("acc1", 0.5)])])
    assert list(found.tables) == ["Calibration", "Open set"]
    assert found.tables["Calibration"].columns == ["ECE, equal width ↓", "NLL ↓", "ECE, equal width (fitted) ↓"]
    [(model, task, cells)] = found.tables["Calibration"].rows
    assert (model, task, cells) == ("tiny", "zeroshot/demo", ["25.00 [20.0, 31.0]", "1.50 [1.25, 1.75]", "6.25"])
    assert found.tables["Open set"].columns == ["OOD AUROC, MCM ↑"]


def test_diagrams_have_a_mark_for_each_bin_by_its_share():
    [chart] = reliability_of([measured(model="vit<1>")]).diagrams
    assert chart.title == "vit<1>, zeroshot/demo: ECE 25.00, 6.25 at temperature 2.5"
    assert chart.x.span == chart.y.span == (0.0, 1.0)
    raw, fitted, diagonal = chart.series
    bins = [(point.x, point.y, point.share, point.note) for point in raw.points]
    assert bins == [(0.25, 0.5, 0.25, "25 samples"), (1.0, 0.75, 0.75, "75 samples")]
    assert (fitted.name, [point.share for point in fitted.points]) == ("fitted", [1.0])
    assert [(point.x, point.y) for point in diagonal.points] == [(0, 0), (1, 1)] and diagonal.tone == "muted"


def test_the_page_has_the_section_where_there_is_anything_to_say():
    page = report([measured()])
    assert 'href="#reliability"' in page and "at temperature 2.5" in page and "Open set" in page
    assert "Reliability" not in report([make_result(metrics=[metric("acc1", 0.5)])])
    assert reliability_of([]) is None


def corrupted(model, errors, value=0.4):
    """errors: of each corruption."""
    metrics = [metric("acc1", 0.5), metric("corrupted_acc1", value, (0.35, 0.45))]
    metrics += [metric(f"corrupted_acc1@{name}", 1 - error) for name, error in zip(CORRUPTIONS, errors, strict=True)]
    settings = {"layer": "projected", "corruptions": ["all"]}
    task = TaskRecord(name="zeroshot/demo", version=1, protocol="zeroshot", settings=settings)
    return make_result(model, metrics=metrics).model_copy(update={"task": task})


def test_corruptions_have_tables_and_errors_in_units_of_a_model():
    one, two = corrupted("one", [0.5] * 15), corrupted("two", [0.25] * 5 + [0.75] * 10)
    found = reliability_of([one, two], baseline="one")
    assert found.tables["Robustness"].rows[0][2] == ["40.00 [35.0, 45.0]"]
    each = found.tables["Accuracy under each corruption, mean over severities"]
    assert len(each.columns) == 15 and each.columns[9] == "acc@1, fog ↑"
    assert each.rows[1][2][:6] == ["75.00"] * 5 + ["25.00"]
    against = found.tables["Corruption errors in units of a model's"]
    assert against.columns == ["mCE, one = 100 ↓"]
    assert [(model, cells) for model, _, cells in against.rows] == [("one", ["100.00"]), ("two", ["116.67"])]
    assert "mCE, one = 100" in report([one, two], baseline="one") and "mCE, one" not in report([one, two])
    assert mce_against([corrupted("one", [0.0] * 15)], "one").rows[0][2] == ["-"]
    assert mce_against([measured(model="one")], "one") is None
