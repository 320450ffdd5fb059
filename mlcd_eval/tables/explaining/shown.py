"""Explanations as markdown and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from mlcd_eval.metrics.interval import Interval
from mlcd_eval.metrics.shapley import MOST_EXACT
from mlcd_eval.tables.explaining.explain import Explanation, Measured
from mlcd_eval.tables.explaining.printed import Printed
from mlcd_eval.tables.explaining.stated import MOST
from mlcd_eval.tables.text import cell, markdown_table, shown_difference, shown_metric

TIES = 8
"""The most equally near dialects that are printed in full."""
LONGEST = 60  # characters of a value


def as_markdown(explanation: Explanation) -> str:
    """The numbers side by side, a row per factor, and what is not explained."""
    record, number = explanation.record, explanation.target.number
    source = f"{number.label} in {number.group}" if number else "--value"
    nearest = explanation.nearest
    metric = explanation.target.metric or nearest.metric.name
    sides = [
        ["yours", explanation.own.metric.name, _dialect(explanation.own), shown_metric(explanation.own.metric)],
        ["published", metric, cell(source), _printed(explanation.target.printed)],
        ["nearest", nearest.metric.name, _dialect(nearest), shown_metric(nearest.metric)],
    ]
    factors = markdown_table(["factor", "yours", "nearest", "points", "95% interval"], _rows(explanation), left=3)
    parts = [
        f"{cell(record.model.name)}, {cell(record.task.name)}",
        markdown_table(["", "metric", "dialect", "value"], sides, left=3).rstrip("\n"),
        factors.rstrip("\n"),
        *_ties(explanation),
        *([f"No difference here: {', '.join(explanation.idle)}."] if explanation.idle else []),
        *_stated(explanation),
        _tried(explanation),
    ]
    return "\n\n".join(parts) + "\n"


def _dialect(measured: Measured) -> str:
    return cell(" = ".join(measured.names)) or "-"


def _printed(printed: Printed) -> str:
    digits = f"{printed.step * 100:.12f}".rstrip("0").partition(".")[2]
    return f"{printed.value * 100:.{len(digits)}f}"


def _rows(explanation: Explanation) -> list[list[str]]:
    rows = [
        [each.factor, _value(each.ours), _value(each.theirs), shown_difference(each.points), "-"]
        for each in explanation.contributions
    ]
    if not rows:  # a dialect between the two cannot be measured, or they are the same
        ours, theirs = explanation.own.settings, explanation.nearest.settings
        rows = [
            [name, _value(ours[name]), _value(theirs[name]), "-", "-"] for name in ours if ours[name] != theirs[name]
        ]
    if rows:
        explained = shown_difference(explanation.explained)
        rows.append(["all of these", "", "", explained, _interval(explanation.explained_ci95)])
    left = shown_difference(explanation.unexplained)
    return [*rows, ["unexplained", "", "", left, _interval(explanation.unexplained_ci95)]]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "not set" if value is None else cell(textwrap.shorten(text, LONGEST, placeholder=" ..."))


def _interval(interval: Interval | None) -> str:
    return f"[{', '.join(map(shown_difference, interval))}]" if interval else "-"


def _ties(explanation: Explanation) -> list[str]:
    """What is said of dialects that are as near as the one that is shown."""
    ties = explanation.ties
    if not ties:
        return []
    more = [f"- and {len(ties) - TIES} more"] if len(ties) > TIES else []
    lines = [f"- {_changes(tie, explanation.nearest)}" for tie in ties[:TIES]]
    number = f"{len(ties)} other dialect{'s are' if len(ties) > 1 else ' is'}"
    return ["\n".join([f"{number} as near, as far as the number's digits tell; beside the nearest:", *lines, *more])]


def _changes(tie: Measured, nearest: Measured) -> str:
    changes = [f"{name} {_value(value)}" for name, value in tie.settings.items() if value != nearest.settings[name]]
    return f"{', '.join(changes)}: {shown_metric(tie.metric)}{f' ({_dialect(tie)})' if tie.names else ''}"


def _stated(explanation: Explanation) -> list[str]:
    """What the number's source says of its dialect, and in what it is known to differ from the nearest one."""
    number = explanation.target.number
    if number is None:
        return []
    known = "; ".join(cell(difference.text) for difference in explanation.differing)
    return [f"Stated: {cell(number.dialect.text) or 'nothing'}.", f"Known to differ: {known or 'nothing'}."]


def _tried(explanation: Explanation) -> str:
    """How the dialects were chosen and the contributions computed."""
    changed = len(explanation.contributions)
    how = "exact" if changed <= MOST_EXACT else "sampled"
    shares = f" Contributions are Shapley values ({how})." if changed > 1 else ""
    return f"{_chosen(explanation)}{shares} Per cent, differences in points."


def _chosen(explanation: Explanation) -> str:
    tried, possible = explanation.tried, explanation.possible
    if tried == possible:
        return f"All {possible} dialects tried."
    some = f"{tried} of {possible} dialects tried"
    if explanation.target.metric is not None and not explanation.searched:
        some += ", those that what is stated of the number leaves open (--search rules out none)"
    if possible > MOST:
        some += f"; of more than {MOST} only those are tried that differ from a named one in at most one factor"
    return f"{some}."


def as_json(explanations: Iterable[Explanation]) -> str:
    """A list with all that is known of each explanation; values are fractions."""
    return json.dumps([_as_json(each) for each in explanations], indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _as_json(explanation: Explanation) -> Mapping[str, Any]:
    record, (printed, metric, number) = explanation.record, explanation.target
    return {
        "model": record.model.name,
        "task": record.task.name,
        "published": {
            **asdict(printed),
            "metric": metric,
            "label": number.label if number else None,
            "group": number.group if number else None,
            "url": number.paper_url if number else None,
            "stated": number.dialect.known() if number else None,
        },
        "own": _measured_as_json(explanation.own),
        "nearest": _measured_as_json(explanation.nearest),
        "ties": [_measured_as_json(tie) for tie in explanation.ties],
        "contributions": [asdict(each) for each in explanation.contributions],
        "explained": {"value": explanation.explained, "ci95": explanation.explained_ci95},
        "unexplained": {"value": explanation.unexplained, "ci95": explanation.unexplained_ci95},
        "differing": [difference._asdict() for difference in explanation.differing],
        "idle": explanation.idle,
        "tried": explanation.tried,
        "possible": explanation.possible,
    }


def _measured_as_json(measured: Measured) -> Mapping[str, Any]:
    return {"names": measured.names, "settings": measured.settings, "metric": measured.metric.model_dump(mode="json")}
