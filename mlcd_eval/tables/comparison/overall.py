"""Models over all tasks that they share: average rank and mean of chance-corrected scores, with intervals.

An interval is over tasks and their samples at once: each resample draws tasks with replacement, and of each drawn
task a value of every model. Where all models have outcomes of the same samples, these are drawn together, so that
what is hard for all moves no rank; elsewhere each value has the noise of its own interval. Noise on top of the noise
that was measured draws ranks to the middle, so that an interval of one at an end may have to be widened to hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.interval import Interval, generator, group_sums, ratio
from mlcd_eval.metrics.statistics import Columns, Mean, Sums, per_sample
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.tables.comparison.chance import chance, corrected
from mlcd_eval.tables.comparison.contest import Contest, Entry

DRAWS = 500
SEED = 0
MOST = 20_000
"""Samples of a task that are drawn together; of more, sums of neighbours are."""


@dataclass(frozen=True)
class Overall:
    """models: those that have a value of every one of `tasks`. tasks, scored: names of the tasks behind ranks, and of
    those behind scores. together: of how many tasks the samples were drawn together."""

    models: dict[str, Standing]
    tasks: list[str]
    scored: list[str]
    together: int


class Standing(NamedTuple):
    """rank: 1 is best, equal values share the mean of theirs; score: None where chance is known of no task."""

    rank: float
    rank_ci95: Interval
    score: float | None = None
    score_ci95: Interval | None = None


def overall(contests: Sequence[Contest]) -> Overall | None:
    """Over the tasks and models of `rectangle`; None for fewer than two of either."""
    tasks, models = rectangle(contests)
    if len(tasks) < 2 or len(models) < 2:
        return None
    rng = generator(SEED, "overall")
    drawn = [_drawn(contest, models, rng) for contest in tasks]
    values = np.stack([values for values, _ in drawn])  # (tasks, 1 + DRAWS, models), the first as measured
    signs = np.array([1 if contest.metric.higher_is_better else -1 for contest in tasks])
    ranks = _ranks(-values * signs[:, None, None])
    by_chance = [chance(contest.entries[models[0]].result, contest.metric) for contest in tasks]
    known = [place for place, each in enumerate(by_chance) if each is not None and each < 1]
    scores = np.stack([corrected(values[place], by_chance[place] or 0.0) for place in known]) if known else None
    pick = rng.integers(len(tasks), size=(DRAWS, len(tasks)))
    rank_mean, rank_ends = _over_tasks(ranks, pick)
    standings = {}
    for place, model in enumerate(models):
        standings[model] = Standing(float(rank_mean[place]), _interval(rank_ends[:, place], rank_mean[place]))
    if scores is not None:
        mean, ends = _over_tasks(scores, rng.integers(len(known), size=(DRAWS, len(known))))
        standings = {
            model: Standing(each.rank, each.rank_ci95, float(mean[place]), _interval(ends[:, place], mean[place]))
            for place, (model, each) in enumerate(standings.items())
        }
    together = sum(joint for _, joint in drawn)
    return Overall(standings, [each.name for each in tasks], [tasks[place].name for place in known], together)


def rectangle(contests: Sequence[Contest]) -> tuple[list[Contest], list[str]]:
    """The tasks and models with every value, as many of both as there are: of the tasks that most models have, the
    number that leaves most values."""
    most_first = sorted(contests, key=lambda contest: -len(contest.entries))
    best: tuple[list[Contest], list[str]] = [], []
    models: list[str] | None = None
    for count, contest in enumerate(most_first, 1):
        models = [model for model in (contest.entries if models is None else models) if model in contest.entries]
        if count * len(models) > len(best[0]) * len(best[1]) and len(models) > 1:
            best = most_first[:count], models
    chosen = {id(contest) for contest in best[0]}
    return [contest for contest in contests if id(contest) in chosen], best[1]


def _drawn(contest: Contest, models: Sequence[str], rng: np.random.Generator) -> tuple[NDArray[Any], bool]:
    """Values (1 + DRAWS, models), the first as measured, and whether samples were drawn together."""
    entries = [contest.entries[model] for model in models]
    measured = np.array([[entry.value for entry in entries]])
    terms = _terms(entries)
    if terms is None:
        errors = [entry.error for entry in entries]
        return np.concatenate([measured, measured + rng.normal(size=(DRAWS, len(models))) * errors]), False
    statistic = metric_kind(contest.metric.name).statistic
    of_sums = statistic.of_sums if isinstance(statistic, Sums) else ratio
    weights = rng.poisson(1.0, size=(DRAWS, terms.shape[1])).astype(np.float64)
    values = np.stack([of_sums(weights @ of_model) for of_model in terms], axis=1)
    return np.concatenate([measured, np.where(np.isnan(values), measured, values)]), True


def _terms(entries: Sequence[Entry]) -> NDArray[Any] | None:
    """The terms of each model's units, of which the metric is a function of sums: (models, units, K); None where some
    have no outcomes, they are not of the same samples, or the metric is another."""
    kind = metric_kind(entries[0].metric.name)
    if not isinstance(kind.statistic, (Mean, Sums)):
        return None
    terms: list[NDArray[Any]] = []
    keys: Any = None
    for entry in entries:
        try:
            columns = entry.outcomes().columns
            part, groups = kind.selected(columns)
            of_model = _of_samples(kind.statistic, part)
        except (DataError, KeyError, TypeError, ValueError):
            return None
        terms.append(of_model if groups is None else group_sums(of_model, groups))
        keys = keys or columns.get("key")
        if columns.get("key") != keys or terms[-1].shape != terms[0].shape:
            return None
    parts = -(-terms[0].shape[0] // MOST)
    return np.stack([np.add.reduceat(each, np.arange(0, len(each), parts)) for each in terms])


def _of_samples(statistic: Mean | Sums, columns: Columns) -> NDArray[Any]:
    if isinstance(statistic, Sums):
        return np.asarray(statistic.terms(columns), dtype=np.float64)
    outcomes = per_sample(statistic.outcome(columns))
    return np.column_stack([outcomes, np.ones(len(outcomes))])


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Ranks along the last axis: 1 for the least, equal values share the mean of theirs."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    places = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    edge = np.ones((*values.shape[:-1], 1), dtype=bool)
    step = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(np.concatenate([edge, step], -1), places, 0), axis=-1)
    ends = np.where(np.concatenate([step, edge], -1), places, values.shape[-1])
    last = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=-1)
    return ranks


def _over_tasks(values: NDArray[Any], pick: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Means over tasks of values (tasks, 1 + DRAWS, models): as measured (models,), and of drawn tasks (DRAWS, models).
    pick: tasks of each draw (DRAWS, tasks)."""
    draws = np.arange(1, values.shape[1])
    return values[:, 0].mean(axis=0), values[pick, draws[:, None]].mean(axis=1)


def _interval(draws: NDArray[Any], measured: float) -> Interval:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(min(low, measured)), float(max(high, measured))
