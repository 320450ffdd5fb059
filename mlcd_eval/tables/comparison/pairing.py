"""Which records may be paired, and how the samples of two are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.paired import PERMUTATION, Paired, paired_class_means, paired_means, paired_ratios
from mlcd_eval.records import Result, read
from mlcd_eval.tables.identity import facts

SEED = 0
UNITS = ("document", "image")  # columns that several samples may share, the widest first
_RECALL = re.compile(r"(text_to_image|image_to_text)_recall@(\d+)")

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Side:
    """The records of one model by task, in the folder that `run` wrote them to, with samples files beside them."""

    folder: Path
    model: str
    records: dict[str, Result]

    def samples_path(self, task: str) -> Path:
        """The path of a task's samples file, which may not exist."""
        return self.folder / "samples" / f"{task.replace('/', '__')}.jsonl"


def load_side(folder: Path) -> Side:
    """Raises DataError for a folder that does not hold the records of one model."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"{folder} holds no records: expected OUTPUT/MODEL, or OUTPUT with --model NAME twice")
    results = [read(file) for file in files]
    models = sorted({result.model.name for result in results})
    records = {result.task.name: result for result in results}
    if len(models) > 1 or len(records) < len(files):
        raise DataError(
            f"{folder} is not the folder of one model: got {len(files)} records of {len(records)} tasks by "
            f"{', '.join(models)}, expected one model and one record per task"
        )
    return Side(folder, models[0], records)


def why_unpairable(a: Result, b: Result) -> str | None:
    """The first difference, unless both were measured in the same way on the same data."""
    mine, theirs = ({**facts(r), "primary metric": json.dumps(r.primary_metric)} for r in (a, b))
    for name in dict.fromkeys([*mine, *theirs]):
        of_a, of_b = (json.loads(known.get(name, "null")) for known in (mine, theirs))
        if of_a != of_b:
            return f"it differs in {name} {of_a!r} and {of_b!r}"
    return None


def pair_samples(a: Side, b: Side, task: str, metric: str) -> tuple[int, Paired | None]:
    """The number of samples, and a test of a metric on them; None where they do not hold what it is computed from.

    Raises DataError for files that are damaged, hold different samples, or do not give the values of their records.
    """
    sides = [_samples(side.samples_path(task), metric) for side in (a, b)]
    for of_a, of_b in zip_longest(*([row.get("key") for row in rows] for rows in sides)):
        if of_a != of_b:
            raise DataError(
                f"{task}: A and B were not scored on the same samples: got {len(sides[0]):,} and {len(sides[1]):,}, "
                f"the first that differ being {of_a!r} and {of_b!r}"
            )
    try:
        paired = _paired(metric, *sides)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{task}: samples of A or B are damaged: {type(error).__name__} {error}") from error
    for side, value in zip((a, b), (paired.a, paired.b) if paired else (), strict=False):
        primary = side.records[task].primary
        recorded = primary.value if primary else None
        if recorded is None or not abs(recorded - value) < 1e-6:
            raise DataError(
                f"{side.samples_path(task)} does not match its record: got {metric} {value}, expected {recorded}"
            )
    return len(sides[0]), paired


def _samples(path: Path, metric: str) -> Rows:
    """The lines of a file; for retrieval those in the metric's direction."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} does not hold samples: got {error}, expected one JSON object per line") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} does not hold samples: got {len(rows)} lines, expected one JSON object per line")
    recall = _RECALL.fullmatch(metric)
    return [row for row in rows if row.get("direction") == recall[1]] if recall else rows


def _paired(metric: str, a: Rows, b: Rows) -> Paired | None:
    rng = np.random.default_rng(SEED)
    unit, groups = next(((unit, [row[unit] for row in a]) for unit in UNITS if unit in a[0]), ("sample", None))

    def both(column: str) -> np.ndarray:
        return np.array([[float(row[column]) for row in rows] for rows in (a, b)])

    recall = _RECALL.fullmatch(metric)
    if recall:
        if recall[1] == "text_to_image":
            unit, groups = "image", [row["key"].rpartition("#")[0] for row in a]
        hits_a, hits_b = both("rank") <= int(recall[2])
        paired = paired_means(hits_a, hits_b, rng, groups)
    elif metric == "overall_iou":
        terms_a, terms_b = np.stack([both("intersection"), both("union")], axis=2)
        paired = paired_ratios(terms_a, terms_b, rng, groups)
    elif metric == "mean_per_class_recall":
        right_a, right_b = both("correct")
        paired = paired_class_means(right_a, right_b, [row["label"] for row in a], rng)
    else:
        column = "correct" if metric == "acc1" or metric.startswith("knn_acc1@") else metric
        if column not in a[0]:
            return None  # map, roc_auc, acc5: the scores are not kept
        outcomes_a, outcomes_b = both(column)
        paired = paired_means(outcomes_a, outcomes_b, rng, groups)
    return paired._replace(test=f"permutation of {unit}s") if paired.test == PERMUTATION else paired
