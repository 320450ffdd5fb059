"""Two models on a page: which is better on which task, by how much, and what could have been seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.power import POWER
from mlcd_eval.tables.comparison.compare import Comparison, TaskComparison, compare
from mlcd_eval.tables.comparison.pairing import Side
from mlcd_eval.tables.comparison.text import HEADER, HOW, OTHER_HEADER, OTHERS, TIES, other_rows, summary, task_rows
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.report.disagreements import disagreements
from mlcd_eval.tables.report.links import Links
from mlcd_eval.tables.report.page import page
from mlcd_eval.tables.text import shown_difference

MOST_TESTS = 200
"""Paired tests of the comparisons within a page, of some 15 ms each."""
TONES = {"win": "better", "loss": "worse", "tie": "muted", "not tested": "muted"}


@dataclass(frozen=True)
class Picker:
    """Which pairs of models can be chosen. models: their names; addresses: of the comparison of a pair, named in either
    order."""

    models: Sequence[str]
    addresses: Mapping[tuple[str, str], str]

    def spec(self) -> dict[str, Any]:
        """The picker as JSON: `PLACE,PLACE` of two models, the lower place first -> address."""
        place = {model: at for at, model in enumerate(self.models)}
        keys = {pair: sorted(map(place.__getitem__, pair)) for pair in self.addresses}
        pairs = {f"{a},{b}": self.addresses[pair] for pair, (a, b) in keys.items()}
        return {"models": list(self.models), "pairs": pairs}


def two_models(comparison: Comparison) -> dict[str, Any]:
    """The comparison for the template."""
    return {
        "a": comparison.a.model,
        "b": comparison.b.model,
        "summary": summary(comparison),
        "charts": _forests(comparison),
        "header": HEADER,
        "rows": task_rows(comparison),
        "notes": [HOW, *([TIES] if comparison.count("tie") else [])],
        "other_header": OTHER_HEADER,
        "others": other_rows(comparison),
        "about_others": OTHERS,
        "left_out": comparison.left_out,
    }


def _forests(comparison: Comparison) -> list[Chart]:
    """The differences, a chart for each unit."""
    units = dict.fromkeys(task.unit for task in comparison.tasks)
    return [_forest(comparison, unit) for unit in units]


def _forest(comparison: Comparison, unit: str) -> Chart:
    tasks = [task for task in comparison.tasks if task.unit == unit]
    axis = Axis("B minus A", unit="difference") if unit == "fraction" else Axis(f"B minus A, {unit}")
    series = [
        Series(
            {"win": "B is better", "loss": "A is better", "tie": "not told apart"}.get(outcome, outcome),
            [_point(task) for task in tasks if task.outcome == outcome],
            tone=tone,  # type: ignore[arg-type]
        )
        for outcome, tone in TONES.items()
        if any(task.outcome == outcome for task in tasks)
    ]
    names = Axis("task", scale="names", ticks=[task.task for task in tasks])
    return Chart(f"{comparison.b.model} minus {comparison.a.model}", axis, names, series)


def _point(task: TaskComparison) -> Point:
    parts = [f"{task.metric}, n = {task.num_samples:,}"]
    if not task.higher_is_better:
        parts.append("lower is better")
    if task.detectable is not None:
        parts.append(f"{POWER:.0%} detectable: {shown_difference(task.detectable, task.unit).lstrip('+')}")
    return Point(task.difference, task.task, task.ci95, "; ".join(parts))


def pairs(sides: Mapping[str, Side], order: Sequence[str], most: int | None = None) -> Iterator[tuple[str, str]]:
    """Pairs of models with a task in common, those of the first models first, while they make at most `most` tests."""
    tests = 0
    known = [model for model in order if model in sides]
    for b, a in sorted((known.index(b), known.index(a)) for a, b in combinations(known, 2)):
        shared = sides[known[a]].records.keys() & sides[known[b]].records.keys()
        tests += len(shared)
        if most is not None and tests > most:
            return
        if shared:
            yield known[a], known[b]


def compared(sides: Mapping[str, Side], order: Sequence[str]) -> tuple[list[dict[str, Any]], Picker | None]:
    """The comparisons within a page, of at most MOST_TESTS, and what chooses one; none and None where no two models can
    be compared."""
    views: list[dict[str, Any]] = []
    addresses: dict[tuple[str, str], str] = {}
    for pair in pairs(sides, order, MOST_TESTS):
        try:
            view = two_models(compare(*map(sides.__getitem__, pair)))
        except DataError:  # nothing to compare
            continue
        addresses[pair] = f"#pair-{len(views) + 1}"
        views.append({**view, "anchor": addresses[pair][1:]})
    return views, Picker(order, addresses) if views else None


def comparison_page(comparison: Comparison, links: Links | None = None, examples: int = 0) -> str:
    """The page of one comparison, alone or with links to the others of its site. examples: how many images of each task
    to show that A knows and B does not, and the other way round; raises as `disagreements` if there are any."""
    view = two_models(comparison)
    title = links.title if links else f"{view['a']} and {view['b']}"
    shown = disagreements(comparison, examples) if examples else ()
    about = {"title": title, "links": links, "models": 2, "tasks": len(comparison.tasks)}
    return page(**about, comparison=view, disagreements=shown)


def page_of_pair(a: Side, b: Side, links: Links) -> str:
    """The page of a comparison on a site; of two models that cannot be compared it says why."""
    try:
        return comparison_page(compare(a, b), links)
    except DataError as error:
        return page(title=links.title, links=links, models=2, tasks=0, comparison=None, why=str(error))
