"""Records written to experiment trackers as soon as they are there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mlcd_eval.loggers.base import LogRun
from mlcd_eval.loggers.registry import Writers, check_loggers
from mlcd_eval.records import Result

PROJECT = "mlcd-eval"


class ResultLog:
    """One run of each tracker per model, opened at the model's first record; or one in all, for a training's
    checkpoints.

    names: of trackers. output: of the records; local files of trackers go to `output`/.logs. training: name of the
    training whose checkpoints the models are; its run is continued. Raises ConfigError if a package is missing.
    """

    def __init__(self, names: Sequence[str], output: Path, training: str | None = None) -> None:
        check_loggers(names)
        self._names = names
        self._output = output
        self._training = training
        self._writers: dict[str, Writers] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> ResultLog:
        return self

    def __exit__(self, *_: object) -> None:
        for writers in self._writers.values():
            writers.close()

    def write(self, result: Result, step: int | None = None) -> None:
        """Write the values of a record with the ends of their intervals. step: of the training; None for the number of
        the record."""
        if not self._names:
            return
        name = self._training or result.model.name
        if name not in self._writers:
            self._writers[name] = Writers(self._names, self._run(name, result))
        self._counts[name] = self._counts.get(name, 0) + 1
        self._writers[name].write(self._counts[name] if step is None else step, values_of(result))

    def _run(self, name: str, result: Result) -> LogRun:
        folder = self._output / ".logs" / name  # hidden, so that no file in it is taken for a record
        if self._training is not None:
            identity = hashlib.sha256(os.fsencode(self._output.resolve() / name)).hexdigest()[:16]
            return LogRun(PROJECT, name, folder, {"training": name}, identity)
        model = result.model
        config = {"model": model.spec, "fingerprint": model.fingerprint, "precision": model.precision}
        return LogRun(PROJECT, name, folder, config)


def values_of(result: Result) -> dict[str, float]:
    """Return `TASK/METRIC` -> value, with `_low` and `_high` for the ends of its 95% interval, as stored in the record;
    `TASK/failed` -> 1 for a failed task."""
    task = result.name
    if result.status == "error":
        return {f"{task}/failed": 1.0}
    values: dict[str, float] = {}
    for metric in result.metrics:
        if metric.value is not None:
            values[f"{task}/{metric.name}"] = metric.value
            if metric.ci95 is not None:
                values[f"{task}/{metric.name}_low"], values[f"{task}/{metric.name}_high"] = metric.ci95
    return values
