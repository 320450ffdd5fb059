"""What a report shows beside its numbers: examples from samples files, and logs of trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.records import read

SCORES = ("iou", "anls", "anls_compat")
"""Columns that order the samples of a file; files without one have no examples."""
FEW = 3
LONGEST = 300  # characters of a field


@dataclass(frozen=True)
class Examples:
    """The worst, median and best samples of a task; rows: (which, score, text of each of `columns`)."""

    model: str
    task: str
    score: str
    columns: list[str]
    rows: list[tuple[str, float, list[str]]]


@dataclass(frozen=True)
class Training:
    """A stage's log: for each step a value of every name, None where it has none."""

    name: str
    steps: list[int]
    values: dict[str, list[float | None]]


def read_examples(paths: Iterable[Path]) -> list[Examples]:
    """Of every samples file that stands beside a record at or under the paths and has one of SCORES.

    Raises DataError for a damaged one.
    """
    found: dict[Path, Examples] = {}
    for path in paths:
        beside = [path.parent / "samples" / f"{path.stem}.jsonl"] if path.is_file() else path.rglob("samples/*.jsonl")
        for file in sorted(beside):
            record = file.parent.parent / f"{file.stem}.json"
            if file.is_file() and record.is_file() and (examples := _examples(file, record)):
                found[file.resolve()] = examples
    return list(found.values())


def read_trainings(folder: Path) -> list[Training]:
    """The logs of a run's stages, `folder/fit/log.jsonl` and its like; raises DataError where there is none."""
    files = sorted(folder.glob("*/log.jsonl"))
    if not files:
        raise DataError(f"--training: no log in {folder}, expected a run of `mlcd-train` with fit/log.jsonl")
    return [_training(f"{folder.resolve().name}/{file.parent.name}", file) for file in files]


def _training(name: str, file: Path) -> Training:
    rows = list(_rows(file))
    if not all(type(row.get("step")) is int for row in rows):
        raise DataError(f"{file} is not a training's log: got a line without a step")
    names = dict.fromkeys(key for row in rows for key in row if key != "step")
    values = {key: [_finite(row.get(key)) for row in rows] for key in names}
    return Training(name, [row["step"] for row in rows], values)


def _examples(file: Path, record: Path) -> Examples | None:
    """The few samples that show a task's range; masks, which are no text, are left out."""
    score_name = ""
    samples: list[tuple[float, dict[str, Any]]] = []
    for row in _rows(file):
        score_name = score_name or next((name for name in SCORES if name in row), "")
        if not score_name:
            return None
        if (score := _finite(row.pop(score_name, None))) is not None:
            samples.append((score, {key: value for key, value in row.items() if not isinstance(value, dict)}))
    if not samples:
        return None
    result = read(record)
    columns = list(dict.fromkeys(key for _, row in samples for key in row))
    rows = [(which, score, [_text(row.get(key)) for key in columns]) for which, (score, row) in chosen(samples)]
    return Examples(result.model.name, result.task.name, score_name, columns, rows)


def chosen(samples: Sequence[tuple[float, Any]], few: int = FEW) -> Iterator[tuple[str, tuple[float, Any]]]:
    """The worst, median and best of scored samples, at most `few` of each kind, none twice; ties as they come."""
    ordered = sorted(samples, key=lambda sample: sample[0])
    few = min(few, -(-len(ordered) // 3))
    worst, rest = ordered[:few], ordered[few:]
    best, between = rest[-few:], rest[:-few]
    start = (len(between) - few + 1) // 2
    for which, few_of in (("worst", worst), ("median", between[max(start, 0) :][:few]), ("best", best[::-1])):
        yield from ((which, sample) for sample in few_of)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line; a last line without its end, left by a killed run, is none."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{file}, line {number}: got {error}, expected JSON") from error
            if not isinstance(row, dict):
                raise DataError(f"{file}, line {number}: got {type(row).__name__}, expected an object")
            yield row


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _text(value: Any) -> str:
    """A field as a reader wants it, cut where it is very long."""
    text = " | ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
