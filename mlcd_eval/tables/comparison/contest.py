"""Tasks on which several models stand by the primary metric, and which of them lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import Z95
from mlcd_eval.metrics.paired import Paired, holm
from mlcd_eval.metrics.power import LEVEL
from mlcd_eval.metrics.statistics import Ranking
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Outcomes, Result, read_outcomes
from mlcd_eval.tables.comparison.pairing import pair_primary, why_unpairable
from mlcd_eval.tables.variants import variants, with_label

MOST_TESTS = 4_000
"""Paired tests of a page, of some 20 ms each, beyond which none is made."""


@dataclass(frozen=True)
class Entry:
    """A model's record of a task. file: where it was read, beside which its outcomes are; None if it was in memory."""

    result: Result
    metric: Metric
    file: Path | None = None

    def outcomes(self) -> Outcomes:
        """The outcomes of its samples, read anew, since those of all entries may be large; raises DataError where there
        are none."""
        known = read_outcomes(self.file, self.result) if self.file else None
        if known is None:
            raise DataError("its record has no outcomes of samples")
        return known

    def testable(self) -> Outcomes:
        """The outcomes, for tests; raises DataError where there are none, and where no test of its metric is quick."""
        if isinstance(metric_kind(self.metric.name).statistic, Ranking):
            raise DataError("its test takes too long for a page, `mlcd-eval compare` makes it")
        return self.outcomes()

    @property
    def error(self) -> float:
        """The standard error of the value, 0 where there is no interval."""
        ends = self.metric.ci95
        return (ends[1] - ends[0]) / (2 * Z95) if ends else 0.0

    @property
    def value(self) -> float:
        """The value, which an entry has."""
        assert self.metric.value is not None, "see contests"
        return self.metric.value


@dataclass(frozen=True)
class Leading:
    """best: the model of the best value; tied: models that a paired test does not tell from it at LEVEL, adjusted by
    Holm's method for the models of the task; untested: model -> why there is no test."""

    best: str
    tied: frozenset[str] = frozenset()
    untested: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contest:
    """One task, measured in one way, by its primary metric. variant: what sets its numbers apart from the usual ones of
    the task, empty for these; entries: by model."""

    task: str
    variant: str
    protocol: str
    entries: dict[str, Entry]

    @property
    def name(self) -> str:
        """Task and variant."""
        return with_label(self.task, self.variant)

    @property
    def metric(self) -> Metric:
        """The metric of its first model, for what all share."""
        return next(iter(self.entries.values())).metric

    @property
    def order(self) -> list[str]:
        """The models, best first."""
        sign = -1 if self.metric.higher_is_better else 1
        return sorted(self.entries, key=lambda model: sign * self.entries[model].value)

    def leading(self, tests: bool = True) -> Leading:
        """Which models lead. tests: whether others are tested against the best."""
        best, *others = self.order
        if not tests:
            return Leading(best, untested=dict.fromkeys(others, "there are too many models"))
        p: dict[str, float] = {}
        untested: dict[str, str] = {}
        try:
            of_best = self.entries[best].testable() if others else None
        except DataError as error:
            return Leading(best, untested=dict.fromkeys(others, f"of the best, {best}: {error}"))
        for model in others:
            try:
                assert of_best is not None, "there are others"
                p[model] = paired(self.entries[best], of_best, self.entries[model]).p
            except DataError as error:
                untested[model] = str(error)
        adjusted = dict(zip(p, holm(list(p.values())), strict=True))
        return Leading(best, frozenset(model for model in adjusted if adjusted[model] >= LEVEL), untested)


def paired(first: Entry, of_first: Outcomes, other: Entry) -> Paired:
    """The paired test of two records by their primary metric, with the interval of other - first; raises DataError
    where there is none."""
    if reason := why_unpairable(first.result, other.result):
        raise DataError(reason)
    row = pair_primary(first.result, other.result, of_first, other.outcomes())
    if row.paired is None:
        raise DataError(row.test)
    return row.paired


def contests(results: Sequence[Result], files: Sequence[Path] = ()) -> list[Contest]:
    """The tasks of successful records with a value, in the order of their first record; of a model's records of one
    task that were measured in the same way, the last. files: of the records, if they were read from some."""
    labels = variants(result for result in results if result.status == "ok")
    found: dict[tuple[str, str, str], Contest] = {}
    for result, file in zip_longest(results, files):
        metric = result.primary
        if result.status != "ok" or metric is None or metric.value is None:
            continue
        key = result.task.name, labels.label(result), metric.name
        contest = found.setdefault(key, Contest(*key[:2], result.task.protocol, {}))
        contest.entries[result.model.name] = Entry(result, metric, file)
    return list(found.values())


def led(of: Sequence[Contest]) -> list[Leading]:
    """Who leads each; without tests where there would be more than MOST_TESTS."""
    tests = sum(len(contest.entries) - 1 for contest in of) <= MOST_TESTS
    return [contest.leading(tests) for contest in of]
