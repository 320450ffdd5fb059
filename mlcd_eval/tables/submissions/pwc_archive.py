"""The archive of Papers with Code: `evaluation-tables.json` in the form of sota-extractor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from mlcd_eval.errors import DataError
from mlcd_eval.tables.pwc import PwcDataset, PwcTask, Sota, SotaRow
from mlcd_eval.tables.submissions.boards import Board, boards
from mlcd_eval.tables.submissions.json_text import insert
from mlcd_eval.tables.submissions.submission import Request, Submission

TABLES = "evaluation-tables.json"
Path = tuple[str | int, ...]


def submission(request: Request) -> Submission:
    """The file in the output folder with our rows, every other byte as it was; without one, a new file."""
    present = request.present(TABLES)
    text, result = present or "[\n]\n", Submission()
    for board in boards(request):
        for row in board.rows:
            text, problem = _with_row(text, board, row)
            if problem:
                result.refused.append(f"{board.dataset} of {row.model_name}: {problem}")
    if present is not None or json.loads(text):
        result.files[TABLES] = text
    return result


def _with_row(text: str, board: Board, row: SotaRow) -> tuple[str, str | None]:
    """The text with the row, and why it is not accepted."""
    tasks = _read(text)
    new_board = PwcDataset(dataset=board.dataset, sota=Sota(metrics=list(board.metrics), rows=[row]))
    place = next((path for path, task in _tasks(tasks, ()) if task.get("task") == board.task), None)
    if place is None:
        return insert(text, (), len(tasks), _plain(PwcTask(task=board.task, datasets=[new_board]))), None
    datasets = _at(tasks, place)["datasets"]
    position = next((at for at, known in enumerate(datasets) if known.get("dataset") == board.dataset), None)
    if position is None:
        return insert(text, (*place, "datasets"), len(datasets), _plain(new_board)), None
    table = datasets[position]["sota"]
    same = next((known for known in table["rows"] if _is_of(known, row)), None)
    if same is not None:
        equal = row.metrics.items() <= same["metrics"].items()
        return text, None if equal else f"{TABLES} holds other numbers of this model and paper: remove that row first"
    where: Path = (*place, "datasets", position, "sota")
    text = insert(text, (*where, "rows"), _position(row, table, board.metrics), _plain(row))
    for name in row.metrics:
        if name not in table["metrics"]:
            table["metrics"].append(name)
            text = insert(text, (*where, "metrics"), len(table["metrics"]) - 1, name)
    return text, None


def _read(text: str) -> Any:
    try:
        tasks = json.loads(text)
        for _, task in _tasks(tasks, ()):
            for dataset in task["datasets"]:
                _ = dataset["sota"]["metrics"], dataset["sota"]["rows"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{TABLES}: got no evaluation tables of Papers with Code: {error!r}") from error
    return tasks


def _tasks(tasks: Sequence[Any], path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every task and subtask, with its path in the file."""
    for position, task in enumerate(tasks):
        here: Path = (*path, position)
        yield here, task
        yield from _tasks(task.get("subtasks", []), (*here, "subtasks"))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _is_of(known: Mapping[str, Any], row: SotaRow) -> bool:
    return (known.get("model_name"), known.get("paper_url") or "") == (row.model_name, row.paper_url)


def _position(row: SotaRow, table: Mapping[str, Any], better: Mapping[str, bool]) -> int:
    """Before the first row that is worse by the board's first metric; at the end where that is not ours."""
    rows, name = table["rows"], next(iter(table["metrics"]), "")
    if name not in row.metrics or name not in better:
        return len(rows)
    sign = 1 if better[name] else -1
    value = sign * float(row.metrics[name])
    return next((at for at, known in enumerate(rows) if _worse(known["metrics"].get(name), sign, value)), len(rows))


def _worse(text: object, sign: int, value: float) -> bool:
    try:
        return sign * float(str(text).strip().rstrip("%")) < value
    except ValueError:  # no number: rows without one are last
        return True


def _plain(model: BaseModel) -> Any:
    """JSON's types, keys sorted as the file has them."""
    return json.loads(json.dumps(model.model_dump(), sort_keys=True))
