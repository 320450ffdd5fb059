"""Few-shot curves: the mean over draws by the number of train images per class, a line per model."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.distributions import t_interval
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import SHOTS, facts
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, value_axis
from mlcd_eval.tables.variants import variants, with_label


def few_shot_curves(results: Sequence[Result]) -> list[Chart]:
    """Return a chart for each task and metric whose records differ in shots alone: a line per model, with the interval
    of the mean over draws, by Student's t, at each number of shots."""
    few = [result for result in results if result.status == "ok" and result.task.settings.get("shots")]
    labels = variants(few, lambda result: (result.task.name, result.task.settings["shots"]), lambda _: (SHOTS,))
    groups: dict[tuple[tuple[str, str], ...], dict[str, dict[int, Point]]] = {}
    titles: dict[tuple[tuple[str, str], ...], tuple[str, Metric]] = {}
    for result in few:
        metric = result.primary
        if metric is None or metric.value is None:
            continue
        alike = {name: value for name, value in facts(result).items() if name != SHOTS}
        key = tuple(sorted({**alike, "metric": metric.name}.items()))
        point = _point(result, metric.name, metric.value)
        groups.setdefault(key, {}).setdefault(result.model.name, {})[result.task.settings["shots"]] = point
        titles.setdefault(key, (with_label(result.task.name, labels.label(result)), metric))
    return [
        _chart(*titles[key], models)
        for key, models in groups.items()
        if any(len(points) > 1 for points in models.values())
    ]


def _point(result: Result, metric: str, value: float) -> Point:
    draws = [trial[metric] for trial in result.details.get("trials", ()) if trial.get(metric) is not None]
    ci95 = None
    if len(draws) > 1:
        ci95 = t_interval(value, statistics.stdev(draws), len(draws))
    fewer = result.details.get("classes_with_fewer_shots", 0)
    notes = [f"{len(draws)} draws" if len(draws) > 1 else "", f"classes with fewer images: {fewer}" if fewer else ""]
    return Point(result.task.settings["shots"], value, ci95, ", ".join(filter(None, notes)) or None)


def _chart(task: str, metric: Metric, by_shots: Mapping[str, Mapping[int, Point]]) -> Chart:
    shots = sorted({number for points in by_shots.values() for number in points})
    models = [
        Series(model, [points[number] for number in sorted(points)], line=True) for model, points in by_shots.items()
    ]
    across = Axis("train images per class", scale="log", unit="count", ticks=shots)
    return Chart(f"{task}: {metric.name}", across, value_axis(metric), models)
