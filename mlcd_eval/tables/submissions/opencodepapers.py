"""OpenCodePapers: `dataset/benchmarks/TITLE.json`, a file per board."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.tables.pwc import SotaRow
from mlcd_eval.tables.site import DATASETS
from mlcd_eval.tables.submissions.boards import Board, boards
from mlcd_eval.tables.submissions.json_text import insert
from mlcd_eval.tables.submissions.submission import Request, Submission, slug, unique_slug

SEGMENTATION = "Referring Expression Segmentation"
TITLES = {
    (SEGMENTATION, "RefCOCO testA"): "referring-expression-segmentation-on-refcoco-8",
    (SEGMENTATION, "RefCOCO+ val"): "referring-expression-segmentation-on-refcoco-3",
    (SEGMENTATION, "RefCOCO+ test B"): "referring-expression-segmentation-on-refcoco-5",
    (SEGMENTATION, "RefCOCOg-val"): "referring-expression-segmentation-on-refcocog",
}
"""Boards whose titles say too little, found by the row of MLCD-Seg-7B, which the paper prints for each."""
SCRIPT = re.compile(
    r"(?i)<\s*/?\s*(script|iframe|object|embed|link|meta)\b|\bon\w+\s*=|\b(java|vb)script\s*:|\bdata\s*:\s*text"
)
"""What their check takes for an attack, a little wider."""


def submission(request: Request) -> Submission:
    """The boards' files: those in the output folder with our rows inserted in their order, or new ones."""
    result = Submission()
    for board in boards(request):
        title = title_of(board.task, board.dataset)
        path = f"{title}.json"
        present = request.present(path)
        text = before = _new(title, board) if present is None else present
        for row in board.rows:
            text, problem = _with_row(path, text, board, row)
            if problem:
                result.refused.append(f"{board.dataset} of {row.model_name}: {problem}")
        if present is None and text != before:
            result.notes.append(
                f"{path} is new: look for the board under another name first; a new one needs three papers"
            )
        if present is not None or text != before:
            result.files[path] = text
    return result


def title_of(task: str, dataset: str) -> str:
    """The name of a board's file: [a-z0-9-], different for different boards."""
    if (task, dataset) in TITLES:
        return TITLES[task, dataset]
    plain = re.sub(r" - \d+-shot$", "", dataset) in DATASETS.values()
    name = slug(dataset) if plain else unique_slug(dataset)
    return f"{slug(re.sub(r' *[(][^)]*[)]', '', task))}-on-{name}"


def _new(title: str, board: Board) -> str:
    metrics = [{"key": f"m{number}", "label": name, "sortable": "true"} for number, name in enumerate(board.metrics, 1)]
    fields = [
        {"key": "p", "label": "Paper"},
        {"key": "c", "label": "Code"},
        *metrics,
        {"key": "n", "label": "ModelName"},
        {"key": "d", "label": "ReleaseDate", "sortable": "true"},
    ]
    whole = {
        "title": title,
        "task-hierarchy": [board.task],
        "dataset-info": {"link": ""},
        "benchmark": {"fields": fields, "items": []},
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _with_row(path: str, text: str, board: Board, row: SotaRow) -> tuple[str, str | None]:
    """The text with the row, and why it is not accepted."""
    assert row.paper_title and row.paper_url
    if SCRIPT.search(json.dumps([row.model_dump(), board.dataset])):
        return text, "its text looks like a script to their check"
    keys, items = _read(path, text)
    for name in row.metrics:
        if name.lower() not in keys:
            number = 1 + max((int(key[1:]) for key in keys.values()), default=0)
            keys[name.lower()] = f"m{number}"
            end = next(at for at, field in enumerate(json.loads(text)["benchmark"]["fields"]) if field["key"] == "n")
            text = insert(text, ("benchmark", "fields"), end, {"key": f"m{number}", "label": name, "sortable": "true"})
    values = {
        key: _in_column(value, board.units.get(name), [str(item[key]) for item in items if item.get(key)])
        for name, value in row.metrics.items()
        for key in [keys[name.lower()]]
    }
    present = next((item for item in items if _is_of(item, row)), None)
    if present is not None:
        same = all(present.get(key) == value for key, value in values.items())
        return text, None if same else f"{path} holds other numbers of this model and paper: remove that row first"
    item = {
        "p": {"name": row.paper_title, "link": row.paper_url},
        "c": row.code_links[0].url if row.code_links else "",
        "n": row.model_name,
        "d": board.dates[row.model_name],
        **dict(sorted(values.items(), key=lambda pair: int(pair[0][1:]))),
    }
    better = {keys[name.lower()]: higher for name, higher in board.metrics.items() if name.lower() in keys}
    return insert(text, ("benchmark", "items"), _position(item, items, better), item), None


def _read(path: str, text: str) -> tuple[dict[str, str], list[Mapping[str, Any]]]:
    """Label of a metric in lower case -> its key, and the rows."""
    try:
        benchmark = json.loads(text)["benchmark"]
        metrics = [field for field in benchmark["fields"] if re.fullmatch(r"m\d+", field["key"])]
        return {field["label"].lower(): field["key"] for field in metrics}, benchmark["items"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: got no board of OpenCodePapers, expected its fields and items") from error


def _is_of(item: Mapping[str, Any], row: SotaRow) -> bool:
    paper = item.get("p")
    return item.get("n") == row.model_name and isinstance(paper, dict) and paper.get("link") == row.paper_url


def _in_column(value: str, unit: str | None, column: Sequence[str]) -> str:
    """A value in the column's own form: with a per cent sign where most have one, a fraction where all are."""
    numbers = [abs(number) for number in map(_number, column) if number is not None]
    if not numbers or unit not in ("percent", "fraction"):
        return value
    as_fractions = max(numbers) <= 1
    if unit == "fraction":
        return value if as_fractions else f"{float(value) * 100:.2f}"
    if as_fractions:
        return f"{float(value) / 100:.4f}"
    return f"{value}%" if sum(text.strip().endswith("%") for text in column) * 2 > len(column) else value


def _position(item: Mapping[str, Any], items: Sequence[Mapping[str, Any]], better: Mapping[str, bool]) -> int:
    """Where the row goes: rows are sorted by the first column, those without it by the second, and so on."""
    column, value = _rank(item)

    def follows(other: Mapping[str, Any]) -> bool:
        other_column, other_value = _rank(other)
        if other_column != column:
            return other_column > column
        return other_value < value if better.get(f"m{column}", True) else other_value > value

    return next((at for at, other in enumerate(items) if follows(other)), len(items))


def _rank(item: Mapping[str, Any]) -> tuple[float, float]:
    """The number of the first column that the row fills, infinity where it fills none, and its value there."""
    filled = [
        (int(key[1:]), number)
        for key, text in item.items()
        if re.fullmatch(r"m\d+", key) and (number := _number(str(text))) is not None
    ]
    return min(filled, default=(math.inf, 0.0))


def _number(text: str) -> float | None:
    match = re.search(r"-?\d+(\.\d+)?", text)
    return float(match.group()) if match else None
