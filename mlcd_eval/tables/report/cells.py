"""The cells of the matrix: what is shown, marked and shaded, and what a pointer over them shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlcd_eval.metrics.interval import Interval
from mlcd_eval.tables.comparison.contest import Contest, Entry, Leading
from mlcd_eval.tables.comparison.overall import Overall
from mlcd_eval.tables.comparison.seeds import Runs
from mlcd_eval.tables.text import count, shown, shown_interval

STEPS = 8
"""Shades of a column, from its worst value to its best."""


def shades(task: Contest) -> dict[str, int]:
    """Model -> its shade, from 0 to STEPS; empty for a column of one value."""
    sign = 1 if task.metric.higher_is_better else -1
    values = {model: sign * entry.value for model, entry in task.entries.items()}
    low, high = min(values.values()), max(values.values())
    share = {model: (value - low) / (high - low) for model, value in values.items()} if high > low else {}
    return {model: round(STEPS * each) for model, each in share.items()}


def of_task(task: Contest, model: str, leading: Leading, shaded: Mapping[str, int]) -> dict[str, Any] | None:
    """mark: `best`, `tied` or nothing; hint: what a pointer over the cell shows. Some 120 bytes of a page."""
    entry = task.entries.get(model)
    if entry is None:
        return None
    alone = len(task.entries) == 1
    mark = "" if alone else "best" if model == leading.best else "tied" if model in leading.tied else ""
    words = {"best": "best", "tied": "not distinguishable from the best"}.get(mark, "")
    runs = entry if isinstance(entry, Runs) else None
    hint = [f"{len(runs.members)} seeds" if runs else "", _ends(entry), f"n = {count(entry.metric.num_scored)}", words]
    return {
        "value": entry.value,
        "text": shown(entry.value, entry.metric.unit, 1 if entry.metric.unit == "fraction" else 2),
        "spread": f"± {shown(runs.deviation, entry.metric.unit, 1)}" if runs else "",
        "runs": len(runs.members) if runs else 1,
        "ends": _ends(entry),
        "mark": mark,
        "words": words,
        "hint": "; ".join(filter(None, hint)),
        "shade": shaded.get(model),
    }


def _ends(entry: Entry) -> str:
    ends = entry.metric.ci95
    return shown_interval(ends, entry.metric.unit) if ends else ""


def of_overall(model: str, standing: Overall | None) -> list[dict[str, Any]]:
    """Cells of rank and score, empty for a model without every task."""
    if standing is None:
        return []
    known = standing.models.get(model)
    rank = _mean(known.rank if known else None, known.rank_ci95 if known else None, 1)
    score = _mean(known.score if known else None, known.score_ci95 if known else None, 100)
    return [rank, score] if standing.scored else [rank]


def mean_score(value: float | None) -> dict[str, Any]:
    """The cell of a folded group: the mean of its tasks above chance."""
    return _mean(value, None, 100)


def _mean(value: float | None, ends: Interval | None, scale: float) -> dict[str, Any]:
    text, *low_high = ("-" if number is None else f"{scale * number:.1f}" for number in (value, *(ends or ())))
    return {"value": value, "text": text, "ends": f"[{', '.join(low_high)}]" if low_high else ""}
