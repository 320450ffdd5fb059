"""Where records are stored, and how they are written and read."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlcd_eval.errors import DataError
from mlcd_eval.records.checksum import CHECKSUM, checksum
from mlcd_eval.records.claim import claimed
from mlcd_eval.records.index import indexed
from mlcd_eval.records.outcomes import FOLDER, KEYS, outcomes_path, samples_path, write_outcomes
from mlcd_eval.records.result import SCHEMA_VERSION, Result, plain
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import clear_leftovers, write_text

BESIDE = ("samples", "submissions", FOLDER, KEYS)
"""Folders beside records and their models, whose JSON files are none."""


def record_path(output: Path, model: str, name: str) -> Path:
    """Return `<output>/<model>/<name with / as __>.json`. name: of the record, which is mostly that of its task."""
    return output / model / f"{name.replace('/', '__')}.json"


def models_of(output: Path) -> list[str]:
    """Return the names of the models whose records are in an output folder."""
    folders = (path for path in output.glob("*") if path.is_dir() and path.name not in BESIDE)
    return sorted(path.name for path in folders if next(path.glob("*.json"), None))


class ResultStore:
    """The records under one output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def path(self, result: Result) -> Path:
        """Return the path of this record."""
        return record_path(self.output, result.model.name, result.name)

    def samples_path(self, result: Result) -> Path:
        """Return the path of this record's samples, if they are logged."""
        return samples_path(self.path(result))

    @contextlib.contextmanager
    def claimed(self, requests: Iterable[Result]) -> Iterator[None]:
        """Keep runs with other requests from writing these records while the block computes them.

        Raises ConfigError if such a run is at work.
        """
        with contextlib.ExitStack() as claims:
            for request in requests:
                command = request.request.command if request.request else None
                claims.enter_context(claimed(self.path(request), request.request_key(), command))
            yield

    def write(self, result: Result, samples: Mapping[str, Sequence[Any]] | None = None) -> Result:
        """Write the outcomes of the samples and then the record that names them, each atomically; return the record."""
        path = self.path(result)
        replaced = _outcomes_at(path)
        clear_leftovers(path)
        result = result.model_copy(update={"outcomes": write_outcomes(path, result, samples or {})})
        values = result.model_dump(mode="json")
        values[CHECKSUM] = checksum(values)
        write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        if replaced is not None and replaced != outcomes_path(path, result):
            replaced.unlink(missing_ok=True)
        return result

    def write_samples(self, result: Result, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write one JSON object per line and scored sample, for people: metrics are made from outcomes."""
        rows = zip(*columns.values(), strict=True)
        lines = [json.dumps(plain(dict(zip(columns, row, strict=True))), ensure_ascii=False) for row in rows]
        write_text(self.samples_path(result), "".join(line + "\n" for line in lines))

    def write_submission(self, result: Result, items: Sequence[Mapping[str, Any]]) -> Path:
        """Write a JSON list for a benchmark's server and return its path."""
        path = self.path(result).parent / "submissions" / self.path(result).name
        write_text(path, json.dumps(list(items), ensure_ascii=False, indent=1) + "\n")
        return path

    def done(self, request: Result, with_samples: bool = False) -> Result | None:
        """Return the successful record of the same request, if it exists with the outcomes that it names (and with its
        samples, if they are wanted)."""
        path = self.path(request)
        if not path.is_file() or (with_samples and not self.samples_path(request).is_file()):
            return None
        try:
            existing = read(path)
        except DataError:
            return None  # a damaged record, or one of another schema version, is recomputed
        outcomes = outcomes_path(path, existing)
        if outcomes is not None and not outcomes.is_file():
            return None
        return existing if existing.status == "ok" and existing.request_key() == request.request_key() else None


def _outcomes_at(path: Path) -> Path | None:
    """Return the file of the outcomes of the record at this path, None where there is none."""
    try:
        return outcomes_path(path, read(path)) if path.is_file() else None
    except DataError:
        return None


def read(path: Path) -> Result:
    """Read one record. Raises DataError naming the file and what is wrong with it."""
    try:
        raw = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a record: got {error}, expected JSON") from error
    if not isinstance(raw, dict) or "schema_version" not in raw:
        raise DataError(
            f"{path} is not a record: got JSON without schema_version, expected what `mlcd-eval run` writes"
        )
    if raw["schema_version"] != SCHEMA_VERSION:
        raise DataError(f"{path} has schema_version {raw['schema_version']!r}, expected {SCHEMA_VERSION}")
    if CHECKSUM in raw and raw.pop(CHECKSUM) != checksum(raw):
        raise DataError(
            f"{path} is damaged or was edited: its {CHECKSUM} is not that of its values; run its task again, or, if "
            f"you edited it and want it to be read, remove its line {CHECKSUM!r}"
        )
    try:
        return Result.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not a valid record: {where}: {first['msg']}") from error


def read_all(paths: Iterable[Path]) -> list[Result]:
    """Read every record at or under the paths, sorted by file name. Records that cannot be read, such as damaged ones,
    are left out with a warning.

    Raises DataError if none can be read, for a path without records, and for records of the same request that disagree.
    """
    return [result for _, result in read_files(paths)]


def read_files(paths: Iterable[Path]) -> list[tuple[Path, Result]]:
    """As `read_all`, each record with its file."""
    unreadable: list[DataError] = []
    records = [record for path in paths for record in _read_under(path, unreadable)]
    several = Counter(map(_name, records))
    seen: dict[str, tuple[Path, Result]] = {}
    kept = []
    for file, result in records:
        if several[_name((file, result))] > 1:  # others cannot be of one request
            first, other = seen.setdefault(f"{result.model.name} {result.request_key()}", (file, result))
            if [(m.name, m.value) for m in other.metrics] != [(m.name, m.value) for m in result.metrics]:
                raise DataError(f"{first} and {file} are records of the same request and disagree: keep one")
            if other is not result:
                continue
        kept.append((file, result))
    if unreadable and not kept:
        raise unreadable[0]
    for problem in unreadable:
        warnings.warn(f"left out: {problem}", stacklevel=3)
    return kept


def _name(record: tuple[Path, Result]) -> tuple[str, str]:
    return record[1].model.name, record[1].task.name


def _read_under(path: Path, unreadable: list[DataError]) -> list[tuple[Path, Result]]:
    """Return the records at or under a path with their files, and add what is wrong with others to `unreadable`."""
    files = [path] if path.is_file() else record_files(path)
    if not files:
        raise DataError(f"no records at {path}: expected a record or a folder that `mlcd-eval run` wrote to")
    records = []
    with indexed(path, files, read) as read_record:
        for file in files:
            try:
                records.append((file, read_record(file)))
            except DataError as error:
                unreadable.append(error)
    return records


def record_files(folder: Path) -> list[Path]:
    """Return the JSON files under a folder, in the order of their paths with numbers as numbers, without those that
    belong to records."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in BESIDE and not name.startswith(".")]
        paths += [Path(parent, name) for name in names if name.endswith(".json") and not name.startswith(".")]
    return sorted(paths, key=lambda path: [_natural(part) for part in path.parts])


@functools.lru_cache(maxsize=1 << 14)
def _natural(name: str) -> tuple[str | int, ...]:
    """A key by which `shots=4` comes before `shots=16`: texts and numbers by turns."""
    return tuple(int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name)))
