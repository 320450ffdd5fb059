"""mCE against a model of the page: its errors under corruptions in units of the baseline's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlcd_eval.data.alterations.names import CORRUPTIONS
from mlcd_eval.metrics.reliability import CORRUPTED
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import identity
from mlcd_eval.tables.report.metric_table import MetricTable
from mlcd_eval.tables.text import shown
from mlcd_eval.tables.variants import variants, with_label


def mce_against(results: Sequence[Result], baseline: str | None) -> MetricTable | None:
    """Return the mean over the fifteen corruptions of each model's error over the baseline's, both means over
    severities (Hendrycks & Dietterich 2019, section 4.1), on tasks that the baseline was measured on in the same way;
    None where there are none. A ratio to an error of 0 has no value."""
    errors = {id(result): error for result in results if (error := _errors(result)) is not None}
    own = {identity(result): errors[id(result)] for result in results if id(result) in errors and _is(result, baseline)}
    labels = variants(results)
    rows = []
    for result in results:
        of_baseline = own.get(identity(result)) if id(result) in errors else None
        if of_baseline is not None:
            whole = bool((of_baseline > 0).all())
            value = float((errors[id(result)] / of_baseline).mean()) if whole else None
            rows.append((result.model.name, with_label(result.task.name, labels.label(result)), [shown(value)]))
    return MetricTable([f"mCE, {baseline} = 100 ↓"], rows) if rows else None


def _is(result: Result, baseline: str | None) -> bool:
    return result.model.name == baseline


def _errors(result: Result) -> np.ndarray | None:
    """Return the error under each corruption (15,), None where one was not measured at every severity."""
    values = {metric.name: metric.value for metric in result.metrics}
    found = [values.get(f"{CORRUPTED}{name}") for name in CORRUPTIONS]
    if result.task.settings.get("corruptions") != ["all"] or None in found:
        return None
    return 1 - np.array(found, dtype=np.float64)
