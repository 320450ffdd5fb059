"""Result files of other harnesses as records: one module per harness, each with a function `read`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.common import ImportedTask, record
from mlcd_eval.imports.source import Source
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.records import read as read_record
from mlcd_eval.spec import TaskIndex

HARNESSES = {
    "clip-benchmark": "clip_benchmark",
    "lm-eval": "lm_eval",
    "lmms-eval": "lm_eval",
    "vlmevalkit": "vlmevalkit",
}
"""Name -> module of this folder."""


@dataclass(frozen=True)
class Imported:
    """The records that were written; not_imported: one line per task, with its metrics that are not known here."""

    records: list[Result]
    not_imported: list[str]


def import_results(harness: str, files: Sequence[Path], output: Path, name: str | None = None) -> Imported:
    """Read all files, then write all records.

    name: of the model in the records, by default its own with `@harness`. Raises UserError for a file that is not of
    the harness, that holds no known metric or a value out of its unit's range, and for a record that would replace one
    of another file.
    """
    index = TaskIndex.load()
    module = import_module(f"mlcd_eval.imports.{HARNESSES[harness]}")
    tasks: list[ImportedTask] = list(module.read([Source.of(harness, path) for path in dict.fromkeys(files)], index))
    known = [task for task in tasks if task.metrics]
    _check_each_file_has_metrics(tasks)
    models = sorted({task.model for task in known})
    if name is not None and not re.fullmatch(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*", name):
        raise ConfigError(f"--name: got {name!r}, expected a name without slashes that begins with no dot")
    if name is not None and len(models) > 1:
        raise ConfigError(f"--name is for one model: got files of {', '.join(models)}")
    records = [record(task, index, name) for task in known]
    store = ResultStore(output)
    _check_places(store, records)
    for result in records:
        store.write(result)
    left_out = [task for task in tasks if task.not_imported]
    lines = [f"{task.source.path}: {task.dataset}: {', '.join(task.not_imported)}" for task in left_out]
    return Imported(records, lines)


def _check_each_file_has_metrics(tasks: Sequence[ImportedTask]) -> None:
    with_metrics = {task.source.path for task in tasks if task.metrics}
    for path in dict.fromkeys(task.source.path for task in tasks if task.source.path not in with_metrics):
        of_file = [task for task in tasks if task.source.path == path]
        others = [f"{task.dataset} {metric}" for task in of_file for metric in task.not_imported]
        more = f" and {len(others) - 8} more" if len(others) > 8 else ""
        raise DataError(f"{path} holds no metric that mlcd-eval knows: got {', '.join(others[:8]) or 'none'}{more}")


def _check_places(store: ResultStore, records: Sequence[Result]) -> None:
    """Raise DataError where two records have one path, or one that holds a record of another file."""
    taken: dict[Path, Result] = {}
    for result in records:
        path, spec = store.path(result), result.model.spec
        if path in taken:
            raise DataError(
                f"{taken[path].model.spec} and {spec} both hold {result.task.name} of {result.model.name}: give one"
            )
        taken[path] = result
        if path.is_file() and (other := read_record(path).model.spec) != spec:
            raise DataError(f"{path} holds the record of {other}: give another --name or --output for {spec}")
