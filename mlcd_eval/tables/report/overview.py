"""All tasks in one chart: the primary metric of each, a series per model."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.variants import variants, with_label

FEWEST = 3
"""Tasks below which there is nothing to see."""
MOST = 20
"""Models beyond which no reader tells their marks apart."""


def overview(results: Sequence[Result]) -> Chart | None:
    """The primary metrics, in per cent and higher is better, of tasks that all models have, measured in one way; None
    for fewer than FEWEST, and for more than MOST models."""
    values: dict[str, dict[str, Metric]] = {}
    labels = variants(result for result in results if result.status == "ok")
    for result in results:
        primary = result.primary
        if primary and primary.value is not None and primary.higher_is_better and primary.unit == "fraction":
            values.setdefault(with_label(result.task.name, labels.label(result)), {})[result.model.name] = primary
    models = dict.fromkeys(result.model.name for result in results)
    tasks = {task: of_task for task, of_task in values.items() if len(of_task) == len(models)}
    if len(tasks) < FEWEST or len(models) > MOST:
        return None
    series = [
        Series(model, [Point(each[model].value, task, each[model].ci95) for task, each in tasks.items()])
        for model in models
    ]
    title = f"Primary metrics of the {len(tasks)} tasks that all models have"
    return Chart(title, Axis("primary metric", unit="fraction"), Axis("task", scale="names"), series)
