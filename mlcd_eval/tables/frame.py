"""Records as one tidy pandas frame: a row a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.records import Result, read_all

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "model",
    "spec",
    "task",
    "protocol",
    "dataset",
    "split",
    "metric",
    "primary",
    "value",
    "unit",
    "higher_is_better",
    "ci_low",
    "ci_high",
    "num_scored",
    "num_unscored",
    "seed",
    "limit",
    "precision",
    "model_fingerprint",
    "dataset_fingerprint",
    "status",
    "error",
)


def results_frame(paths: str | Path | Sequence[str | Path]) -> pandas.DataFrame:
    """All records at or under the paths; values are fractions, undefined ones NaN; a failed task is one row.

    Raises DataError for a path without records and for files that are none.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return frame_of(read_all(Path(path) for path in several))


def frame_of(results: Iterable[Result]) -> pandas.DataFrame:
    """The same of records in memory."""
    import pandas

    return pandas.DataFrame([row for result in results for row in tidy_rows(result)], columns=list(COLUMNS))


def tidy_rows(result: Result) -> list[dict[str, Any]]:
    """One row a metric (one without a metric for a failed task), with the columns of COLUMNS."""
    common = {
        "model": result.model.name,
        "spec": result.model.spec,
        "task": result.task.name,
        "protocol": result.task.protocol,
        "dataset": result.dataset.name,
        "split": result.dataset.split,
        "seed": result.seed,
        "limit": result.limit,
        "precision": result.model.precision,
        "model_fingerprint": result.model.fingerprint,
        "dataset_fingerprint": result.dataset.fingerprint,
        "status": result.status,
        "error": result.error,
    }
    rows = [
        {
            "metric": metric.name,
            "primary": metric.name == result.primary_metric,
            "value": metric.value,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "ci_low": metric.ci95[0] if metric.ci95 else None,
            "ci_high": metric.ci95[1] if metric.ci95 else None,
            "num_scored": metric.num_scored,
            "num_unscored": metric.num_unscored,
        }
        for metric in result.metrics
    ]
    return [{column: {**common, **row}.get(column) for column in COLUMNS} for row in rows or [{}]]
