"""Where a record stands among the published numbers that were measured in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlcd_eval.errors import ConfigError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.formats import By
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.published.comparable import Difference, differences
from mlcd_eval.tables.published.models import Model, of_spec
from mlcd_eval.tables.published.number import PRINTED_MEAN, PublishedNumber
from mlcd_eval.tables.published.query import tables

SAME_QUESTION = {"acc1", "mean_per_class_recall"}
"""Metrics of classification that sources choose between for one table."""


@dataclass(frozen=True)
class Standing:
    """A metric of a record. others: comparable numbers of other models, one per model, best first; apart: numbers of
    the same task that were measured otherwise, with the differences; same_model: the comparable numbers of this model.
    """

    result: Result
    metric: Metric
    others: tuple[PublishedNumber, ...]
    apart: tuple[tuple[PublishedNumber, tuple[Difference, ...]], ...]
    same_model: tuple[PublishedNumber, ...]

    @cached_property
    def model(self) -> Model | None:
        """The record's model where the atlas knows it or its architecture."""
        return of_spec(self.result.model.spec, self.result.model.name)

    @property
    def value(self) -> float:
        """The record's value."""
        assert self.metric.value is not None
        return self.metric.value

    @property
    def total(self) -> int:
        """The number of models, this one included."""
        return len(self.others) + 1

    def rank_of(self, value: float) -> int:
        """1 for a value that no other model's exceeds."""
        return 1 + sum(self._better(fraction(other), value) for other in self.others)

    @property
    def rank(self) -> str:
        """`31 [27, 36] of 121`: the interval is that of the ranks of the ends of the value's 95% interval."""
        ends = sorted(map(self.rank_of, self.metric.ci95)) if self.metric.ci95 else []
        return f"{self.rank_of(self.value)}{f' [{ends[0]}, {ends[1]}]' if ends else ''} of {self.total}"

    @property
    def percentile(self) -> float | None:
        """The share of the other models that are worse, in per cent, an equal one counting half; None without any."""
        if not self.others:
            return None
        values = [fraction(other) for other in self.others]
        worse = sum(self._better(self.value, other) + 0.5 * (other == self.value) for other in values)
        return 100 * worse / len(values)

    def nearest(self, count: int, by: By) -> list[PublishedNumber]:
        """The other models that are nearest, best first. Sizes are compared by their ratio.

        Raises ConfigError where the size of the record's model is not known.
        """
        mine = self.size(by)
        if mine is None:
            raise ConfigError(
                f"--by {by}: the {'GFLOPs' if by == 'gflops' else by} of {self.result.model.name} are not known, since "
                f"its spec {self.result.model.spec!r} names no model of the atlas: expected --by value"
                f"{' or parameters' if by == 'gflops' and self.result.model.num_params else ''}"
            )
        distance = _distance(mine, by)
        known = [other for other in self.others if size_of(other, by) is not None]
        near = sorted(known, key=lambda other: distance(other))[:count]
        return [other for other in self.others if other in near]

    def size(self, by: By) -> float | None:
        """The record's own value, parameters in millions, or GFLOPs."""
        if by == "value":
            return self.value
        if by == "gflops":
            return self.model.gflops if self.model else None
        params = self.result.model.num_params
        return params / 1e6 if params else None

    def _better(self, value: float, other: float) -> bool:
        return value > other if self.metric.higher_is_better else value < other


def standings(results: Iterable[Result], numbers: Sequence[PublishedNumber] | None = None) -> list[Standing]:
    """One per record and metric that a table shows and others published; `numbers`: among these, None for all."""
    good = [result for result in results if result.status == "ok"]
    tasks = {result.task.name for result in good}
    if numbers is None:
        numbers = [number for table in tables().values() for number in table.numbers(place=tasks.__contains__)]
    by_task: dict[str | None, list[PublishedNumber]] = {}
    for number in numbers:
        if number.fraction is not None:
            by_task.setdefault(number.task, []).append(number)
    known = []
    for result in good:
        names = [metric.name for metric in result.metrics]
        shown = protocol_named(result.task.protocol).shown_metrics(names, result.primary_metric)
        for metric in result.metrics:
            if metric.name in shown and metric.value is not None and metric.unit == "fraction":
                standing = _standing(result, metric, by_task.get(result.task.name, ()))
                if standing.others or standing.apart:
                    known.append(standing)
    return known


def _standing(result: Result, metric: Metric, numbers: Sequence[PublishedNumber]) -> Standing:
    if not numbers:
        return Standing(result, metric, (), (), ())
    own = of_spec(result.model.spec, result.model.name)
    sign = -1 if metric.higher_is_better else 1
    others: dict[object, PublishedNumber] = {}
    apart, same = [], []
    for number in numbers:
        alike = number.metric == metric.name or {number.metric, metric.name} <= SAME_QUESTION
        if not alike or number.metric == PRINTED_MEAN:
            continue
        if differing := differences(number, result, metric.name):
            apart.append((number, differing))
        elif own is not None and number.identity == own:
            same.append(number)
        else:
            others.setdefault(number.identity or number.label, number)
    ordered = sorted(others.values(), key=lambda number: sign * fraction(number))
    apart.sort(key=lambda pair: _farness(pair[0], pair[1], own, metric))
    return Standing(result, metric, tuple(ordered), tuple(apart), tuple(same))


def _farness(
    number: PublishedNumber, differing: Sequence[Difference], own: Model | None, metric: Metric
) -> tuple[bool, bool, int, float]:
    """Orders what was measured otherwise: numbers of the record's own model come first, then those with the same
    metric and few differences."""
    other_model = own is None or number.identity != own
    distance = abs(fraction(number) - (metric.value or 0.0))
    return other_model, number.metric != metric.name, len(differing), distance


def fraction(number: PublishedNumber) -> float:
    """The value as records hold it, of a number that is not in points."""
    assert number.fraction is not None
    return number.fraction


def size_of(number: PublishedNumber, by: By) -> float | None:
    """Its value, its model's parameters in millions, or its GFLOPs; None where unknown."""
    if by == "value":
        return number.fraction
    if number.identity is None:
        return None
    return number.identity.params_m if by == "parameters" else number.identity.gflops


def _distance(mine: float, by: By) -> Callable[[PublishedNumber], float]:
    def between(number: PublishedNumber) -> float:
        size = size_of(number, by)
        assert size is not None
        return abs(size - mine) if by == "value" else abs(math.log(size / mine))

    return between


def frontier(points: Sequence[tuple[float, float]], higher_is_better: bool = True) -> list[int]:
    """The places of the (cost, value) pairs that no other pair beats in both, cheapest first."""
    sign = -1 if higher_is_better else 1
    best: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], sign * points[place][1])):
        if not best or sign * points[place][1] < sign * points[best[-1]][1]:
            best.append(place)
    return best
