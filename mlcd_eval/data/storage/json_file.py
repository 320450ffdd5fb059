"""JSON from outside: read, and checked against what it must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mlcd_eval.errors import DataError
from mlcd_eval.support import documents


def read_json(path: Path) -> Any:
    """The contents of a UTF-8 file; raises DataError where it cannot be read as JSON."""
    try:
        return documents.read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error


def validated_json(kind: Any, values: Any, path: Path | str) -> Any:
    """The values as a type; raises DataError for the first that does not fit, with its place in the file."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {where or 'the whole file'}: {first['msg']}") from error
