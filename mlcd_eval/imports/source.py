"""A file that another harness wrote: read, and distinguished from those of the others."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.support.documents import json_lines, parse_json


@dataclass(frozen=True)
class Source:
    """One file and the harness that it is said to be from."""

    harness: str
    path: Path
    data: bytes

    @classmethod
    def of(cls, harness: str, path: Path) -> Source:
        """Read it; raises DataError where that cannot be done."""
        try:
            return cls(harness, path, path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}, expected a result file of {harness}") from error

    @property
    def sha256(self) -> str:
        """The hash of the content."""
        return hashlib.sha256(self.data).hexdigest()

    def text(self) -> str:
        """Raises DataError for what is not UTF-8."""
        if self.data.startswith(b"PK"):
            raise DataError(f"{self.path} is a spreadsheet or archive, no text: it looks like one of vlmevalkit")
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not text: {error}, expected a result file of {self.harness}") from error

    def json(self) -> Any:
        """Raises DataError for what is not JSON; NaN is read, and refused where it would be a value."""
        try:
            return parse_json(self.text())
        except ValueError as error:
            raise DataError(f"{self.path} is not JSON: {error}, expected a result file of {self.harness}") from error

    def json_lines(self) -> list[dict[str, Any]]:
        """One object per line; raises DataError for a line that is none."""
        return [row for _, row in json_lines(self.text().split("\n"), self.path)]

    def rows(self, delimiter: str = ",") -> list[dict[str, str]]:
        """The rows of a table; empty cells are left out. Raises DataError for none, and for rows of another length."""
        try:
            rows = list(csv.DictReader(io.StringIO(self.text(), newline=""), delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise DataError(f"{self.path} is not CSV: {error}, expected a result file of {self.harness}") from error
        if not rows or any(None in row or None in row.values() for row in rows):
            raise DataError(f"{self.path} is not a table: got no row, or rows of different length")
        return [{key: value for key, value in row.items() if value != ""} for row in rows]

    def content(self) -> Any:
        """The rows of a `.csv`, else JSON."""
        return self.rows() if self.path.suffix.lower() == ".csv" else self.json()

    def checked_object(self) -> dict[str, Any]:
        """The content that is one JSON object of this harness; raises DataError for anything else."""
        content = self.content()
        self.check(content)
        if not isinstance(content, dict):
            raise DataError(f"{self.path} holds a list, expected one object as {self.harness} writes it")
        return content

    def check(self, content: Any) -> None:
        """Raise DataError unless this harness may have written the content; the message names the one that may have."""
        stem = self.path.stem
        if not _recognised(self.harness, content, stem):
            others = [name for name in HARNESSES if _recognised(name, content, stem)]
            others += ["mlcd-eval"] if _is_record(content) else []
            like = f"it looks like one of {' or '.join(others)}" if others else "it looks like none that is known"
            raise DataError(f"{self.path} is not a result file of {self.harness}: {like}")


def _recognised(harness: str, content: Any, stem: str) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict) or _is_record(content):
        return False
    return bool(HARNESSES[harness].reader().recognises(first, stem))


def _is_record(content: Any) -> bool:
    return isinstance(content, dict) and {"schema_version", "metrics"} <= content.keys()


def as_dict(value: Any) -> dict[str, Any]:
    """The value itself where it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}
