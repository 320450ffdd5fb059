"""The formats of `mlcd-eval table`, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from mlcd_eval.records import Result
from mlcd_eval.records.result import plain
from mlcd_eval.tables.boards.choose import choose
from mlcd_eval.tables.boards.latex import latex
from mlcd_eval.tables.boards.leaderboard import check_baseline
from mlcd_eval.tables.boards.markdown import markdown
from mlcd_eval.tables.frame import frame_of, tidy_rows
from mlcd_eval.tables.hub import eval_results, model_index
from mlcd_eval.tables.pwc import pwc_json, pwc_submission, pwc_table
from mlcd_eval.tables.site import entries

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")


def csv_text(results: Sequence[Result]) -> str:
    """The tidy frame; a text that a spreadsheet would run as a formula gets a ' before it."""
    frame = frame_of(results)
    for column in frame.columns:
        frame[column] = frame[column].map(lambda value: _disarmed(value) if isinstance(value, str) else value)
    return frame.to_csv(index=False, lineterminator="\n")


def _disarmed(text: str) -> str:
    text = "\n".join(text.splitlines())  # a lone \r would end the row: the writer does not quote it
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def json_text(results: Sequence[Result]) -> str:
    """The tidy rows; undefined values are null."""
    rows = [plain(row) for result in results for row in tidy_rows(result)]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


Text = Callable[[Sequence[Result]], str]

BOARDS = {"markdown": markdown, "latex": latex}
"""Formats of leaderboards, which may have a baseline."""
SITE = {"pwc": pwc_json, "pwc-table": pwc_table, "pwc-submission": pwc_submission}
"""Formats of Papers-with-Code, of records and published numbers."""
PLAIN: dict[str, Text] = {"csv": csv_text, "json": json_text, "model-index": model_index, "eval-results": eval_results}
"""Formats of records alone."""


def render(
    results: Sequence[Result],
    form: str,
    baseline: str | None = None,
    published: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> str:
    """Records and published numbers in one format; raises ConfigError for a baseline, model or table that is none."""
    if form in PLAIN:
        return PLAIN[form](results)
    boards, numbers = choose(results, published, groups)
    if form in SITE:
        return SITE[form](entries(results, numbers))
    check_baseline(boards, baseline)
    text = BOARDS[form](boards, baseline)
    if published and not any(row.published for board in boards for row in board.rows):
        text += f"\nNo published number of {' or '.join(published)} is of these tasks and metrics.\n"
    return text
