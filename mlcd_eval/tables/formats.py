"""The formats of `mlcd-eval table`, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from mlcd_eval.published import PublishedNumber, published_numbers
from mlcd_eval.records import Result
from mlcd_eval.records.result import plain
from mlcd_eval.tables.frame import frame_of, tidy_rows
from mlcd_eval.tables.leaderboard import leaderboards, published_of
from mlcd_eval.tables.markdown import markdown
from mlcd_eval.tables.pwc import pwc_json, pwc_table

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(results: Sequence[Result]) -> str:
    """The tidy frame; a text that a spreadsheet would run as a formula gets a ' before it."""
    frame = frame_of(results)
    for column in frame.columns:
        frame[column] = frame[column].map(
            lambda value: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
        )
    return frame.to_csv(index=False)


def json_text(results: Sequence[Result]) -> str:
    """The tidy rows; undefined values are null."""
    rows = [plain(row) for result in results for row in tidy_rows(result)]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


PLAIN: dict[str, Callable[[Sequence[Result]], str]] = {
    "csv": csv_text,
    "json": json_text,
    "pwc": pwc_json,
    "pwc-table": pwc_table,
}
"""Formats that neither published numbers nor a baseline change."""


def render(results: Sequence[Result], form: str, baseline: str | None = None, published: Sequence[str] = ()) -> str:
    """The records in one format; raises ConfigError for an unknown baseline or published model."""
    if form in PLAIN:
        return PLAIN[form](results)
    numbers = published_numbers() if published else []
    chosen: list[PublishedNumber] = [number for name in published for number in published_of(name, numbers)]
    boards = leaderboards(results, dict.fromkeys(chosen))
    text = markdown(boards, baseline)
    if published and not any(row.published for board in boards for row in board.rows):
        text += f"\nNo published number of {' or '.join(published)} is of these tasks and metrics.\n"
    return text
