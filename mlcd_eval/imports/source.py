"""A file that some harness wrote: read, and told apart from those of the others."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError


@dataclass(frozen=True)
class Source:
    """One file and the harness that it is said to be of."""

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
            return json.loads(self.text())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.path} is not JSON: {error}, expected a result file of {self.harness}") from error

    def rows(self) -> list[dict[str, str]]:
        """A CSV file's rows; empty cells are left out. Raises DataError for none, and for rows of another length."""
        try:
            rows = list(csv.DictReader(io.StringIO(self.text(), newline=""), strict=True))
        except csv.Error as error:
            raise DataError(f"{self.path} is not CSV: {error}, expected a result file of {self.harness}") from error
        if not rows or any(None in row or None in row.values() for row in rows):
            raise DataError(f"{self.path} is not a table: got no row, or rows of different length")
        return [{key: value for key, value in row.items() if value != ""} for row in rows]

    def content(self) -> Any:
        """Rows of a `.csv`, else JSON."""
        return self.rows() if self.path.suffix.lower() == ".csv" else self.json()

    def check(self, content: Any) -> None:
        """Raise DataError unless what was read can be of this harness, with what it looks like."""
        found = looks_like(content)
        if self.harness not in found:
            like = f"it looks like one of {' or '.join(found)}" if found else "it looks like none that is known"
            raise DataError(f"{self.path} is not a result file of {self.harness}: {like}")


def looks_like(content: Any) -> tuple[str, ...]:
    """The harnesses that may have written this."""
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return ()
    if {"dataset", "model", "task"} <= first.keys() and ("metrics" in first or "model_fullname" in first):
        return ("clip-benchmark",)
    if "schema_version" in first and "metrics" in first:
        return ("mlcd-eval",)
    if isinstance(first.get("results"), dict):
        configs = [one for one in as_dict(first.get("configs")).values() if isinstance(one, dict)]
        if "lmms_eval_version" in first or any(
            {"doc_to_visual", "lmms_eval_specific_kwargs"} & c.keys() for c in configs
        ):
            return ("lmms-eval",)
        if {"lm_eval_version", "pretty_env_info", "transformers_version"} & first.keys():
            return ("lm-eval",)
        return ("lm-eval", "lmms-eval")
    return ("vlmevalkit",) if {"Overall", "Final Score"} & first.keys() else ()


def as_dict(value: Any) -> dict[str, Any]:
    """Itself where it is one, else an empty one."""
    return value if isinstance(value, dict) else {}
