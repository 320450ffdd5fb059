"""The metrics of instance retrieval, each at every level of difficulty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.found import prepare_gap
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import Columns, Mean, Predicted, column

LEVELS = ("instance", "easy", "medium", "hard")
"""The only level of data that tells none apart, and revisitop's three (Radenovic et al. 2018)."""
REGION = "region"
"""The only level of regions that search each other, whose units are images or scenes."""
NO_LEVEL = "none"
"""That of a query without a positive."""


def _mean(level: str, title: str, outcome: Callable[[Columns], NDArray[Any]]) -> MetricKind:
    heading = title if level in (LEVELS[0], REGION) else f"{title} ({level})"
    return MetricKind(heading, Mean(outcome), over="unit" if level == REGION else None, among=("level", level))


def _recall(level: str) -> Callable[[str], MetricKind]:
    return lambda k: _mean(level, f"R@{k}", lambda columns: (np.asarray(columns["rank"]) <= int(k)) * 1.0)


def _at(level: str, title: str, name: str) -> Callable[[str], MetricKind]:
    return lambda k: _mean(level, f"{title}@{k}", column(f"{name}@{k}"))


_GAP = Predicted(
    lambda columns: np.column_stack([columns["place"], np.asarray(columns["rank"]) == 1]),
    lambda columns: np.asarray(columns["level"]) != NO_LEVEL,
    prepare_gap,
)

GAPS: Mapping[str, MetricKind] = {
    "gap": MetricKind("GAP", _GAP),
    "gap_minus": MetricKind("GAP-", _GAP, among=("level", LEVELS[0])),
}
"""Of all queries, and of those alone that have a positive. Columns: level; rank, the place of the first right answer;
place, that of the query among all, by the similarity of what it found first."""

SEARCHES: Mapping[str, MetricKind] = {
    **GAPS,
    **{
        f"{level}_{name}": _mean(level, title, column(name))
        for level in (*LEVELS, REGION)
        for name, title in (("map", "mAP"), ("map_r", "MAP@R"), ("r_precision", "R-precision"))
    },
}
"""Columns: level, and one of the metric's own name without the level; of regions unit too."""

SEARCH_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    f"{level}_{name}@": family
    for level in (*LEVELS, REGION)
    for name, family in (
        ("map", _at(level, "mAP", "map")),
        ("mp", _at(level, "mP", "mp")),
        ("recall", _recall(level)),
    )
}
"""Columns: level; map@K and mp@K; for recall@K rank, the place of the first right answer."""
