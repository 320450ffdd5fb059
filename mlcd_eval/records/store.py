"""Where records are stored, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlcd_eval.errors import DataError
from mlcd_eval.records.result import SCHEMA_VERSION, Result, plain
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text


def record_path(output: Path, model: str, task: str) -> Path:
    """Return `<output>/<model>/<task with / as __>.json`."""
    return output / model / f"{task.replace('/', '__')}.json"


class ResultStore:
    """The records under one output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def path(self, result: Result) -> Path:
        """Return the path of this record."""
        return record_path(self.output, result.model.name, result.task.name)

    def samples_path(self, result: Result) -> Path:
        """Return the path of this record's per-sample outcomes."""
        path = self.path(result)
        return path.parent / "samples" / f"{path.stem}.jsonl"

    def write(self, result: Result) -> None:
        """Write the record atomically."""
        text = json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(self.path(result), text + "\n")

    def write_samples(self, result: Result, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write one JSON object per line and scored sample."""
        rows = zip(*columns.values(), strict=True)
        lines = [json.dumps(plain(dict(zip(columns, row, strict=True))), ensure_ascii=False) for row in rows]
        write_text(self.samples_path(result), "".join(line + "\n" for line in lines))

    def write_submission(self, result: Result, items: Sequence[Mapping[str, Any]]) -> Path:
        """Write a JSON list for a benchmark's server and return its path."""
        path = self.path(result).parent / "submissions" / self.path(result).name
        write_text(path, json.dumps(list(items), ensure_ascii=False, indent=1) + "\n")
        return path

    def done(self, request: Result, with_samples: bool = False) -> Result | None:
        """Return the successful record of the same request, if it exists (with its samples, if they are wanted)."""
        path = self.path(request)
        if not path.is_file() or (with_samples and not self.samples_path(request).is_file()):
            return None
        try:
            existing = read(path)
        except DataError:
            return None  # a damaged record, or one of another schema version, is recomputed
        return existing if existing.status == "ok" and existing.request_key() == request.request_key() else None


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
    try:
        return Result.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not a valid record: {where}: {first['msg']}") from error


def read_all(paths: Iterable[Path]) -> list[Result]:
    """Read every record at or under the paths, sorted by file name.

    Raises DataError for a path without records and for records of the same request that disagree.
    """
    return [result for _, result in read_files(paths)]


def read_files(paths: Iterable[Path]) -> list[tuple[Path, Result]]:
    """As `read_all`, each record with its file."""
    seen: dict[str, tuple[Path, Result]] = {}
    for path in paths:
        files = [path] if path.is_file() else sorted(_record_files(path))
        if not files:
            raise DataError(f"no records at {path}: expected a record or a folder that `mlcd-eval run` wrote to")
        for file in files:
            result = read(file)
            key = f"{result.model.name} {result.request_key()}"
            if key not in seen:
                seen[key] = file, result
                continue
            first, other = seen[key]
            if [(m.name, m.value) for m in other.metrics] != [(m.name, m.value) for m in result.metrics]:
                raise DataError(f"{first} and {file} are records of the same request and disagree: keep one")
    return list(seen.values())


def _record_files(folder: Path) -> Iterable[Path]:
    for file in folder.rglob("*.json"):
        parts = file.relative_to(folder).parts
        if not {"samples", "submissions"} & set(parts) and not any(part.startswith(".") for part in parts):
            yield file
