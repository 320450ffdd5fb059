"""The metrics of how far predictions can be relied on, for the table of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.calibration import Strategy, prepare_aurc, prepare_calibration_error
from mlcd_eval.metrics.classification import prepare_roc_auc
from mlcd_eval.metrics.corruption import CORRECT, against_alexnet, corrupted
from mlcd_eval.metrics.groups import OfGroups, gap, outcomes_by_group, prepare_groups, worst
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.open_set import prepare_fpr95
from mlcd_eval.metrics.statistics import Columns, Mean, Predicted, Ranking, Recentred, column

SCALED = "_scaled"
"""Added to the columns and metrics of logits that are divided by a fitted temperature."""


def _by_group(of_groups: OfGroups, outcome: Callable[[Columns], NDArray[Any]]) -> Recentred:
    prepare, outcomes = partial(prepare_groups, of_groups), partial(outcomes_by_group, outcome=outcome)
    return Recentred(outcomes, column("group"), lambda by_group, _: prepare(by_group))


def _among_five(columns: Columns) -> NDArray[Any]:
    """1.0 where the true class is among the five best, else 0.0."""
    return (np.asarray(columns["rank"]) <= 5) * 1.0


def _outcomes(suffix: str) -> Callable[[Columns], NDArray[Any]]:
    return lambda columns: np.column_stack([columns[f"confidence{suffix}"], columns["correct"]])


def _calibration(suffix: str, which: str) -> dict[str, MetricKind]:
    def error(strategy: Strategy) -> Recentred:
        prepare = partial(prepare_calibration_error, strategy)
        return Recentred(_outcomes(suffix), column("correct"), lambda outcomes, _: prepare(outcomes))

    def lower(heading: str, statistic: Any, unit: str = "fraction") -> MetricKind:
        return MetricKind(f"{heading}{which}", statistic, higher_is_better=False, unit=unit)

    aurc = Predicted(_outcomes(suffix), column("correct"), lambda outcomes, _: prepare_aurc(outcomes))
    kinds = {
        "ece": lower("ECE, equal width", error("width")),
        "ece_equal_mass": lower("ECE, equal mass", error("mass")),
        "brier": lower("Brier", Mean(column(f"brier{suffix}")), "score"),
        "nll": lower("NLL", Mean(column(f"log_loss{suffix}")), "nats"),
        "aurc": lower("AURC", aurc),
    }
    return {f"{name}{suffix}": kind for name, kind in kinds.items()}


CALIBRATION: Mapping[str, MetricKind] = {
    **_calibration("", ""),
    **_calibration(SCALED, " (fitted)"),
}
"""Columns: correct and, with and without SCALED, confidence, brier and log_loss (metrics/calibration.py)."""

ROBUSTNESS: Mapping[str, MetricKind] = {
    "corrupted_acc1": MetricKind("acc@1, corrupted", Mean(corrupted)),
    "mce_alexnet": MetricKind("mCE, AlexNet = 100", Mean(against_alexnet), higher_is_better=False, unit="percent"),
    "stability": MetricKind("unchanged predictions", Mean(column("same"))),
}
"""Columns: correct@CORRUPTION, (N, severities); same, (N, changes), 1.0 where the prediction stays."""

GROUPS: Mapping[str, MetricKind] = {
    "worst_group_acc1": MetricKind("acc@1, worst group", _by_group(worst, column("correct"))),
    "group_gap": MetricKind("mean minus worst group", _by_group(gap, column("correct")), higher_is_better=False),
}
"""Columns: group and correct."""

GROUPS_ON_REQUEST: Mapping[str, MetricKind] = {
    "worst_group_acc5": MetricKind("acc@5, worst group", _by_group(worst, _among_five), classes=(5, math.inf)),
}
"""Columns: group and rank. Reported where a task ranks by it, as DataComp does on Dollar Street."""

CORRUPTED = "corrupted_acc1@"
ROBUSTNESS_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    CORRUPTED: lambda name: MetricKind(f"acc@1, {name.replace('_', ' ')}", Mean(column(f"{CORRECT}{name}"))),
}

_SCORES = {"max_logit": "max logit", "energy": "energy", "msp": "MSP", "mcm": "MCM"}

OPEN_SET: Mapping[str, MetricKind] = {
    **{
        f"ood_auroc_{score}": MetricKind(
            f"OOD AUROC, {words}", Ranking(column(score), column("known"), prepare_roc_auc)
        )
        for score, words in _SCORES.items()
    },
    **{
        f"ood_fpr95_{score}": MetricKind(
            f"OOD FPR95, {words}", Ranking(column(score), column("known"), prepare_fpr95), higher_is_better=False
        )
        for score, words in _SCORES.items()
    },
}
"""Columns: known, 1 or 0, and one of the score's name (metrics/open_set.py), over the images of both data sets."""
