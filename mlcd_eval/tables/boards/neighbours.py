"""Records among the published models that were measured in the same way, as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.records import Result
from mlcd_eval.tables.formats import By
from mlcd_eval.tables.published import PublishedNumber
from mlcd_eval.tables.published.standing import Standing, size_of, standings
from mlcd_eval.tables.text import cell, markdown_table, shown, shown_difference, shown_metric

SIZES: tuple[tuple[By, str], ...] = (("parameters", "parameters (M)"), ("gflops", "GFLOPs"))
PROFILE = ["model", "task", "metric", "% [95% interval]", "rank", "percentile"]
HEADER = ["model", "%", "minus yours", *(heading for _, heading in SIZES)]


def neighbours(results: Sequence[Result], count: int, by: By) -> str:
    """A profile of ranks and percentiles, and for each record the nearest published models; what was measured otherwise
    comes apart from these, with the differences. Raises ConfigError where `by` is a size that is not known."""
    known = standings(results)
    if not known:
        return "\nNo published number is of the tasks and metrics of these records.\n"
    rows = [[cell(text) for text in row] for row in profile_rows(known)]
    profile = markdown_table(PROFILE, rows, 3)
    sections = "".join(_section(standing, count, by) for standing in known)
    return f"\n## Among published models\n\n{profile}\n{LEGEND}\n{sections}"


LEGEND = (
    "Rank and percentile are among the published numbers that were measured in the same way, one per model; in "
    "brackets the ranks of the ends of the interval. The percentile is the share of the other models that are worse.\n"
)


def profile_rows(known: Sequence[Standing]) -> list[list[str]]:
    """Per record and metric: value, rank and percentile."""
    return [
        [
            standing.result.model.name,
            standing.result.task.name,
            standing.metric.name,
            shown_metric(standing.metric),
            standing.rank if standing.others else "-",
            "-" if standing.percentile is None else f"{standing.percentile:.0f}",
        ]
        for standing in known
    ]


def near_rows(standing: Standing, count: int, by: By) -> list[tuple[str, list[str], bool]]:
    """The nearest models with the record's own in its place: name, cells, and whether it is the record's own."""
    sign = -1 if standing.metric.higher_is_better else 1
    own = (standing.result.model.name, _cells(standing, None), True)
    rows = [(sign * (n.fraction or 0.0), 1, (n.label, _cells(standing, n), False)) for n in standing.nearest(count, by)]
    rows.append((sign * standing.value, 0, own))
    return [row for _, _, row in sorted(rows, key=lambda each: each[:2])]


def apart_rows(standing: Standing, count: int) -> list[list[str]]:
    """The numbers that were measured otherwise, those with the fewest differences first."""
    return [
        [number.label, shown_number(number), "; ".join(each.text for each in differing)]
        for number, differing in standing.apart[:count]
    ]


def shown_number(number: PublishedNumber) -> str:
    """The value in per cent with the decimals that were printed."""
    return shown(number.fraction, decimals=number.decimals - (2 if number.unit == "fraction" else 0))


def _section(standing: Standing, count: int, by: By) -> str:
    title = f"### {cell(standing.result.model.name)}, {cell(standing.result.task.name)} {standing.metric.name}\n\n"
    text = title
    if standing.others:
        rows = [
            [f"**{cell(name)}**" if own else f"*{cell(name)}*", *cells]
            for name, cells, own in near_rows(standing, count, by)
        ]
        text += f"{markdown_table(HEADER, rows)}\n"
    if standing.same_model:
        values = ", ".join(f"{shown_number(number)} ({cell(number.label)})" for number in standing.same_model)
        text += f"Published for this model in the same way: {values}.\n\n"
    if standing.apart:
        rows = [[cell(each) for each in row] for row in apart_rows(standing, count)]
        more = f" (the {len(rows)} with the fewest differences of {len(standing.apart)})"
        text += f"Measured otherwise, so not ranked{more if len(rows) < len(standing.apart) else ''}:\n\n"
        text += f"{markdown_table(['model', '%', 'difference'], rows)}\n"
    return text


def _cells(standing: Standing, number: PublishedNumber | None) -> list[str]:
    """Value, difference and sizes of a published number, or of the record for None."""
    if number is None:
        value, difference = shown_metric(standing.metric), ""
        sizes = [standing.size(by) for by, _ in SIZES]
    else:
        value, difference = shown_number(number), shown_difference((number.fraction or 0.0) - standing.value)
        sizes = [size_of(number, by) for by, _ in SIZES]
    return [value, difference, *("-" if size is None else f"{size:,.1f}" for size in sizes)]
