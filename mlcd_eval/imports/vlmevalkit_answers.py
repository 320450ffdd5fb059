"""The rows of VLMEvalKit's files of answers, whatever their format (PRED_FORMAT: xlsx, tsv or json)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.source import Source

COLUMNS = ("index", "question", "answer", "prediction")


def has_answers(row: Mapping[str, Any]) -> bool:
    """Whether this is a row of such a file."""
    return {"index", "prediction"} <= row.keys()


def check_answers(source: Source, rows: Sequence[Any]) -> None:
    """Raise DataError for missing columns, no rows and repeated questions.

    A row of a `.tsv` lacks its empty cells, so a column is there if any row has it.
    """
    columns = {column for row in rows if isinstance(row, Mapping) for column in row}
    missing = [column for column in COLUMNS if column not in columns]
    if rows and missing:
        raise DataError(f"{source.path} has no column {', '.join(missing)}, expected {', '.join(COLUMNS)}")
    without = sum(not isinstance(row, Mapping) or row.get("index") is None for row in rows)
    if without:
        raise DataError(f"{source.path} has {without} rows without an index, expected each question once")
    repeated = [index for index, count in Counter(str(row["index"]) for row in rows).items() if count > 1]
    if repeated or not rows:
        raise DataError(
            f"{source.path} has {len(rows)} rows and repeats {len(repeated)} questions, first {repeated[:1]}: "
            f"expected each question once"
        )
