"""The records among published models, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.neighbours import HEADER, PROFILE, apart_rows, near_rows, profile_rows
from mlcd_eval.tables.formats import By
from mlcd_eval.tables.published import PublishedNumber
from mlcd_eval.tables.published.standing import standings
from mlcd_eval.tables.report.pareto import pareto


def among_published(
    results: Sequence[Result], numbers: Sequence[PublishedNumber], nearest: int | None, by: By
) -> dict[str, Any] | None:
    """For the template: charts of accuracy against size among `numbers`; with `nearest` among all published numbers,
    and with ranks and neighbours. None where there is nothing to show."""
    known = standings(results, numbers if nearest is None else None)
    figures = pareto(known)
    if not figures and (nearest is None or not known):
        return None
    tables = [
        {
            "title": f"{standing.result.model.name}, {standing.result.task.name} {standing.metric.name}",
            "near": near_rows(standing, nearest, by) if standing.others else [],
            "apart": apart_rows(standing, nearest),
        }
        for standing in (known if nearest else ())
        if nearest is not None
    ]
    profile = profile_rows(known) if nearest else []
    return {"profile_header": PROFILE, "profile": profile, "figures": figures, "header": HEADER, "tables": tables}
