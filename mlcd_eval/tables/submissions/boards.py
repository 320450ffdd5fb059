"""Records as boards in the words of Papers with Code, which several receivers took over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.pwc import Link, SotaRow, by_board, sota
from mlcd_eval.tables.site import Entry, entries
from mlcd_eval.tables.submissions.submission import Options, Request


@dataclass(frozen=True)
class Board:
    """The leaderboard of one identity.

    metrics: name -> whether higher is better, the first ranks. units: name -> percent, fraction or the metric's own.
    rows: a model each. dates: model -> YYYY-MM-DD, of the paper where its date is given, else of the record.
    """

    task: str
    dataset: str
    metrics: Mapping[str, bool]
    units: Mapping[str, str]
    rows: Sequence[SotaRow]
    dates: Mapping[str, str]


def boards(request: Request) -> list[Board]:
    """The metrics that leaderboards show, sorted by task and data set. Raises DataError for records that would share a
    cell."""
    leaderboards(request.results)
    options = request.options
    url, title = options.paper or "", options.paper_title or ""
    shown = [replace(entry, paper_url=url, paper_title=title) for entry in entries(request.results) if entry.shown]
    return [_board(*name, members, options) for name, members in sorted(by_board(shown).items())]


def _board(task: str, dataset: str, members: Sequence[Entry], options: Options) -> Board:
    table = sota(members)
    links = [Link(title=options.code.split("://", 1)[1], url=options.code)] if options.code else []
    paper_date = options.paper_date.isoformat() if options.paper_date else None
    better = {entry.metric: entry.higher_is_better for entry in members}
    return Board(
        task,
        dataset,
        {name: better.get(name, False) for name in table.metrics},
        {entry.metric: entry.unit for entry in members},
        [row.model_copy(update={"code_links": links, "paper_date": paper_date}) for row in table.rows],
        {entry.model: paper_date or entry.date for entry in members},
    )
