"""The explanation of one published number by the dialect that comes nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import Interval, generator
from mlcd_eval.metrics.shapley import MOST_EXACT, shapley
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Result
from mlcd_eval.running.explaining.factors import Point
from mlcd_eval.running.explaining.lattice import Lattice
from mlcd_eval.tables.explaining.printed import equally_near
from mlcd_eval.tables.explaining.stated import METRIC, every_point, open_points
from mlcd_eval.tables.explaining.targets import Target
from mlcd_eval.tables.published.comparable import Difference, differences


@dataclass(frozen=True)
class Measured:
    """A dialect and what it gives. names: of the named dialects that it is; settings: its value of every factor."""

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
    metric. unexplained: the number minus nearest, with the interval of nearest. tried: how many dialects were measured
    for it, of `possible`. differing: what is known to set the number apart from the nearest dialect."""

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
    tried: int
    possible: int
    differing: tuple[Difference, ...]


def explain(target: Target, lattice: Lattice, search: bool = False) -> Explanation:
    """Measure the dialects that a number may be of, and compare.

    search: all of the lattice, also what the number's source rules out. Raises DataError where none can be measured.
    """
    factors = lattice.factors
    possible = every_point(factors)
    candidates = possible if search else open_points(target, lattice)
    results = lattice.results([factors.own, *candidates])
    metrics = {point: metric for point in candidates if (metric := _metric(target, lattice, results.get(point)))}
    values = {point: metric.value for point, metric in metrics.items() if metric.value is not None}
    if not values:
        reasons = "; ".join(dict.fromkeys(lattice.left_out.values()))
        raise DataError(
            f"{lattice.record.task.name}: no dialect of the published number can be measured here: {reasons}"
        )
    near = equally_near(values, target.printed)
    near.sort(
        key=lambda point: (len(factors.changed(point)), not factors.names(point), _gap(values[point], target), point)
    )
    best = near[0]
    own_metric = _metric(target, lattice, results[factors.own])
    assert own_metric is not None, "the record has it"
    own = Measured(tuple(factors.names(factors.own)), factors.settings(factors.own), own_metric)
    nearest, *ties = (Measured(tuple(factors.names(point)), factors.settings(point), metrics[point]) for point in near)
    ends = nearest.metric.ci95
    return Explanation(
        record=lattice.record,
        target=target,
        own=own,
        nearest=nearest,
        ties=tuple(ties),
        contributions=_contributions(target, lattice, best),
        explained=nearest.value - own.value,
        explained_ci95=_paired(lattice, best, own.metric, nearest.metric),
        unexplained=target.printed.value - nearest.value,
        unexplained_ci95=None if ends is None else (target.printed.value - ends[1], target.printed.value - ends[0]),
        tried=len(candidates),
        possible=len(possible),
        differing=() if target.number is None else differences(target.number, results[best], nearest.metric.name),
    )


def _metric(target: Target, lattice: Lattice, result: Result | None) -> Metric | None:
    """What a dialect reports: the metric that it ranks by where that is a factor, else the one that is asked for."""
    if result is None:
        return None
    if METRIC in lattice.factors.values or target.metric is None:
        return result.primary
    return next((metric for metric in result.metrics if metric.name == target.metric), None)


def _gap(value: float, target: Target) -> float:
    return abs(value - target.printed.value)


def _contributions(target: Target, lattice: Lattice, best: Point) -> tuple[Contribution, ...]:
    """Shapley values of the factors in which the nearest dialect differs; () where a dialect between cannot be measured."""
    factors = lattice.factors
    changed = factors.changed(best)

    def between(present: Sequence[str] | frozenset[str]) -> Point:
        return tuple(place if name in present else 0 for name, place in zip(factors.values, best, strict=True))

    if len(changed) <= MOST_EXACT:  # in one pass over the images
        lattice.results([between(part) for size in range(len(changed) + 1) for part in combinations(changed, size)])

    def value(present: frozenset[str]) -> float:
        metric = _metric(target, lattice, lattice.results([between(present)]).get(between(present)))
        if metric is None or metric.value is None:
            raise _UndefinedError
        return metric.value

    try:
        shares = shapley(changed, value)
    except _UndefinedError:
        return ()
    ours, theirs = factors.settings(factors.own), factors.settings(best)
    return tuple(Contribution(name, ours[name], theirs[name], share) for name, share in shares.items())


class _UndefinedError(Exception):
    """A dialect between two has no value."""


def _paired(lattice: Lattice, best: Point, own: Metric, nearest: Metric) -> Interval | None:
    """The paired interval of the difference; None where it has none, or the metrics or samples are not the same."""
    kind = metric_kind(own.name)
    if best == lattice.factors.own or own.name != nearest.name or kind.statistic is None:
        return None
    a, b = lattice.samples(lattice.factors.own), lattice.samples(best)
    if list(a["key"]) != list(b["key"]):
        return None
    (part_a, groups), (part_b, _) = kind.selected(a), kind.selected(b)
    return kind.statistic.paired(part_a, part_b, groups, generator(lattice.record.seed, own.name)).ci95
