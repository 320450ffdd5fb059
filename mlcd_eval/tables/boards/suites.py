"""The leaderboard of a suite: its tasks, each by the metric that it ranks by, and the mean that its authors print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.records import Result
from mlcd_eval.spec import TaskIndex, TaskSpec
from mlcd_eval.tables.boards.build import columns_board
from mlcd_eval.tables.boards.leaderboard import Column, Leaderboard, Whole
from mlcd_eval.tables.identity import usual_settings
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.published import PublishedNumber

SHOWN = 5  # names in a note


def suite_board(
    name: str, results: Sequence[Result], numbers: Iterable[PublishedNumber], originals: Mapping[str, str]
) -> Leaderboard:
    """The records and published numbers of a suite's tasks, columns in its order.

    A row that lacks one of its tasks has no mean, and a note names what it lacks. Raises ConfigError for an unknown
    suite, DataError as `leaderboards`.
    """
    index = TaskIndex.load()
    if name not in index.suites:
        raise ConfigError(
            f"--suite: got {name!r}, expected one of {', '.join(index.suites)}{nearest(name, index.suites)}"
        )
    suite, tasks = index.suites[name], index.select([name])
    names = [task.name for task in tasks]
    members = [result for result in results if result.task.name in names]
    board = columns_board(
        Leaderboard(name, [], [], about=suite.description, with_chance=True),
        list(_columns(tasks, members)),
        members,
        numbers,
        originals,
    )
    if suite.average is None:
        return board
    board = replace(board, whole=Whole(suite.average, tuple(names)))
    return replace(board, notes=[*board.notes, *_notes(board, suite.average)])


def _columns(tasks: Sequence[TaskSpec], results: Sequence[Result]) -> Iterator[Column]:
    """Those of tasks whose metric is known without their data, or by a record."""
    ranked = {result.task.name: result.primary_metric for result in results if result.status == "ok"}
    mixed = len({task.protocol for task in tasks}) > 1
    for task in tasks:
        settings = usual_settings(task.protocol, task.name)
        metric = ranked.get(task.name) or protocol_named(task.protocol).primary(settings, task.dataset.kind)
        if metric is not None:
            yield Column(task.name, metric, protocol=task.protocol, heading=task.name if mixed else "")


def _notes(board: Leaderboard, average: str) -> Iterator[str]:
    """Which rows lack which tasks."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for row in board.rows:
        if missing := board.missing(row):
            lacking.setdefault(tuple(missing), []).append(row.model)
    total = len(board.whole.tasks) if board.whole else 0
    for tasks, models in lacking.items():
        yield (
            f"No {average!r} of {_some(models)}: {len(tasks)} of the {total} tasks have no usual value: {_some(tasks)}."
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
