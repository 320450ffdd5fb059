"""The charts of accuracy against cost, and the columns of it."""

import pandas
from conftest import make_result, metric

from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.tables.frame import frame_of
from mlcd_eval.tables.report.efficiency import costs
from mlcd_eval.tables.report.html import report


def record(model, value, gflops, params=None, **changes):
    cost = Efficiency(gflops=gflops, num_params=params, bytes_per_embedding=768)
    return make_result(model, metrics=[metric("acc1", value)], efficiency=cost, **changes)


RECORDS = [record("small<1>", 0.3, 1.0), record("wasteful", 0.2, 10.0), record("large", 0.5, 100.0)]


def test_models_are_placed_by_cost_and_the_best_for_theirs_are_joined():
    [chart] = costs(RECORDS)
    assert chart.title == "zeroshot/demo acc1 by GFLOPs per image"
    assert (chart.x.scale, chart.y.unit) == ("log", "fraction")
    models, front = chart.series
    placed = [(point.x, point.y, point.note) for point in models.points]
    assert placed == [(1.0, 0.3, "small<1>"), (10.0, 0.2, "wasteful"), (100.0, 0.5, "large")]
    assert front.line and [point.note for point in front.points] == ["small<1>", "large"]


def test_one_model_or_an_unknown_cost_has_no_chart():
    assert costs(RECORDS[:1]) == [] and costs([make_result(), make_result("other")]) == []
    assert costs([RECORDS[0], record("unknown", 0.4, None)]) == []
    assert [each.title for each in costs([record("a", 0.1, None, 5), record("b", 0.2, None, 50)])] == [
        "zeroshot/demo acc1 by parameters an image passes through (M)"
    ]


def test_numbers_that_were_measured_otherwise_have_a_chart_of_their_own():
    assert len(costs([*RECORDS, *(record(f"{n}", 0.1, n, limit=40) for n in (1.0, 2.0))])) == 2


def test_the_page_has_the_charts_and_the_record_says_the_rest():
    page = report(RECORDS)
    assert "What accuracy costs" in page and "bytes_per_embedding" in page
    assert "What accuracy costs" not in report(RECORDS[:1])


def test_the_frame_has_columns():
    frame = frame_of([RECORDS[0], make_result("other")])
    [of_record, without] = [frame[frame.model == name].iloc[0] for name in ("small<1>", "other")]
    assert (of_record.gflops, of_record.bytes_per_embedding) == (1.0, 768)
    assert pandas.isna(of_record.images_per_s) and pandas.isna(without.gflops)
