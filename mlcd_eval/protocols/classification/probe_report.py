"""What probes say of test samples: columns of their outcomes, and details for the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.metrics.classification import classification_samples, over_trials
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import CLASSIFICATION, metric_value
from mlcd_eval.protocols.classification.labelled import columns_of
from mlcd_eval.protocols.classification.probe_training import Probe

if TYPE_CHECKING:
    from mlcd_eval.support.resident import Rows

Report = Callable[[Sequence[Probe], "Rows", np.ndarray, Sequence[str]], tuple[Columns, dict[str, Any]]]
"""Of probes (one for each trial), the test rows and their labels; metrics that are computed besides the usual ones."""


def report_of(multilabel: bool) -> Report:
    """Return the report for images of one label or of several."""
    return _multilabel_report if multilabel else _report


def _report(
    probes: Sequence[Probe], test: Rows, labels: np.ndarray, also: Sequence[str]
) -> tuple[Columns, dict[str, Any]]:
    """Columns of the samples and details; over several trials there is a `prediction` and `rank` for each."""
    trials = [classification_samples(probe.fit.scores(test), labels) for probe in probes]
    if len(trials) == 1:
        return trials[0], dict(probes[0].details)
    num_classes = len(probes[0].fit.bias)
    names = [*(name for name, kind in CLASSIFICATION.items() if kind.fits(num_classes)), *also]
    values = [{name: value for name in names if (value := metric_value(name, trial)) is not None} for trial in trials]
    return over_trials(trials), {
        "std_over_trials": {name: float(np.std([of_trial[name] for of_trial in values], ddof=1)) for name in values[0]},
        "trials": [{**probe.details, **of_trial} for probe, of_trial in zip(probes, values, strict=True)],
    }


def _multilabel_report(
    probes: Sequence[Probe], test: Rows, labels: np.ndarray, also: Sequence[str]
) -> tuple[Columns, dict[str, Any]]:
    """The same for several labels per image."""
    (probe,) = probes
    return columns_of(probe.fit.scores(test), labels), dict(probe.details)
