"""The table of metrics: all that is known about each, in one entry, and how a metric is measured by it.

A metric is made from the columns of a task's samples, which are kept with every record (records/outcomes.py), so that
every value can be made again and two models can be paired. A new metric is one entry here. The protocols report every
metric of a group (`CLASSIFICATION`, `MULTILABEL`, `REFER`) that fits the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.boxes import BOX_FAMILIES
from mlcd_eval.metrics.classification import prepare_roc_auc
from mlcd_eval.metrics.clustering import adjusted_rand_index, normalized_mutual_information
from mlcd_eval.metrics.correspondence import CORRESPONDENCE_FAMILIES
from mlcd_eval.metrics.dense import DENSE
from mlcd_eval.metrics.geometry import DEPTH, NORMALS, NORMALS_FAMILIES
from mlcd_eval.metrics.interval import generator, ratio
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.languages import LANGUAGE_FAMILIES, LANGUAGES
from mlcd_eval.metrics.macro import f1s, prepare_macro, recalls
from mlcd_eval.metrics.multilabel import one_hot, prepare_mean_average_precision
from mlcd_eval.metrics.ranking import Ranks, average_precision, ndcg, padded, reciprocal_rank, share_found
from mlcd_eval.metrics.regions import ON_REGIONS
from mlcd_eval.metrics.reliability import (
    CALIBRATION,
    GROUPS,
    GROUPS_ON_REQUEST,
    OPEN_SET,
    ROBUSTNESS,
    ROBUSTNESS_FAMILIES,
)
from mlcd_eval.metrics.searches import SEARCH_FAMILIES, SEARCHES
from mlcd_eval.metrics.statistics import (
    ClassMeans,
    Columns,
    Influenced,
    Mean,
    Predicted,
    Ranking,
    Sums,
    column,
    within,
)
from mlcd_eval.metrics.tracking import TRACKING
from mlcd_eval.support.registry import Registry


def _at_least(iou: str) -> Callable[[Columns], NDArray[Any]]:
    """1.0 where the IoU is at least this, else 0.0."""
    return lambda columns: (np.asarray(columns["iou"]) >= float(iou)) * 1.0


def _predicts(target: bool) -> Callable[[Columns], NDArray[Any]]:
    """1.0 where the mask says that there is a target, or that there is none."""
    return lambda columns: (np.asarray(columns["predicts_target"]) == target) * 1.0


def _top1_and_top5(columns: Columns) -> NDArray[Any]:
    """(N, 3): in how many trials the true class is the best, in how many among the five best, and the trials."""
    trials = np.atleast_2d(np.asarray(columns["rank"]).T)  # (T, N)
    return np.stack([(trials <= 1).sum(axis=0), (trials <= 5).sum(axis=0), np.ones_like(trials).sum(axis=0)], axis=1)


def _ranking(score: Callable[[Ranks, int], NDArray[Any]], direction: str, title: str) -> Callable[[str], MetricKind]:
    """A score of the places of all right answers, of the queries of one direction."""
    return lambda k: MetricKind(
        f"{direction.replace('_to_', '-to-')} {title}@{k}",
        Mean(lambda columns: score(padded(columns["ranks"]), int(k))),
        over="image",
        among=("direction", direction),
    )


def _of_both_directions(heading: str, recalled: Callable[[Columns], NDArray[Any]]) -> MetricKind:
    """The mean of a query's outcome over each direction, and of both."""

    def terms(columns: Columns) -> NDArray[Any]:
        """(N, 4): the outcome and a 1 in the columns of the query's direction, else 0."""
        recalls, text = recalled(columns), np.asarray(columns["direction"]) == "text_to_image"
        return np.column_stack([recalls * text, text, recalls * ~text, ~text])

    def value(columns: Columns) -> float:
        recalls, text = recalled(columns), np.asarray(columns["direction"]) == "text_to_image"
        return float((recalls[text].mean() + recalls[~text].mean()) / 2)

    both = Sums(terms, lambda sums: (ratio(sums[..., :2]) + ratio(sums[..., 2:])) / 2, value)
    return MetricKind(heading, both, over="image")


def _labels(columns: Columns) -> NDArray[Any]:
    return one_hot(list(columns["label"]), np.shape(columns["places"])[1])


CLASSIFICATION: Mapping[str, MetricKind] = {
    "acc1": MetricKind("acc@1", Mean(within(1))),
    "acc5": MetricKind("acc@5", Mean(within(5)), classes=(5, math.inf)),
    "mean_per_class_recall": MetricKind("mean per-class recall", ClassMeans(within(1))),
    "mean_top1_top5": MetricKind(
        "mean of acc@1 and acc@5",
        Sums(_top1_and_top5, lambda sums: (ratio(sums[..., [0, 2]]) + ratio(sums[..., [1, 2]])) / 2),
        classes=(5, math.inf),
    ),
    "roc_auc": MetricKind("ROC AUC", Ranking(column("contrast"), column("label"), prepare_roc_auc), classes=(2, 2)),
}
"""Columns: label, rank and, for two classes, contrast (metrics/classification.py)."""

MULTILABEL: Mapping[str, MetricKind] = {
    "map": MetricKind("mAP", Ranking(column("places"), _labels, prepare_mean_average_precision)),
    "map_11point": MetricKind(
        "11-point mAP", Ranking(column("places"), _labels, partial(prepare_mean_average_precision, points=11))
    ),
}
"""Columns: label and places (metrics/multilabel.py)."""

REFER: Mapping[str, MetricKind] = {
    "overall_iou": MetricKind(
        "overall IoU",
        Sums(lambda columns: np.column_stack([columns["intersection"], columns["union"]])),
        over="image",
    ),
    "mean_iou": MetricKind("mean IoU", Mean(column("iou")), over="image"),
}
"""Columns: image, intersection, union and iou."""

GENERALIZED: Mapping[str, MetricKind] = {
    "target_accuracy": MetricKind("T-acc", Mean(_predicts(True)), over="image", among=("has_target", True)),
    "no_target_accuracy": MetricKind("N-acc", Mean(_predicts(False)), over="image", among=("has_target", False)),
}
"""What GRES adds (Liu et al. 2023) for sentences that may refer to nothing: the share of those with a target for which
a mask has a pixel, and of those without one for which it has none. Columns: image, has_target, predicts_target and, for
target_precision@, iou."""

PREDICTED: Mapping[str, MetricKind] = {
    "macro_recall": MetricKind(
        "macro recall", Predicted(column("prediction"), column("label"), partial(prepare_macro, recalls))
    ),
    "macro_f1": MetricKind("macro F1", Predicted(column("prediction"), column("label"), partial(prepare_macro, f1s))),
}
"""MTEB's, over the classes that are true or predicted. Columns: label and prediction."""

ON_REQUEST: Mapping[str, MetricKind] = {
    "worst_group_acc1": GROUPS["worst_group_acc1"],
    **GROUPS_ON_REQUEST,
    "macro_f1_true": MetricKind(
        "macro F1, true classes",
        Predicted(column("prediction"), column("label"), partial(prepare_macro, f1s, true_only=True)),
    ),
}
"""What a task of one label per image may rank by besides: WILDS' and DataComp's main metrics. Columns: label,
prediction and rank, and for those of groups, group. macro_f1_true is over the classes that the samples have (WILDS'
F1-macro_all)."""
GROUPED = (*GROUPS, *GROUPS_ON_REQUEST)
"""Metrics that need data with groups."""

CLUSTERING: Mapping[str, MetricKind] = {
    "nmi": MetricKind("NMI", Influenced(normalized_mutual_information, ("label", "cluster"))),
    "ari": MetricKind("ARI", Influenced(adjusted_rand_index, ("label", "cluster"))),
    "cluster_accuracy": MetricKind("clustering accuracy", Mean(column("correct"))),
}
"""Columns: label, cluster and correct, 1.0 where the cluster is the one that is matched to the label."""

PAIRS: Mapping[str, MetricKind] = {
    "text_accuracy": MetricKind("text accuracy", Mean(column("text_accuracy")), over="image"),
    "image_accuracy": MetricKind("image accuracy", Mean(column("image_accuracy")), over="image"),
    "group_accuracy": MetricKind("group accuracy", Mean(column("group_accuracy")), over="image"),
}
"""Columns: image, and one of the metric's own name, 1.0 where the item is right."""

ASSOCIATION: Mapping[str, MetricKind] = {"jaccard": MetricKind("Jaccard", Mean(column("jaccard")), over="board")}
"""Columns: jaccard; board, equal for cues of the same candidates; candidates, how many there are, such as 5-6."""

OTHERS: Mapping[str, MetricKind] = {
    "mean_recall": _of_both_directions("mean recall", column("mean_recall")),
    "anls": MetricKind("ANLS", Mean(column("anls")), over="document"),
    "anls_compat": MetricKind("ANLS (lmms-eval)", Mean(column("anls_compat")), over="document"),
    "relaxed_accuracy": MetricKind("relaxed accuracy", Mean(column("relaxed_accuracy")), over="document"),
    "vqa_accuracy": MetricKind("VQA accuracy", Mean(column("vqa_accuracy")), over="document"),
    "character_error_rate": MetricKind(
        "character error rate",
        Sums(lambda columns: np.column_stack([columns["edits"], columns["answer_length"]])),
        over="document",
        higher_is_better=False,
    ),
}

FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    **ROBUSTNESS_FAMILIES,
    **SEARCH_FAMILIES,
    **LANGUAGE_FAMILIES,
    **CORRESPONDENCE_FAMILIES,
    **NORMALS_FAMILIES,
    **BOX_FAMILIES,
    "knn_acc1@": lambda k: MetricKind(f"acc@1 (kNN, k = {k})", Mean(within(1, f"rank@{k}"))),
    "knn_acc5@": lambda k: MetricKind(f"acc@5 (kNN, k = {k})", Mean(within(5, f"rank@{k}")), classes=(5, math.inf)),
    "text_to_image_recall@": lambda k: MetricKind(
        f"text-to-image R@{k}", Mean(within(int(k))), over="image", among=("direction", "text_to_image")
    ),
    "image_to_text_recall@": lambda k: MetricKind(
        f"image-to-text R@{k}", Mean(within(int(k))), over="image", among=("direction", "image_to_text")
    ),
    "mean_recall@": lambda k: _of_both_directions(f"mean of R@{k} both ways", within(int(k))),
    "text_to_image_ndcg@": _ranking(ndcg, "text_to_image", "nDCG"),
    "image_to_text_ndcg@": _ranking(ndcg, "image_to_text", "nDCG"),
    "text_to_image_mrr@": _ranking(reciprocal_rank, "text_to_image", "MRR"),
    "image_to_text_mrr@": _ranking(reciprocal_rank, "image_to_text", "MRR"),
    "image_to_text_map@": _ranking(average_precision, "image_to_text", "MAP"),
    "image_to_text_found@": _ranking(share_found, "image_to_text", "captions found"),
    "jaccard@": lambda number: MetricKind(
        f"Jaccard, {number} candidates", Mean(column("jaccard")), over="board", among=("candidates", number)
    ),
    "precision@": lambda least: MetricKind(f"precision@{least}", Mean(_at_least(least)), over="image"),
    "target_precision@": lambda least: MetricKind(
        f"precision@{least} of targets", Mean(_at_least(least)), over="image", among=("has_target", True)
    ),
}
"""The name up to the parameter -> a function of the parameter, as it is written in the name, to the kind."""

METRICS: Registry[MetricKind | Callable[[str], MetricKind]] = Registry(
    "metric",
    "mlcd_eval.metrics",
    {
        **CLASSIFICATION,
        **MULTILABEL,
        **REFER,
        **GENERALIZED,
        **PREDICTED,
        **CLUSTERING,
        **PAIRS,
        **ASSOCIATION,
        **DENSE,
        **TRACKING,
        **DEPTH,
        **NORMALS,
        **ON_REGIONS,
        **SEARCHES,
        **LANGUAGES,
        **CALIBRATION,
        **OPEN_SET,
        **ROBUSTNESS,
        **GROUPS,
        **ON_REQUEST,
        **OTHERS,
        **FAMILIES,
    },
)
"""Other packages add metrics by entry points: a MetricKind, or a function under a name that ends in `@`."""


def metric_kind(name: str) -> MetricKind:
    """What is known about `acc1`, `knn_acc1@20`, ...; of an unknown name only that it is its own heading."""
    family, at, parameter = name.partition("@")
    key = family + at if at and family + at in METRICS else name
    if key not in METRICS:
        return MetricKind(heading=name)
    kind = METRICS[key]
    return kind if isinstance(kind, MetricKind) else kind(parameter)


def metric_value(name: str, columns: Columns) -> float | None:
    """A metric of the table, without its interval."""
    kind = metric_kind(name)
    assert kind.statistic is not None, f"{name} is in the table"
    return kind.statistic.value(kind.selected(columns)[0])


def measure(
    name: str, columns: Columns, seed: int, num_unscored: int = 0, num_scored: int | None = None, defined: bool = True
) -> Metric:
    """A metric of the table with its interval, which depends on the columns, the seed and the metric's name only.

    num_scored: None for the samples that it is over. defined: False for a metric that has no value here, such as acc5
    of four classes, whatever the columns.
    """
    kind = metric_kind(name)
    assert kind.statistic is not None, f"{name} is in the table"
    part, groups = kind.selected(columns)
    value = kind.statistic.value(part) if defined else None
    return Metric(
        name=name,
        value=value,
        unit=kind.unit,
        higher_is_better=kind.higher_is_better,
        num_scored=len(next(iter(part.values()))) if num_scored is None else num_scored,
        num_unscored=num_unscored,
        ci95=None if value is None else kind.statistic.interval(part, groups, generator(seed, name)),
    )
