"""The formats of `mlcd-eval table`: one row each, and the request that their functions take.

A new format is a function from a TableInput to text, or to the pieces of a long one, in a file of its own, and a row
here; or, in another package, a TableFormat that its entry point of the group `mlcd_eval.formats` names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from mlcd_eval.errors import DataError
from mlcd_eval.support.registry import Registry

if TYPE_CHECKING:
    from mlcd_eval.records import Result

Option = Literal["baseline", "published", "training", "nearest", "group", "suite", "chance"]
By = Literal["value", "parameters", "gflops"]
"""What makes published models near to one's own."""


@dataclass(frozen=True)
class TableFormat:
    """What is known of a format before it is used.

    function: MODULE:NAME of a function from a TableInput to text or an iterator of its pieces; it is imported when the
    format is asked for.
    help: a few words for --help. takes: the options that mean something to it. one_model: whether its records must be
    those of one model. for_others: whether it goes to a place where others read the numbers, which takes numbers over a
    part of the data only where the user says so.
    """

    function: str
    help: str
    takes: tuple[Option, ...] = ()
    one_model: bool = False
    for_others: bool = False


@dataclass(frozen=True)
class TableInput:
    """What a table is made of.

    results: the records. paths: their files or folders, which may also hold samples; files: the file of each, if they
    were read from some. baseline: a model to show
    differences from. published, groups: names of published rows and of papers' tables. trainings: folders of
    `mlcd-train` runs. nearest: how many published models to show next to each of the records', None for no such
    section; by: what makes them near. apart: a regular expression of what tells the seeds of a model apart in its name,
    None for the usual one. suites: names of suites, a table each. chance: show
    chance levels.
    """

    results: Sequence[Result]
    paths: Sequence[Path] = ()
    files: Sequence[Path] = ()
    baseline: str | None = None
    published: Sequence[str] = ()
    groups: Sequence[str] = ()
    trainings: Sequence[Path] = ()
    nearest: int | None = None
    by: By = "value"
    apart: str | None = None
    suites: Sequence[str] = ()
    chance: bool = False


TABLES = "mlcd_eval.tables"
BOARD: tuple[Option, ...] = ("baseline", "published", "suite", "chance")
PAGE: tuple[Option, ...] = (*BOARD, "training", "nearest", "group")
SITE: tuple[Option, ...] = ("published",)
ROWS = {
    "markdown": TableFormat(f"{TABLES}.boards.markdown:as_markdown", "leaderboards", (*BOARD, "nearest")),
    "html": TableFormat(f"{TABLES}.report.html:as_html", "a report with charts and samples", PAGE),
    "latex": TableFormat(f"{TABLES}.boards.latex:as_latex", "leaderboards for booktabs", BOARD),
    "terminal": TableFormat(f"{TABLES}.boards.terminal:as_terminal", "leaderboards as wide as it", (*BOARD, "nearest")),
    "pwc": TableFormat(f"{TABLES}.pwc:pwc_json", "evaluation tables of Papers with Code", SITE, for_others=True),
    "pwc-table": TableFormat(f"{TABLES}.pwc:pwc_table", "the table of a paper's page there", SITE, for_others=True),
    "pwc-submission": TableFormat(f"{TABLES}.pwc:pwc_submission", "requests of its client", SITE, for_others=True),
    "csv": TableFormat(f"{TABLES}.frame:as_csv", "one row per metric"),
    "json": TableFormat(f"{TABLES}.frame:as_json", "one object per metric"),
    "model-index": TableFormat(
        f"{TABLES}.hub:model_index", "metadata of a Hugging Face model card", one_model=True, for_others=True
    ),
}
FORMATS: Registry[TableFormat] = Registry("table format", "mlcd_eval.formats", ROWS)


def render(results: Sequence[Result], form: str, *, allow_partial: bool = False, **options: Any) -> str:
    """Records and published numbers in one format; raises what `pieces` does. options: of a TableInput."""
    return "".join(pieces(form, TableInput(results, **options), allow_partial))


def pieces(form: str, table: TableInput, allow_partial: bool = False) -> Iterable[str]:
    """The text of a table in one format, in pieces, so that the long text of many records need not be held.

    Raises ConfigError for an unknown format, baseline, published row or paper's table and for no regular expression,
    DataError for records that do not go together, and for records of --limit in a format for others unless
    allow_partial.
    """
    row = FORMATS[form]
    if row.for_others and not allow_partial:
        check_whole(table.results, f"--format {form}")
    if row.one_model:
        table = replace(table, results=of_one_model(table.results))
    write = cast("Callable[[TableInput], str | Iterator[str]]", pkgutil.resolve_name(row.function))
    text = write(table)
    return (text,) if isinstance(text, str) else text


def check_whole(results: Sequence[Result], where: str) -> None:
    """Raise DataError for records of --limit. where: what does not take them, for the message."""
    limited = [result for result in results if result.limit is not None]
    if limited:
        first = limited[0]
        raise DataError(
            f"{where} shows numbers to others: got {len(limited)} records of --limit, first {first.task.name} of "
            f"{first.model.name} over {first.limit:,} samples, expected whole data sets, or --allow-partial"
        )


def of_one_model(results: Sequence[Result]) -> list[Result]:
    """The successful records; raises DataError unless they are of one model."""
    good = [result for result in results if result.status == "ok"]
    models = list(dict.fromkeys(result.model.name for result in good))
    if len(models) != 1:
        raise DataError(f"a model card is of one model: got records of {', '.join(models) or 'none that succeeded'}")
    return good
