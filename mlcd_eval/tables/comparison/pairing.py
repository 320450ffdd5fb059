"""Which records may be paired, and how the samples of two are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.paired import PERMUTATION, Paired
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import metric_kind, metric_value
from mlcd_eval.records import Outcomes, Result, read, read_outcomes
from mlcd_eval.tables.identity import facts

SEED = 0


@dataclass(frozen=True)
class Side:
    """The records of one model by name, as `run` wrote them to a folder, and their files."""

    folder: Path
    model: str
    records: dict[str, Result]
    files: dict[str, Path]

    def outcomes(self, name: str) -> Outcomes | None:
        """The outcomes of a record, None where there are none; raises DataError for damaged ones."""
        return read_outcomes(self.files[name], self.records[name])


@dataclass(frozen=True)
class PairedMetric:
    """One metric of both models over the same samples.

    paired: None where there is no test; test: its name, or why there is none.
    """

    a: Metric
    b: Metric
    num_samples: int
    test: str
    paired: Paired | None = None


class _NoTestError(Exception):
    """Why two models cannot be tested by a metric."""


def load_side(folder: Path) -> Side:
    """Raises DataError for a folder that does not hold the records of one model."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"{folder} holds no records: expected OUTPUT/MODEL, or OUTPUT with --model NAME twice")
    results = [read(file) for file in files]
    models = sorted({result.model.name for result in results})
    records = {result.name: result for result in results}
    if len(models) > 1 or len(records) < len(files):
        raise DataError(
            f"{folder} is not the folder of one model: got {len(files)} records of {len(records)} tasks by "
            f"{', '.join(models)}, expected one model and one record per task"
        )
    return Side(folder, models[0], records, {result.name: file for file, result in zip(files, results, strict=True)})


def sides(results: Sequence[Result], files: Sequence[Path]) -> dict[str, Side]:
    """Model -> its records, and their files, of any folders, for which its name stands; of several of one name the
    last."""
    found: dict[str, Side] = {}
    for result, file in zip(results, files, strict=True):
        side = found.setdefault(result.model.name, Side(Path(result.model.name), result.model.name, {}, {}))
        side.records[result.name], side.files[result.name] = result, file
    return found


def why_unpairable(a: Result, b: Result) -> str | None:
    """The first difference, unless both were measured in the same way on the same data."""
    mine, theirs = ({**facts(r), "primary metric": json.dumps(r.primary_metric)} for r in (a, b))
    for name in dict.fromkeys([*mine, *theirs]):
        of_a, of_b = (json.loads(known.get(name, "null")) for known in (mine, theirs))
        if of_a != of_b:
            return f"it differs in {name} {of_a!r} and {of_b!r}"
    return None


def pair_primary(a: Result, b: Result, of_a: Outcomes, of_b: Outcomes) -> PairedMetric:
    """The primary metric of a task that both have a value of; raises DataError as `pair_metrics`."""
    return next(pair_metrics(a, b, of_a, of_b))


def pair_metrics(a: Result, b: Result, of_a: Outcomes, of_b: Outcomes) -> Iterator[PairedMetric]:
    """The metrics of a task that both have values of: the primary one first, then those that have a paired test.

    Raises DataError for outcomes that are damaged, not of the same samples in A and B, or not those of their records.
    """
    _check_same_samples(of_a.columns, of_b.columns)
    for place, (metric_a, metric_b) in enumerate(_in_both(a, b)):
        try:
            for outcomes, metric in ((of_a, metric_a), (of_b, metric_b)):
                _check_value(outcomes, metric)
            row = _paired(metric_a, metric_b, of_a.columns, of_b.columns)
        except (TypeError, ValueError) as error:
            raise DataError(f"samples of A or B are damaged: {type(error).__name__} {error}") from error
        except _NoTestError as reason:
            row = PairedMetric(metric_a, metric_b, len(next(iter(of_a.columns.values()))), f"none ({reason})")
        if row.paired is not None or place == 0:
            yield row


def _check_same_samples(a: Columns, b: Columns) -> None:
    if a.get("key") is b.get("key"):  # read from one file
        return
    for key_a, key_b in zip_longest(a.get("key", ()), b.get("key", ())):
        if key_a != key_b:
            counts = (len(next(iter(columns.values()))) for columns in (a, b))
            raise DataError(
                f"A and B were not scored on the same samples: got {' and '.join(f'{n:,}' for n in counts)}, "
                f"the first that differ being {key_a!r} and {key_b!r}"
            )


def _in_both(a: Result, b: Result) -> Iterator[tuple[Metric, Metric]]:
    """Metrics that have a value in both, the primary one first."""
    of_b = {metric.name: metric for metric in b.metrics}
    for metric in sorted(a.metrics, key=lambda metric: metric.name != a.primary_metric):
        other = of_b.get(metric.name)
        if other is not None and metric.value is not None and other.value is not None:
            yield metric, other


def _check_value(outcomes: Outcomes, metric: Metric) -> None:
    """Raise DataError where the outcomes do not give the record's value, _NoTestError where they cannot give any."""
    kind = metric_kind(metric.name)
    if kind.statistic is None:
        raise _NoTestError(f"{metric.name} has no paired test")
    try:
        value = metric_value(metric.name, outcomes.columns)
    except KeyError as missing:
        raise _NoTestError(f"the samples have no column {missing.args[0]!r}") from missing
    if value is None or metric.value is None or not abs(metric.value - value) < 1e-6:
        raise DataError(f"{outcomes.path} is not of its record: got {metric.name} {value}, expected {metric.value}")


def _paired(metric_a: Metric, metric_b: Metric, a: Columns, b: Columns) -> PairedMetric:
    name, kind = metric_a.name, metric_kind(metric_a.name)
    assert kind.statistic is not None, "see _check_value"
    (part_a, groups), (part_b, _) = kind.selected(a), kind.selected(b)
    paired = kind.statistic.paired(part_a, part_b, groups, generator(SEED, name))
    test = f"permutation of {kind.over or 'sample'}s" if paired.test == PERMUTATION else paired.test
    return PairedMetric(metric_a, metric_b, len(next(iter(part_a.values()))), test, paired)
