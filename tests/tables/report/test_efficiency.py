"""The charts of accuracy against cost, and the columns of it."""

import pandas
import pytest
from conftest import make_result, metric

from mlcd_eval.records.efficiency import Efficiency, Machine
from mlcd_eval.tables.comparison.contest import contests
from mlcd_eval.tables.comparison.overall import overall
from mlcd_eval.tables.frame import frame_of
from mlcd_eval.tables.report import efficiency as module
from mlcd_eval.tables.report.efficiency import costs
from mlcd_eval.tables.report.html import report


def machine(name="GPU", **changes):
    fields = {"device": "cuda", "cpus": 8, "threads": 4, "ranks": 1, "workers": 2, "precision": "bf16", **changes}
    return Machine(date="2026-01-01T00:00:00+00:00", device_name=name, batch_size=64, layers=(), **fields)


def record(model, value, gflops, params=None, speed=None, measured=None, **changes):
    cost = Efficiency(
        gflops=gflops, num_params=params, bytes_per_embedding=768, images_per_s=speed, images_timed=9, measured=measured
    )
    return make_result(model, metrics=[metric("acc1", value)], efficiency=cost, **changes)


RECORDS = [record("small<1>", 0.3, 1.0), record("wasteful", 0.2, 10.0), record("large", 0.5, 100.0)]


def of_tasks(records):
    charts = costs(records)
    assert charts is None or charts["mean"] == []
    return charts["tasks"] if charts else []


def test_models_are_placed_by_cost_and_the_best_for_theirs_are_joined():
    [chart] = of_tasks(RECORDS)
    assert chart.title == "zeroshot/demo acc1 by GFLOPs per image"
    assert (chart.x.scale, chart.y.unit) == ("log", "fraction")
    models, front = chart.series
    placed = [(point.x, point.y, point.note) for point in models.points]
    assert placed == [(1.0, 0.3, "small<1>"), (10.0, 0.2, "wasteful"), (100.0, 0.5, "large")]
    assert front.line and [point.note for point in front.points] == ["small<1>", "large"]


def test_the_faster_is_the_cheaper_and_each_machine_has_a_chart():
    gpu, cpu = machine(), machine("CPU", device="cpu", precision="fp32", ranks=2)
    fast = [("slow", 0.6, 10.0, gpu), ("worse", 0.3, 20.0, gpu), ("quick", 0.4, 30.0, gpu)]
    records = [record(name, value, None, speed=speed, measured=on) for name, value, speed, on in fast]
    other = [record(f"cpu-{n}", 0.1 * n, None, speed=n, measured=cpu) for n in (1.0, 2.0)]
    of_gpu, of_cpu = of_tasks([*records, *other])
    assert of_gpu.title == "zeroshot/demo acc1 by images/s on GPU, bf16"
    assert of_cpu.title == "zeroshot/demo acc1 by images/s on CPU, 4 threads, 2 ranks, fp32"
    front = of_gpu.series[1]
    assert front.name == "those that no faster one reaches"
    assert [(point.x, point.note) for point in front.points] == [(30.0, "quick"), (10.0, "slow")]
    assert [point.note for point in of_cpu.series[0].points] == ["cpu-1.0", "cpu-2.0"]
    assert of_tasks([records[0], other[0]]) == []  # one of each machine


def test_several_tasks_have_the_mean_score_first():
    tasks = {"zeroshot/x": (0.3, 0.5), "knn/y": (0.5, 0.7)}
    records = [
        record(model, value, cost, task=task)
        for task, values in tasks.items()
        for model, value, cost in zip(("small", "large"), values, (1.0, 9.0), strict=True)
    ]
    standing = overall(contests(records))
    charts = costs(records, standing)
    [mean] = charts["mean"]
    assert mean.title == "score by GFLOPs per image" and len(charts["tasks"]) == 2
    # four classes: chance is 0.25
    known = {point.note: (point.x, point.y) for point in mean.series[0].points}
    assert known["small"] == (1.0, pytest.approx((0.05 + 0.25) / 2 / 0.75))
    assert known["large"] == (9.0, pytest.approx((0.25 + 0.45) / 2 / 0.75))
    assert {point.note: point.ci95 for point in mean.series[0].points}["small"] == standing.models["small"].score_ci95
    page = report(records)
    assert page.index("score by GFLOPs") < page.index("<summary>Each task</summary>") < page.index("zeroshot/x acc1 by")


def test_very_many_numbers_have_the_mean_score_only(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    records = [record(m, 0.5, g, task=t) for t in ("zeroshot/x", "zeroshot/y") for m, g in (("a", 1.0), ("b", 2.0))]
    charts = costs(records, overall(contests(records)))
    assert len(charts["mean"]) == 1 and charts["tasks"] == []
    assert "there are no charts of each task here" in report(records)


def test_one_model_or_an_unknown_cost_has_no_chart():
    assert of_tasks(RECORDS[:1]) == [] and of_tasks([make_result(), make_result("other")]) == []
    assert of_tasks([RECORDS[0], record("unknown", 0.4, None)]) == []
    assert of_tasks([RECORDS[0], record("as dear", 0.4, 1.0)]) == []
    assert [each.title for each in of_tasks([record("a", 0.1, None, 5), record("b", 0.2, None, 50)])] == [
        "zeroshot/demo acc1 by parameters an image passes through (M)"
    ]


def test_numbers_that_were_measured_otherwise_have_a_chart_of_their_own():
    assert len(of_tasks([*RECORDS, *(record(f"{n}", 0.1, n, limit=40) for n in (1.0, 2.0))])) == 2


def test_the_page_has_the_charts_and_the_record_says_the_rest():
    page = report(RECORDS)
    assert "What accuracy costs" in page and "bytes_per_embedding" in page and "<summary>Each task" not in page
    assert "What accuracy costs" not in report(RECORDS[:1])


def test_the_frame_has_columns():
    frame = frame_of([RECORDS[0], make_result("other")])
    [of_record, without] = [frame[frame.model == name].iloc[0] for name in ("small<1>", "other")]
    assert (of_record.gflops, of_record.bytes_per_embedding) == (1.0, 768)
    assert pandas.isna(of_record.images_per_s) and pandas.isna(without.gflops)
