"""The chart of best layers."""

import re

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


def test_each_layer_has_its_score_and_interval_and_the_chosen_one_a_circle():
    [figure] = best_layers([chosen(model="vit<1>"), make_result(metrics=[metric("acc1", 0.5)])])
    svg = str(figure.svg)
    assert figure.caption == "vit<1>, linear_probe/demo: block_2/cls is best, acc1 45.00 [40.0, 50.0] on test"
    assert "vit&lt;1&gt;" in svg and "<1>" not in svg
    assert [name for _, name in figure.legend] == ["cls", "mean"]
    titles = re.findall("<title>(.*?)</title>", svg)
    assert "block_1/mean 30.00 [20.0, 40.0]" in titles and len(titles) == 4 + 1
    whiskers = [tuple(map(float, ends)) for ends in re.findall(r'd="M([\d.]+),([\d.]+)V([\d.]+)"', svg)]
    assert len(whiskers) == 4
    # pixels run down: 0.1 is at the foot (182), 0.6 at the top (12), 0.3 at two fifths
    assert [ends[1:] for ends in whiskers[:3]] == [(182.0, 114.0), (80.0, 12.0), (148.0, 80.0)]
    [(_, height)] = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert float(height) == 46.0  # of 0.5


def test_the_output_is_a_point_beyond_the_last_block():
    details = {**chosen().details, "layer": "penultimate", "layers": [*LINES, line("penultimate", 0.6, 0.5, 0.7)]}
    [figure] = best_layers([chosen().model_copy(update={"details": details})])
    svg = str(figure.svg)
    assert [name for _, name in figure.legend] == ["cls", "mean", "penultimate"]
    [point] = re.findall(r'd="M([\d.]+),([\d.]+)h0" class="dots', svg)
    assert point == re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)[0]
    lines = re.findall(r'd="M[\d.]+,[\d.]+L([\d.]+),', svg)  # the last block of each pooling
    assert max(map(float, lines)) < float(point[0]) and "penultimate is best" in figure.caption


def test_the_page_has_the_charts_where_there_are_any():
    assert "Best layers" in report([chosen()]) and "block_2/cls is best" in report([chosen()])
    assert "Best layers" not in report([make_result(metrics=[metric("acc1", 0.5)])])
