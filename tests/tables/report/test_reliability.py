"""The page's section on reliability."""

import re

from conftest import make_result, metric

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


def test_diagrams_have_a_circle_for_each_bin_by_its_share():
    [figure] = reliability_of([measured(model="vit<1>")]).diagrams
    svg = str(figure.svg)
    assert figure.caption == "vit<1>, zeroshot/demo: ECE 25.00, 6.25 at temperature 2.5"
    assert "vit&lt;1&gt;" in svg and "<1>" not in svg
    assert [name for _, name in figure.legend] == ["raw", "fitted"]
    circles = [tuple(map(float, each)) for each in re.findall(r'<circle cx="(.*?)" cy="(.*?)" r="(.*?)"', svg)]
    # 0 to 1 is from 44 to 312 to the right and from 286 to 14 up; areas are shares of 8 pixels' radius
    assert circles == [(111.0, 150.0, 4.0), (312.0, 82.0, 6.9), (111.0, 150.0, 8.0)]
    assert "raw: 25 samples of confidence 25.00, 50.00 right" in svg


def test_the_page_has_the_section_where_there_is_anything_to_say():
    page = report([measured()])
    assert 'href="#reliability"' in page and "at temperature 2.5" in page and "Open set" in page
    assert "Reliability" not in report([make_result(metrics=[metric("acc1", 0.5)])])
    assert reliability_of([]) is None
