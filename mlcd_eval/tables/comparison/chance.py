"""What a model that knows nothing scores, so that scores of different tasks can be averaged."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.languages import MACRO
from mlcd_eval.records import Result
from mlcd_eval.tables.comparison.contest import Contest

PER_CLASS = ("acc1", "mean_per_class_recall", "macro_recall", "cluster_accuracy")
"""Metrics of which one class out of all, drawn at random, is right."""
NOTHING = (
    *("nmi", "ari", "overall_iou", "mean_iou", "miou", "boundary_miou"),
    *("anls", "anls_compat", "relaxed_accuracy", "vqa_accuracy"),
)
"""Metrics of which chance is zero, or too near to it to matter."""


def chance(result: Result, metric: Metric) -> float | None:
    """The expected value of a metric by chance; None where it is not known, or the metric has no best value of 1."""
    classes = result.dataset.num_classes
    known = result.details.get("chance")
    name, _, cut = metric.name.partition("@")
    if metric.unit != "fraction" or not metric.higher_is_better:
        return None
    if isinstance(known, dict) and isinstance(known.get(metric.name), (int, float)):
        return float(known[metric.name])
    if metric.name in NOTHING:
        return 0.0
    if metric.name == "roc_auc":
        return 0.5
    if name.removeprefix(MACRO) in ("text_to_image_recall", "image_to_text_recall", "mean_recall"):
        images = result.details.get("num_images")
        return min(1.0, int(cut) / images) if isinstance(images, int) and images > 0 and cut.isdigit() else None
    if not classes:
        return None
    if metric.name in PER_CLASS or name == "knn_acc1":
        return 1 / classes
    if metric.name == "mean_top1_top5":
        return (1 + min(5, classes)) / 2 / classes
    return min(5, classes) / classes if metric.name == "acc5" or name == "knn_acc5" else None


def chance_of(result: Result, metric: str) -> float | None:
    """The same of a record's metric by its name; None for one that it lacks."""
    return next((chance(result, each) for each in result.metrics if each.name == metric), None)


def corrected(value: float, by_chance: float) -> float:
    """The share of what is left above chance: 0 by chance, 1 for a perfect model, below 0 where it is worse."""
    return (value - by_chance) / (1 - by_chance)


def above_chance(tasks: Sequence[Contest], model: str) -> float | None:
    """The mean of a model's corrected values over the tasks whose chance is known; None where there is no such task,
    or the model lacks one."""
    scores = []
    for task in tasks:
        entry = task.entries.get(model)
        by_chance = chance(next(iter(task.entries.values())).result, task.metric)
        if by_chance is None or by_chance >= 1:
            continue
        if entry is None:
            return None
        scores.append(corrected(entry.value, by_chance))
    return sum(scores) / len(scores) if scores else None
