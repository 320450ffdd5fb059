"""Result files of other harnesses as our records: one module a harness, each with `read`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.common import Found, record
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
"""Name -> module here."""


@dataclass(frozen=True)
class Imported:
    """What was written, and what was not: a line each task, with the metrics that are none of ours."""

    records: list[Result]
    not_imported: list[str]


def import_results(harness: str, files: Sequence[Path], output: Path, name: str | None = None) -> Imported:
    """Read all files, then write all records.

    name: of the one model, by default its own with `@harness`. Raises UserError for a file that is not of the harness,
    that holds nothing known or a value out of its unit's range, and for a record that would replace another.
    """
    index = TaskIndex.load()
    module = import_module(f"mlcd_eval.imports.{HARNESSES[harness]}")
    found: list[Found] = list(module.read([Source.of(harness, path) for path in dict.fromkeys(files)], index))
    known = [one for one in found if one.metrics]
    _check_each_file_has_some(found, known)
    models = sorted({one.model for one in known})
    if name is not None and not re.fullmatch(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*", name):
        raise ConfigError(f"--name: got {name!r}, expected a name without slashes that begins with no dot")
    if name is not None and len(models) > 1:
        raise ConfigError(f"--name is for one model: got files of {', '.join(models)}")
    records = [record(one, index, name) for one in known]
    store = ResultStore(output)
    _check_places(store, records)
    for result in records:
        store.write(result)
    others = [f"{one.source.path}: {one.dataset}: {', '.join(one.not_imported)}" for one in found if one.not_imported]
    return Imported(records, others)


def _check_each_file_has_some(found: Sequence[Found], known: Sequence[Found]) -> None:
    having = {one.source.path for one in known}
    for path in dict.fromkeys(one.source.path for one in found if one.source.path not in having):
        others = [f"{one.dataset} {metric}" for one in found if one.source.path == path for metric in one.not_imported]
        more = f" and {len(others) - 8} more" if len(others) > 8 else ""
        raise DataError(f"{path} holds no metric that mlcd-eval knows: got {', '.join(others[:8]) or 'none'}{more}")


def _check_places(store: ResultStore, records: Sequence[Result]) -> None:
    """Raise DataError where two records have one place, or one that holds what was not imported from the same file."""
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
