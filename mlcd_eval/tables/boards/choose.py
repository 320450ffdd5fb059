"""The leaderboards of a request: one per protocol, or one per table of a paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mlcd_eval.errors import ConfigError
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.build import leaderboards, paper_board
from mlcd_eval.tables.boards.leaderboard import PUBLISHED, Leaderboard, check_baseline
from mlcd_eval.tables.boards.suites import suite_board
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.published import PublishedNumber, published_table, rows_named


def boards_as(
    write: Callable[[Sequence[Leaderboard], str | None], str], table: TableInput, remark: str = "\n{}\n"
) -> str:
    """The leaderboards of a request in the form of `write`, which takes them and the baseline; raises as `choose`.

    remark: the form of a sentence below them that is for whoever asked.
    """
    places = of_records(table.results)
    boards, _ = choose(table.results, table.published, table.groups, places, table.suites, table.chance)
    check_baseline(boards, table.baseline)
    text = write(boards, table.baseline)
    if table.published and not any(row.published for board in boards for row in board.rows):
        text += remark.format(f"No published number of {' or '.join(table.published)} is of these tasks and metrics.")
    return text


def choose(
    results: Sequence[Result],
    published: Sequence[str] = (),
    groups: Sequence[str] = (),
    places: Callable[[str], bool] | None = None,
    suites: Sequence[str] = (),
    chance: bool = False,
) -> tuple[list[Leaderboard], list[PublishedNumber]]:
    """The leaderboards of a request, and the published numbers that it names.

    published: names of models, as in `rows_named`; MODEL=NAME pairs a model of the records with the one row that it
    reproduces. groups: tables of papers, suites: by name, one leaderboard each, with the records of their tasks;
    without any there is one leaderboard per protocol. chance: show chance levels, as suites do in any case. places:
    the tasks of the named models to read, None for all. Raises ConfigError for an unknown name or one that means
    several rows, DataError where two records would share a cell or two units a column.
    """
    tables = [published_table(group) for group in groups]
    printed = [list(table.numbers()) for table in tables]
    numbers: list[PublishedNumber] = []
    originals: dict[str, str] = {}
    models = dict.fromkeys(result.model.name for result in results)
    for text in published:
        model = next((name for name in models if text.startswith(f"{name}=")), None)
        named = rows_named(text.removeprefix(f"{model}=") if model else text, places)
        labels = list(dict.fromkeys(number.label for number in named))
        if model and len(labels) > 1:
            raise ConfigError(f"--published {text}: got {len(labels)} rows, expected one: {'; '.join(labels)}")
        originals |= {model: labels[0] + PUBLISHED} if model and labels else {}
        numbers += named
    boards = [
        paper_board(table, of_table, results, dict.fromkeys([*of_table, *numbers]), originals)
        for table, of_table in zip(tables, printed, strict=True)
    ]
    boards += [suite_board(suite, results, list(dict.fromkeys(numbers)), originals) for suite in suites]
    if not boards:
        boards = leaderboards(results, list(dict.fromkeys(numbers)), originals)
    boards = [replace(board, with_chance=board.with_chance or chance) for board in boards]
    return boards, list(dict.fromkeys([*(number for of_table in printed for number in of_table), *numbers]))


def of_records(results: Sequence[Result]) -> Callable[[str], bool] | None:
    """True for the tasks of the records; None, for all, where there are no records."""
    tasks = {result.task.name for result in results}
    return tasks.__contains__ if tasks else None
