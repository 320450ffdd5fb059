"""The log of a run: a JSON line per logged step, and the same curves for experiment trackers."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.loggers.base import LogRun
from mlcd_eval.loggers.registry import Writers
from mlcd_eval.support.documents import json_lines
from mlcd_eval.support.fileio import write_text

LOG_NAME = "log.jsonl"
PROJECT = "mlcd-train"


class RunLog:
    """Appends to folder/log.jsonl, and to one run of each tracker, which is continued when the training resumes.

    start: the step at which the run starts or resumes; later lines, written before it was killed, are dropped. title:
    of the run. trackers: their names; local files of theirs are in `folder`.
    """

    def __init__(self, folder: Path, start: int, title: str = "", trackers: Sequence[str] = ()) -> None:
        self.path = folder / LOG_NAME
        if start:
            kept = [line for line in read_log(self.path) if line["step"] <= start]
            write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in kept))
        else:
            write_text(self.path, "")
        identity = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        self._trackers = Writers(trackers, LogRun(PROJECT, title, folder, {"folder": str(folder)}, identity, start))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line for a step; values that are not finite become null."""
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **plain}) + "\n")
        self._trackers.write(step, values)

    def close(self) -> None:
        """End the runs of the trackers."""
        self._trackers.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, without a last line that a killed run left unfinished. Raises DataError if it is damaged."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    rows = [row for _, row in json_lines(lines[:-1], path)]
    if not all(isinstance(row.get("step"), int) for row in rows):
        raise DataError(f"{path} is damaged: a line has no step")
    return rows
