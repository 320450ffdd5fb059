"""MLCD-Seg's evaluation of referring segmentation (deepglint/unicom, mlcd_vl/downstream/eval, at ae714112).

result.jsonl has a line per sentence: areas of intersection and union, [background, foreground], and `accuracy_iou`,
the mean IoU of the sentence's targets, where two empty masks count 1. eval_dataset.json has per data set and split
`class_iou`, the foreground's summed intersection over its summed union, and `global_iou`, the mean of accuracy_iou;
both are fractions. Masks are compared at the size of the model's output, not of the image, which the settings say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.imported_task import ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.imports.values import bounded, fraction, last_part, safe_name
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

OVERALL, MEAN = "overall_iou", "mean_iou"
REPORTED = {"class_iou": OVERALL, "global_iou": MEAN}
FOREGROUND = 1


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether MLCD-Seg may have written this: a line of result.jsonl, or the object of eval_dataset.json."""
    return "accuracy_iou" in first or any(REPORTED.keys() <= as_dict(value).keys() for value in first.values())


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per data set and split of each file."""
    for source in sources:
        if source.path.suffix == ".jsonl":
            yield from _of_samples(source, index)
        else:
            yield from _of_summary(source, index)


def _of_samples(source: Source, index: TaskIndex) -> Iterator[ImportedTask]:
    rows_of: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for number, row in enumerate(source.json_lines(), 1):
        missing = [key for key in ("dataset", "split_name", "intersection", "union", "accuracy_iou") if key not in row]
        if missing:
            raise DataError(
                f"{source.path}, line {number} has no {', '.join(missing)}: expected MLCD-Seg's result.jsonl"
            )
        model = safe_name(last_part(str(row.get("model_id", ""))))
        rows_of.setdefault((model, str(row["dataset"]), str(row["split_name"])), []).append(row)
    for (model, dataset, split), rows in rows_of.items():
        where = f"{source.path}: {dataset} {split}"
        outcomes = {name: [_foreground(where, row, name, None) for row in rows] for name in ("intersection", "union")}
        outcomes["iou"] = [_foreground(where, row, "accuracy_iou", 1) for row in rows]
        keys = [str(row.get("sample_id", number)) for number, row in enumerate(rows)]
        sums = [sum(outcomes[name]) for name in ("intersection", "union")]
        overall = sums[0] / sums[1] if sums[1] else None
        mean = sum(outcomes["iou"]) / len(rows)
        metrics = [
            Metric(name=OVERALL, value=None if overall is None else fraction(where, overall), num_scored=len(rows)),
            Metric(name=MEAN, value=mean, num_scored=len(rows)),
        ]
        columns: dict[str, list[Any]] = {"key": keys, **outcomes}
        yield _task(source, index, model, dataset, split, metrics, outcomes=columns, num_samples=len(rows))


def _foreground(where: str, row: Mapping[str, Any], name: str, most: float | None) -> float:
    """The foreground's number of a pair [background, foreground]; raises DataError for what is none."""
    pair = row[name]
    if not isinstance(pair, list) or len(pair) != 2:
        raise DataError(f"{where}: {name} is {pair!r}, expected [background, foreground]")
    if most is not None:
        return bounded(f"{where}: {name}", pair[FOREGROUND], "a fraction", 0, most)
    return bounded(f"{where}: {name}", pair[FOREGROUND], "an area", 0, 1e12)


def _of_summary(source: Source, index: TaskIndex) -> Iterator[ImportedTask]:
    for name, values in source.checked_object().items():
        reported = as_dict(values)
        dataset, _, split = name.rpartition("_")
        metrics = [
            Metric(name=ours, value=fraction(f"{source.path}: {name}: {theirs}", reported[theirs]), num_scored=None)
            for theirs, ours in REPORTED.items()
            if theirs in reported
        ]
        left_out = {key: LeftOut(value, "not known here") for key, value in reported.items() if key not in REPORTED}
        yield _task(source, index, "", dataset, split, metrics, left_out=left_out)


def _task(
    source: Source,
    index: TaskIndex,
    model: str,
    dataset: str,
    split: str,
    metrics: Sequence[Metric],
    num_samples: int | None = None,
    outcomes: Mapping[str, Sequence[Any]] | None = None,
    left_out: Mapping[str, LeftOut] | None = None,
) -> ImportedTask:
    """Ours where the names of data set and split are those of one of our tasks."""
    ours = f"refcoco/{dataset}_{split}"
    return ImportedTask(
        source=source,
        model=model,
        task=ours if ours in index.tasks else foreign_task("mlcd-seg", dataset, split),
        dataset=dataset,
        metrics=tuple(metrics),
        primary=OVERALL if metrics else None,
        kind="refer",
        split=split,
        settings={"mask_size": "the model's output", "empty_union": "lisa"},
        left_out=left_out or {},
        outcomes=outcomes or {},
        num_samples=num_samples,
    )
