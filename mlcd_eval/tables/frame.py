"""Records as one tidy pandas frame, as CSV and as JSON: one row per metric."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.records import Result, read_all
from mlcd_eval.records.result import plain
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.identity import variants

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "model",
    "spec",
    "task",
    "variant",
    "protocol",
    "task_version",
    "settings",
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
"""variant: what sets a number apart from the others of its task (see `identity.variants`), empty for the usual one."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")


def results_frame(paths: str | Path | Sequence[str | Path]) -> pandas.DataFrame:
    """All records at or under the paths; values are fractions, undefined ones NaN; a failed task is one row.

    Raises DataError for a path without records and for files that are not records.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return frame_of(read_all(Path(path) for path in several))


def frame_of(results: Iterable[Result]) -> pandas.DataFrame:
    """The frame of records in memory; settings are JSON."""
    import pandas

    rows = [row | {"settings": json.dumps(row["settings"], ensure_ascii=False)} for row in tidy_rows(results)]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def as_csv(table: TableInput) -> str:
    """The tidy frame; a text that a spreadsheet would run as a formula gets a ' before it."""
    frame = frame_of(table.results)
    for column in frame.columns:
        frame[column] = frame[column].map(lambda value: _disarmed(value) if isinstance(value, str) else value)
    return frame.to_csv(index=False, lineterminator="\n")


def _disarmed(text: str) -> str:
    text = "\n".join(text.splitlines())  # a lone \r would end the row: the writer does not quote it
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def as_json(table: TableInput) -> str:
    """The tidy rows; undefined values are null."""
    rows = [plain(row) for row in tidy_rows(table.results)]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def tidy_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per metric (one without a metric for a failed task), with the keys of COLUMNS."""
    results = list(results)
    labels = variants(results)
    return [row for result in results for row in _rows(result, labels.label(result))]


def _rows(result: Result, variant: str) -> list[dict[str, Any]]:
    common = {
        "model": result.model.name,
        "spec": result.model.spec,
        "task": result.task.name,
        "variant": variant,
        "protocol": result.task.protocol,
        "task_version": result.task.version,
        "settings": result.task.settings,
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
