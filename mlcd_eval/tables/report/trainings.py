"""Logs of trainings, which a report draws below its numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.support import documents


@dataclass(frozen=True)
class Training:
    """The log of a stage: for each name one value per step, None for a step without it."""

    name: str
    steps: list[int]
    values: dict[str, list[float | None]]


def read_trainings(folder: Path) -> list[Training]:
    """The logs of a run's stages, such as `folder/fit/log.jsonl`; raises DataError where there is none."""
    files = sorted(folder.glob("*/log.jsonl"))
    if not files:
        raise DataError(f"--training: no log in {folder}, expected a run of `mlcd-train` with fit/log.jsonl")
    return [_training(f"{folder.resolve().name}/{file.parent.name}", file) for file in files]


def _training(name: str, file: Path) -> Training:
    rows = list(json_lines(file))
    if not all(type(row.get("step")) is int for row in rows):
        raise DataError(f"{file} is not a training's log: got a line without a step")
    names = dict.fromkeys(key for row in rows for key in row if key != "step")
    values = {key: [finite(row.get(key)) for row in rows] for key in names}
    return Training(name, [row["step"] for row in rows], values)


def json_lines(file: Path) -> Iterator[dict[str, Any]]:
    """JSON objects, one per line, without a last line that a killed run left incomplete. Raises DataError."""
    with file.open("rb") as lines:
        whole = (line for line in lines if line.endswith(b"\n"))
        yield from (row for _, row in documents.json_lines(whole, file))


def finite(value: Any) -> float | None:
    """The value where it is a finite number, else None."""
    return float(value) if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max else None
