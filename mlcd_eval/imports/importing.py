"""`import_results`: read all files, check where their records go, then write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.imported_task import ImportedTask, record
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.imports.source import Source
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.records import read as read_record
from mlcd_eval.spec import TaskIndex

LONGEST_NAME = 250
"""Bytes of a file's or folder's name, of which file systems take 255."""
SHOWN = 8
"""How many names of values a message lists."""


@dataclass(frozen=True)
class Imported:
    """What was written, and what was not: one line per data set and reason."""

    records: list[Result]
    left_out: list[str]


def import_results(harness: str, files: Sequence[Path], output: Path, name: str | None = None) -> Imported:
    """Read all files, then write all records.

    name: of the one model, by default its own with `@harness`. A file of the same content is read once, and its records
    may be written again. Raises UserError for a file that is not of the harness, that names no model or holds nothing
    known or a value out of its unit's range, and for a record that would replace one of other content.
    """
    if name is not None and not re.fullmatch(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*", name):
        raise ConfigError(f"--name: got {name!r}, expected a name without slashes that begins with no dot")
    reader, index = HARNESSES[harness].reader(), TaskIndex.load()
    sources = [Source.of(harness, path) for file in files for path in _files(harness, file)]
    tasks: list[ImportedTask] = list(reader.read(_distinct(sources), index))
    known = [task for task in tasks if task.metrics]
    _check_each_file_has_some(tasks, known)
    _check_models(known, name)
    store = ResultStore(output)
    records = _by_place(store, [(record(task, index, name), task) for task in known])
    return Imported(
        [store.write(result, task.outcomes) for result, task in records], list(dict.fromkeys(_left_out(tasks)))
    )


def _files(harness: str, path: Path) -> list[Path]:
    """The file itself, or the JSON files below a folder of a harness that writes folders."""
    if not path.is_dir():
        return [path]
    if not HARNESSES[harness].folders:
        raise DataError(f"{path} is a folder, expected result files of {harness}: {HARNESSES[harness].files}")
    files = sorted(path.rglob("*.json"))
    if not files:
        raise DataError(f"{path} holds no JSON file, expected {HARNESSES[harness].files}")
    return files


def _distinct(sources: Iterable[Source]) -> list[Source]:
    """Each path once."""
    return list({source.path: source for source in sources}.values())


def _left_out(tasks: Iterable[ImportedTask]) -> Iterator[str]:
    """`FILE: DATA SET: NAMES (REASON)`."""
    for task in tasks:
        reasons: dict[str, list[str]] = {}
        for key, left in task.left_out.items():
            reasons.setdefault(left.reason, []).append(key)
        for reason, names in reasons.items():
            yield f"{task.source.path}: {task.dataset}: {_some(names)} ({reason})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _check_each_file_has_some(tasks: Sequence[ImportedTask], known: Sequence[ImportedTask]) -> None:
    """Raise DataError for a file from which nothing would be imported."""
    with_values = {task.source.path for task in known}
    for path in dict.fromkeys(task.source.path for task in tasks if task.source.path not in with_values):
        nothing = [task for task in tasks if task.source.path == path]
        reasons = dict.fromkeys(line.removeprefix(f"{path}: ") for line in _left_out(nothing))
        raise DataError(f"{path} holds no value that mlcd-eval knows: {_some(list(reasons)) or 'it is empty'}")


def _check_models(tasks: Sequence[ImportedTask], name: str | None) -> None:
    """Raise UserError for a name that would be of several models, and for a model without any."""
    models = sorted({task.model for task in tasks if task.model})
    if name is not None and len(models) > 1:
        raise ConfigError(f"--name is for one model: got files of {', '.join(models)}")
    for task in tasks:
        if not task.model and name is None:
            raise DataError(f"{task.source.path} names no model: expected --name MODEL")


def _by_place(store: ResultStore, records: Sequence[tuple[Result, ImportedTask]]) -> list[tuple[Result, ImportedTask]]:
    """The records with their tasks, one per place; those of files of the same content are one.

    Raises DataError where two records have one place, or the place holds a record of other content.
    """
    taken: dict[Path, tuple[Result, ImportedTask]] = {}
    for result, task in records:
        path, file = store.path(result), result.details["file"]
        if max(len(part.encode()) for part in (path.name, path.parent.name)) > LONGEST_NAME:
            raise DataError(
                f"{file} holds a name of over {LONGEST_NAME} characters, which no file can have: {path.name[:40]}"
            )
        what = f"{result.task.name} of {result.model.name}"
        earlier = taken[path][0] if path in taken else None
        if earlier is not None and earlier.model.spec == result.model.spec and earlier.details["file"] == file:
            raise DataError(f"{file} holds {what} twice: expected each task of a model once")
        if earlier is None and path.is_file():
            earlier = read_record(path)
        if earlier is not None and earlier.model.spec != result.model.spec:
            other = earlier.details.get("file", earlier.model.spec)
            raise DataError(
                f"{other} and {file} differ, and both hold {what} ({path}): give one of them another --name or --output"
            )
        taken[path] = result, task
    return list(taken.values())
