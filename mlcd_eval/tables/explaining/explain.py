"""The explanation of one published number by the dialect that comes nearest to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import Interval, generator
from mlcd_eval.metrics.shapley import MOST_EXACT, shapley
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Result
from mlcd_eval.running.explaining.factors import Factors, Point
from mlcd_eval.running.explaining.lattice import Lattice
from mlcd_eval.tables.explaining.printed import equally_near
from mlcd_eval.tables.explaining.targets import Target
from mlcd_eval.tables.published.comparable import Difference, differences


@dataclass(frozen=True)
class Measured:
    """A dialect and what it gives. names: of the named dialects that it is, but for factors that make no difference;
    settings: its value of every factor."""

    names: tuple[str, ...]
    settings: Mapping[str, Any]
    metric: Metric

    @property
    def value(self) -> float:
        """The metric's value."""
        assert self.metric.value is not None
        return self.metric.value


@dataclass(frozen=True)
class Contribution:
    """What a factor adds on the way from the record's dialect to the nearest. ours, theirs: its values."""

    factor: str
    ours: Any
    theirs: Any
    points: float


@dataclass(frozen=True)
class Explanation:
    """own: the record's dialect; nearest: that which comes nearest to the number, of equally near ones the one with the
    fewest changes; ties: the others. explained: nearest minus own, with its paired interval where both have the same
    metric. unexplained: the number minus nearest, with the interval of nearest. idle: factors that make no difference
    here, in which ties may differ without being listed. tried: how many dialects were measured for it, of `possible`;
    searched: whether what its source states was set aside. differing: what is known to set the number apart from the
    nearest dialect."""

    record: Result
    target: Target
    own: Measured
    nearest: Measured
    ties: tuple[Measured, ...]
    contributions: tuple[Contribution, ...]
    explained: float
    explained_ci95: Interval | None
    unexplained: float
    unexplained_ci95: Interval | None
    idle: tuple[str, ...]
    tried: int
    possible: int
    searched: bool
    differing: tuple[Difference, ...]


def explain(target: Target, lattice: Lattice, candidates: Sequence[Point], search: bool = False) -> Explanation:
    """Measure the dialects that a number may be of, and compare.

    search: whether the number may be of another metric than it is stated to be. Raises DataError where no candidate
    can be measured.
    """
    factors, number = lattice.factors, target.number
    numbers = _Numbers(lattice, candidates, target.metric, search)
    values = numbers.of_candidates
    near = sorted(
        equally_near(values, target.printed),
        key=lambda point: (
            len(factors.changed(point)),
            not factors.names(point),
            abs(values[point] - target.printed.value),
            point,
        ),
    )
    idle = _idle(factors, values)
    near = [point for point in near if all(point[place] == near[0][place] for place in idle)]
    own, nearest, *ties = (_measured(numbers, factors, point, idle) for point in (factors.own, *near))
    ends = nearest.metric.ci95
    return Explanation(
        record=lattice.record,
        target=target,
        own=own,
        nearest=nearest,
        ties=tuple(ties),
        contributions=_contributions(numbers, factors, near[0]),
        explained=nearest.value - own.value,
        explained_ci95=paired_interval(lattice, near[0], own.metric, nearest.metric),
        unexplained=target.printed.value - nearest.value,
        unexplained_ci95=None if ends is None else (target.printed.value - ends[1], target.printed.value - ends[0]),
        idle=tuple(name for place, name in enumerate(factors.values) if place in idle),
        tried=len(values),
        possible=factors.size,
        searched=search,
        differing=() if number is None else differences(number, numbers.result(near[0]), nearest.metric.name),
    )


class _Numbers:
    """What each dialect reports for the number: the metric that it ranks by, and where no candidate ranks by the metric
    that the number is stated to be, that one of its metrics. of_candidates: without those that rank by another metric,
    unless search."""

    def __init__(self, lattice: Lattice, candidates: Sequence[Point], metric: str | None, search: bool) -> None:
        self._lattice, own = lattice, lattice.factors.own
        results = lattice.results([own, *candidates])
        ranking = [point for point in candidates if point in results and results[point].primary_metric == metric]
        self._metric = None if ranking else metric
        values = {point: self.value(point) for point in (not search and ranking) or candidates}
        self.of_candidates = {point: value for point, value in values.items() if value is not None}
        if not self.of_candidates or self.value(own) is None:
            reasons = "; ".join(dict.fromkeys(lattice.left_out.values()))
            raise DataError(f"{lattice.record.task.name}: no dialect of the number can be measured here: {reasons}")

    def prepare(self, points: Collection[Point]) -> None:
        """Measure dialects in one pass over the images."""
        self._lattice.results(points)

    def result(self, point: Point) -> Result:
        """The record of a dialect that was measured."""
        return self._lattice.results([point])[point]

    def metric(self, point: Point) -> Metric | None:
        """None where the dialect cannot be measured or has no such metric."""
        result = self._lattice.results([point]).get(point)
        if result is None:
            return None
        if self._metric is None:
            return result.primary
        return next((metric for metric in result.metrics if metric.name == self._metric), None)

    def value(self, point: Point) -> float | None:
        """The metric's value."""
        metric = self.metric(point)
        return None if metric is None else metric.value


def _idle(factors: Factors, values: Mapping[Point, float]) -> list[int]:
    """The places of the factors that several dialects choose differently and that never change the value."""
    idle = []
    for place in range(len(factors.values)):
        alike: dict[Point, set[float]] = {}
        for point, value in values.items():
            alike.setdefault(point[:place] + point[place + 1 :], set()).add(value)
        if len(alike) < len(values) and all(len(group) == 1 for group in alike.values()):
            idle.append(place)
    return idle


def _measured(numbers: _Numbers, factors: Factors, point: Point, idle: Collection[int]) -> Measured:
    metric = numbers.metric(point)
    assert metric is not None, "it has a value"
    names = [
        name
        for name, other in factors.named.items()
        if all(place in idle or point[place] == other[place] for place in range(len(point)))
    ]
    return Measured(tuple(names), factors.settings(point), metric)


def _contributions(numbers: _Numbers, factors: Factors, best: Point) -> tuple[Contribution, ...]:
    """Shapley values of the factors in which the nearest dialect differs from the record's; none where a dialect
    between them cannot be measured."""
    changed = factors.changed(best)

    def between(present: Collection[str]) -> Point:
        return tuple(place if name in present else 0 for name, place in zip(factors.values, best, strict=True))

    def value(present: frozenset[str]) -> float:
        number = numbers.value(between(present))
        return math.nan if number is None else number

    if len(changed) <= MOST_EXACT:
        numbers.prepare([between(part) for size in range(len(changed) + 1) for part in combinations(changed, size)])
    shares = shapley(changed, value)
    if any(map(math.isnan, shares.values())):
        return ()
    ours, theirs = factors.settings(factors.own), factors.settings(best)
    return tuple(Contribution(name, ours[name], theirs[name], share) for name, share in shares.items())


def paired_interval(lattice: Lattice, point: Point, own: Metric, other: Metric) -> Interval | None:
    """The paired interval of a dialect's metric minus that of the record's; None where the metrics or the samples are
    not the same, or the metric has none."""
    kind = metric_kind(own.name)
    if point == lattice.factors.own or own.name != other.name or kind.statistic is None:
        return None
    a, b = lattice.samples(lattice.factors.own), lattice.samples(point)
    if list(a["key"]) != list(b["key"]):
        return None
    (part_a, groups), (part_b, _) = kind.selected(a), kind.selected(b)
    return kind.statistic.paired(part_a, part_b, groups, generator(lattice.record.seed, own.name)).ci95
