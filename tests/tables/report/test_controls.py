"""Controls and curves of legibility on the report's page."""

from conftest import make_result, metric

from mlcd_eval.tables.report.controls import control_rows
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.legibility import legibility


def entry(low, high, words, accuracy):
    return {
        "from": low,
        "to": high,
        "words": words,
        "word_accuracy": accuracy,
        "characters": 9,
        "character_accuracy": 1,
    }


def control(name, positive, value, bound, **more):
    row = {"name": name, "positive": positive, "metric": "acc1", "value": value, "num_scored": 1300, "bound": bound}
    return {**row, "holds": value >= bound if positive else value <= bound, **more}


HELD, NOISE = control("labels", True, 0.95, 0.9), control("noise", False, 0.5, 0.25)


def probed(model, controls=(HELD, NOISE), task="knn/demo", **details):
    scored = [metric("anls", 0.5, (0.4, 0.6)), metric("acc1", 0.25, (0.2, 0.3))]
    return make_result(model=model, task=task, metrics=scored, details={"controls": list(controls), **details})


def test_models_of_a_task_share_its_controls():
    rows = control_rows([probed("a"), probed("b"), make_result(metrics=[metric("acc1", 0.5)])])
    assert rows == [
        ["knn/demo", "labels", "acc1", "95.00", "1,300", "at least 90.0", "yes", "a 25.00, b 25.00"],
        ["knn/demo", "noise", "acc1", "50.00", "1,300", "at most 25.0", "NO", "a 25.00, b 25.00"],
    ]
    assert len(control_rows([probed("a"), probed("b", [HELD])])) == 3  # other data, other controls


def test_a_model_s_value_is_of_the_controls_metric_or_says_of_which():
    [row] = control_rows([probed("a", [control("labels", True, 0.95, 0.9) | {"metric": "acc7"}])])
    assert row[-1] == "a 50.00 (anls)"
    rmse = metric("rmse", 2.319).model_copy(update={"unit": "metres", "higher_is_better": False})
    [row] = control_rows([make_result(model="a", task="depth/demo", metrics=[rmse], details={"controls": [HELD]})])
    assert row[-1] == "a 2.32 (rmse, metres, lower is better)"


def test_records_of_one_task_with_other_settings_have_rows_of_their_own():
    few = probed("a")
    other = few.model_copy(update={"task": few.task.model_copy(update={"settings": {**few.task.settings, "shots": 4}})})
    assert [row[0] for row in control_rows([few, other])] == [*["knn/demo"] * 2, *["knn/demo [shots=4]"] * 2]


READ = {"word_accuracy": 0.75, "smallest_legible_letter": 8, "curve": [entry(8, 10, 40, 0.5), entry(10, None, 40, 1)]}


def test_a_curve_has_a_point_for_each_interval():
    curve = [entry(8, 10, 20, 1.0)]
    [chart] = legibility(
        [probed("a<b>", [control("pixels", True, 1, 0.9, curve=curve), NOISE], "docvqa/demo", reading=READ)]
    )
    assert chart.title == "docvqa/demo: smallest legible letter of a<b> 8 pixels"
    assert chart.x.ticks == ["8-10", "10-"] and chart.y.span == (0.0, 1.0)
    read = {series.name: [(point.x, point.y, point.note) for point in series.points] for series in chart.series}
    assert read == {
        "a<b>": [("8-10", 0.5, "40 words"), ("10-", 1, "40 words")],
        "pixels": [("8-10", 1.0, "20 words")],
    }


def test_the_page_has_both_where_there_are_any():
    page = report([probed("a", task="docvqa/demo", reading=READ)])
    assert "Smallest legible letters" in page and "at least 90.0" in page and "a 75.00" in page
    bare = report([make_result(metrics=[metric("acc1", 0.5)])])
    assert "Smallest legible letters" not in bare and 'id="controls"' not in bare
