"""The chart of best layers."""

from conftest import make_result, metric

from mlcd_eval.tables.report.depth import best_layers
from mlcd_eval.tables.report.html import report


def line(layer, score, low, high):
    return {"layer": layer, "score": score, "ci95": [low, high], "lambda": 1.0}


LINES = [
    line("block_1/cls", 0.2, 0.1, 0.3),
    line("block_1/mean", 0.3, 0.2, 0.4),
    line("block_2/cls", 0.5, 0.4, 0.6),
    line("block_2/mean", 0.4, 0.3, 0.5),
]


def chosen(**changes):
    details = {"layer": "block_2/cls", "layer_from": "search by acc1 on 9 samples", "layers": LINES}
    return make_result(task="linear_probe/demo", metrics=[metric("acc1", 0.45, (0.4, 0.5))], details=details, **changes)


def drawn(series):
    return [(point.x, point.y, *point.ci95, point.note) for point in series.points]


def test_each_layer_has_its_score_and_interval_and_the_chosen_one_comes_again():
    [chart] = best_layers([chosen(model="vit<1>"), make_result(metrics=[metric("acc1", 0.5)])])
    assert chart.title == "vit<1>, linear_probe/demo: block_2/cls is best, acc1 45.00 [40.0, 50.0] on test"
    assert {series.name: drawn(series) for series in chart.series} == {
        "cls": [(1, 0.2, 0.1, 0.3, "block_1/cls"), (2, 0.5, 0.4, 0.6, "block_2/cls")],
        "mean": [(1, 0.3, 0.2, 0.4, "block_1/mean"), (2, 0.4, 0.3, 0.5, "block_2/mean")],
        "chosen": [(2, 0.5, 0.4, 0.6, "block_2/cls")],
    }


def test_the_output_is_a_point_beyond_the_last_block():
    details = {**chosen().details, "layer": "penultimate", "layers": [*LINES, line("penultimate", 0.6, 0.5, 0.7)]}
    [chart] = best_layers([chosen().model_copy(update={"details": details})])
    assert [series.name for series in chart.series] == ["cls", "mean", "penultimate", "chosen"]
    assert drawn(chart.series[2]) == drawn(chart.series[3]) == [(3, 0.6, 0.5, 0.7, "penultimate")]
    assert "penultimate is best" in chart.title


def test_the_page_has_the_charts_where_there_are_any():
    assert "Best layers" in report([chosen()]) and "block_2/cls is best" in report([chosen()])
    assert "Best layers" not in report([make_result(metrics=[metric("acc1", 0.5)])])
