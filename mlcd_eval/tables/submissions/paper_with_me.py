"""paper-with-me: `contributions/*.json`, lists of one object per row."""

from __future__ import annotations

import json
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.tables.pwc import SotaRow
from mlcd_eval.tables.submissions.boards import Board, boards
from mlcd_eval.tables.submissions.submission import Request, Submission, unique_slug

KEY = ("task", "dataset", "model_name", "paper_url")
"""What tells two rows of the receiver apart."""


def submission(request: Request) -> Submission:
    """A file per model. Rows that its file holds already stay, except those that are measured again."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for board in boards(request):
        for row in board.rows:
            rows.setdefault(row.model_name, []).append(_object(board, row))
    files = {}
    for model, objects in rows.items():
        path = f"contributions/mlcd-eval-{unique_slug(model)}.json"
        merged = {_key(item): item for item in [*_present(path, request.present(path)), *objects]}
        files[path] = json.dumps(list(merged.values()), indent=2, ensure_ascii=False) + "\n"
    return Submission(files)


def _object(board: Board, row: SotaRow) -> dict[str, Any]:
    known = {
        "task": board.task,
        "dataset": board.dataset,
        "model_name": row.model_name,
        "metrics": row.metrics,
        "paper_url": row.paper_url,
        "paper_title": row.paper_title,
        "paper_date": row.paper_date,
        "code_links": [link.model_dump() for link in row.code_links],
    }
    return {name: value for name, value in known.items() if value}


def _key(item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in KEY)


def _present(path: str, text: str | None) -> list[dict[str, Any]]:
    try:
        items = json.loads(text or "[]")
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(f"{path}: expected a list of rows")
    return items
