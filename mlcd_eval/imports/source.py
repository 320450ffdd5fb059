"""A file that a harness wrote: read, and distinguished from the files of other harnesses."""

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
    """One file and the harness that is supposed to have written it."""

    harness: str
    path: Path
    data: bytes

    @classmethod
    def of(cls, harness: str, path: Path) -> Source:
        """Read a file; raises DataError where that fails."""
        try:
            return cls(harness, path, path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}, expected a result file of {harness}") from error

    def text(self) -> str:
        """The content as text; raises DataError unless it is UTF-8."""
        if self.data.startswith(b"PK"):
            raise DataError(f"{self.path} is a spreadsheet or archive, not text: it looks like a file of vlmevalkit")
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not text: {error}, expected a result file of {self.harness}") from error

    def json(self) -> Any:
        """The content as JSON; raises DataError unless it is JSON. NaN is read here and refused where it is a value."""
        try:
            return json.loads(self.text())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.path} is not JSON: {error}, expected a result file of {self.harness}") from error

    def rows(self) -> list[dict[str, str]]:
        """The rows of a CSV file, without empty cells; raises DataError for no rows, or rows of different length."""
        try:
            rows = list(csv.DictReader(io.StringIO(self.text(), newline=""), strict=True))
        except csv.Error as error:
            raise DataError(f"{self.path} is not CSV: {error}, expected a result file of {self.harness}") from error
        if not rows or any(None in row or None in row.values() for row in rows):
            raise DataError(f"{self.path} is not a table: got no row, or rows of different length")
        return [{key: value for key, value in row.items() if value != ""} for row in rows]

    def content(self) -> Any:
        """The rows of a `.csv` file, the JSON of any other."""
        return self.rows() if self.path.suffix.lower() == ".csv" else self.json()

    def check(self, content: Any) -> None:
        """Raise DataError unless the content can be of this harness; the error names those that it looks like."""
        harnesses = looks_like(content)
        if self.harness not in harnesses:
            like = (
                f"it looks like a file of {' or '.join(harnesses)}"
                if harnesses
                else "it looks like a file of no known harness"
            )
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
        configs = [config for config in as_dict(first.get("configs")).values() if isinstance(config, dict)]
        visual = any({"doc_to_visual", "lmms_eval_specific_kwargs"} & config.keys() for config in configs)
        if "lmms_eval_version" in first or visual:
            return ("lmms-eval",)
        if {"lm_eval_version", "pretty_env_info", "transformers_version"} & first.keys():
            return ("lm-eval",)
        return ("lm-eval", "lmms-eval")
    return ("vlmevalkit",) if {"Overall", "Final Score"} & first.keys() else ()


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is a dict, else an empty dict."""
    return value if isinstance(value, dict) else {}
