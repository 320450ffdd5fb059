"""Which dialects a published number may be of, by what its source states."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from mlcd_eval.running.explaining.factors import METRIC, TASKS_OWN, Factors, Point
from mlcd_eval.running.explaining.lattice import Lattice
from mlcd_eval.tables.explaining.targets import Target
from mlcd_eval.tables.published.comparable import agrees, dialect_of
from mlcd_eval.tables.published.query import tables

MOST = 256
"""The most dialects of which all combinations are tried."""


def stated_values(targets: Iterable[Target]) -> dict[str, list[Any]]:
    """The values of settings that the sources state, in terms of this package."""
    values: dict[str, list[Any]] = {}
    for target in targets:
        if target.metric is not None:
            values.setdefault(METRIC, []).append(target.metric)
        prompts = target.number.dialect.prompts if target.number else None
        if prompts is not None:
            values.setdefault("templates", []).append((prompts,) if "{c}" in prompts else prompts)
    return values


def every_point(factors: Factors) -> list[Point]:
    """The whole lattice; of more than MOST points, those that differ from the record's dialect or from a named one in
    at most one factor."""
    if factors.size <= MOST:
        return list(product(*map(range, map(len, factors.values.values()))))
    centres = dict.fromkeys([factors.own, *factors.named.values()])
    around = (
        (*centre[:number], place, *centre[number + 1 :])
        for centre in centres
        for number, values in enumerate(factors.values.values())
        for place in range(len(values))
    )
    return list(dict.fromkeys([*centres, *around]))


def open_points(target: Target, lattice: Lattice) -> list[Point]:
    """The dialects that agree with all that is known of how a number was measured, as far as any dialect here does:
    with its metric, with the dialect that is named as its source is, and with what its source states."""
    factors, number = lattice.factors, target.number
    points = every_point(factors)
    if target.metric is not None:
        points = [point for point in points if factors.settings(point).get(METRIC) == target.metric] or points
    if number is None:
        return points
    if number.dialect.as_task is not None:
        return [point for point in points if point == factors.named.get(TASKS_OWN)] or points
    source = tables()[number.group].source.replace("_", "-")
    theirs = factors.settings(factors.named[source]) if source in factors.named else {}
    for name in theirs.keys() & factors.sets.get(source, set()) - {METRIC}:
        points = [point for point in points if factors.settings(point)[name] == theirs[name]] or points
    known = {point: dialect_of(pending) for point in points if (pending := lattice.pending(point)) is not None}
    for factor in number.dialect.known():
        agreeing = {point: ours for point, ours in known.items() if agrees(factor, number.dialect, ours)}
        known = agreeing or known
    return list(known)
