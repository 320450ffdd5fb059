"""The outcomes of samples, kept beside every record: the columns that its metrics are made from.

What a data set's samples are (keys, labels, the units that are resampled together) is one file for all models and
tasks, named after its content: OUTPUT/keys/SHA256.json.gz. What a model made of them is a file for each record, of
arrays: OUTPUT/MODEL/outcomes/TASK.DIGEST.npz. Both are written before the record, which names them, and never
overwritten, so that a run killed in between leaves the old record with its own. Texts, masks and pictures of samples
are written by --log-samples only (samples/TASK.jsonl), which records of earlier versions have instead of outcomes.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records.packing import LARGEST, packed, unpacked
from mlcd_eval.records.result import OutcomesRecord, Result, plain
from mlcd_eval.support.documents import json_lines, parse_json
from mlcd_eval.support.fileio import atomic_write, clear_leftovers
from mlcd_eval.support.foreign import reading

FOLDER, KEYS = "outcomes", "keys"
OF_DATA = frozenset({"key", "label", "language"})
"""Columns that say which samples they are, beside the units and parts of the data that a metric names."""
LONGEST = 180
"""Bytes of a record's name in that of its outcomes; file systems take 255 in all."""


@dataclass(frozen=True)
class Outcomes:
    """The columns of a record's samples. path: the file that they are from, for messages."""

    path: Path
    columns: Columns


def samples_path(record: Path) -> Path:
    """Where --log-samples writes the samples of the record in this file."""
    return record.parent / "samples" / f"{record.stem}.jsonl"


def outcomes_path(record: Path, result: Result) -> Path | None:
    """The file of the outcomes that a record names, None if it names none."""
    return record.parent / FOLDER / result.outcomes.file if result.outcomes else None


def write_outcomes(record: Path, result: Result, samples: Columns) -> OutcomesRecord | None:
    """Write the outcomes of the samples of a record, which its file will hold, and return what it says of them; None
    of no samples."""
    if "key" not in samples:
        return None
    kinds = [metric_kind(metric.name) for metric in result.metrics]
    units = {name for kind in kinds for name in (kind.over, kind.among and kind.among[0])}
    of_data = {name: values for name, values in samples.items() if name in OF_DATA | units}
    keys = json.dumps(plain(of_data), sort_keys=True, separators=(",", ":")).encode()
    contents = packed({name: values for name, values in samples.items() if name not in of_data})
    digest = hashlib.sha256(contents).hexdigest()
    written = OutcomesRecord(file=_file_name(record, digest), sha256=digest, keys=hashlib.sha256(keys).hexdigest())
    _write(_keys_path(record.absolute(), written), gzip.compress(keys, mtime=0), written.keys, _unzipped)
    _write(record.parent / FOLDER / written.file, contents, digest)
    return written


def read_outcomes(record: Path, result: Result) -> Outcomes | None:
    """Return the outcomes of the record in this file, of the samples that were logged if it is of an earlier version;
    None if it has neither.

    Raises DataError for a file that is missing or damaged.
    """
    path = outcomes_path(record, result)
    if path is None or result.outcomes is None:
        logged = samples_path(record)
        return Outcomes(logged, _logged(logged)) if logged.is_file() else None
    places = dict.fromkeys(_keys_path(file, result.outcomes) for file in (record.absolute(), record.resolve()))
    keys = next((place for place in places if place.is_file()), next(iter(places)))
    columns = {**_of_data(keys, result.outcomes.keys), **unpacked(_checked(path, result.outcomes.sha256), path)}
    if len({len(values) for values in columns.values()}) != 1:
        raise DataError(f"{path} does not fit {keys}: got columns of different lengths")
    return Outcomes(path, columns)


def _file_name(record: Path, digest: str) -> str:
    """After the record; of one that is too long for that, or no text in UTF-8, after its hash."""
    name = os.fsencode(record.stem)
    try:
        short = name.decode() if len(name) <= LONGEST and "\\" not in record.stem else ""
    except UnicodeDecodeError:
        short = ""
    return f"{short or hashlib.sha256(name).hexdigest()[:32]}.{digest[:16]}.npz"


def _keys_path(record: Path, outcomes: OutcomesRecord) -> Path:
    return record.parent.parent / KEYS / f"{outcomes.keys}.json.gz"


def _write(path: Path, contents: bytes, digest: str, read: Callable[[Path], bytes] = Path.read_bytes) -> None:
    """Write a file that is named after its content, unless it is there and whole."""
    with contextlib.suppress(DataError):
        if path.is_file() and _checked(path, digest, read):
            return
    clear_leftovers(path)
    with atomic_write(path) as file:
        file.write(contents)


def _unzipped(path: Path) -> bytes:
    with path.open("rb") as file, reading(f"{path} is damaged"):
        contents = gzip.GzipFile(fileobj=file).read(LARGEST + 1)
    if len(contents) > LARGEST:
        raise DataError(f"{path} is too large, expected at most {LARGEST:,} bytes of keys")
    return contents


def _checked(path: Path, digest: str, read: Callable[[Path], bytes] = Path.read_bytes) -> bytes:
    """What `read` finds in a file; raises DataError unless it is what a record names."""
    try:
        contents = read(path)
    except OSError as error:
        raise DataError(
            f"{path}, which a record names, cannot be read: got {error.strerror}, expected the folders {KEYS} and "
            f"{FOLDER} where the record was written, or its task run again with --no-resume"
        ) from error
    if hashlib.sha256(contents).hexdigest() != digest:
        raise DataError(
            f"{path} is damaged, or of another run than its record: its sha256 is not the one that the record names; "
            "run its task again with --no-resume"
        )
    return contents


@functools.lru_cache(maxsize=16)
def _of_data(path: Path, digest: str) -> Mapping[str, list[Any]]:
    """The columns of a file of keys, which many records share. They are not to be changed."""
    try:
        columns = parse_json(_checked(path, digest, _unzipped))
    except ValueError as error:
        raise DataError(f"{path} does not hold keys of samples: got {error}, expected JSON") from error
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise DataError(f"{path} does not hold keys of samples: expected an object of lists")
    return columns


def _logged(path: Path) -> Mapping[str, list[Any]]:
    """The columns of a file of --log-samples."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = [row for _, row in json_lines(file, path)]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} does not hold samples: {error}, expected one JSON object per line") from error
    if not rows:
        raise DataError(f"{path} does not hold samples: it is empty, expected one JSON object per line")
    lacking = next((number for number, row in enumerate(rows, 1) if row.keys() != rows[0].keys()), None)
    if lacking is not None:
        raise DataError(f"{path} does not hold samples: line {lacking} has other columns than line 1")
    return {name: [row[name] for row in rows] for name in rows[0]}
