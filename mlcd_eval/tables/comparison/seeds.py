"""Models that differ in their seed alone, as one: the mean of their values, and how far these are apart."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlcd_eval.errors import ConfigError
from mlcd_eval.metrics.distributions import t_interval, welch
from mlcd_eval.metrics.paired import holm
from mlcd_eval.metrics.power import LEVEL
from mlcd_eval.tables.comparison.contest import Contest, Entry, Leading

SEEDS = r"[-_. ]seed[-_=]?\d+"
"""What tells the seeds of a model apart in its name, unless the user says otherwise: `mlcd_seed2`."""
_EXPECTED = f"expected what tells the runs of one model apart in their names, such as {SEEDS!r}"


@dataclass(frozen=True)
class Runs(Entry):
    """The seeds of a model on a task, at least two. metric: its value is their mean, its interval that of the mean by
    Student's t. members: by the names of the seeds; deviation: the sample standard deviation."""

    members: Mapping[str, Entry] = field(default_factory=dict)
    deviation: float = 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean, which an interval by Student's t is many times wider than with few seeds."""
        return self.deviation / math.sqrt(len(self.members))


def pattern(text: str | None) -> re.Pattern[str]:
    """The compiled expression, SEEDS for None; raises ConfigError for one that is none, or that matches nothing."""
    try:
        compiled = re.compile(SEEDS if text is None else text)
    except re.error as error:
        raise ConfigError(f"--group: got {text!r}, which is no regular expression ({error}), {_EXPECTED}") from error
    if compiled.fullmatch(""):
        raise ConfigError(f"--group: got {text!r}, which matches nothing at all, {_EXPECTED}")
    return compiled


def grouped(models: Sequence[str], apart: re.Pattern[str]) -> dict[str, str]:
    """Model -> the name of its group: its own name without what tells runs apart; with ` (runs)` where another model
    has this name; a model whose name has no such part is left out."""
    rest = {model: apart.sub("", model) for model in models if apart.search(model)}
    others = {model for model in models if model not in rest}
    return {model: f"{name} (runs)" if name in others else name for model, name in rest.items()}


def together(contests: Sequence[Contest], apart: re.Pattern[str]) -> list[Contest]:
    """The contests between groups; a model without one, and one that is alone in its group on a task, is as before but
    for its name. Empty where no group has two members."""
    groups = grouped(list(dict.fromkeys(model for contest in contests for model in contest.entries)), apart)
    if len(set(groups.values())) == len(groups):
        return []
    return [replace(contest, entries=_of_groups(contest, groups)) for contest in contests]


def _of_groups(contest: Contest, groups: Mapping[str, str]) -> dict[str, Entry]:
    members: dict[str, dict[str, Entry]] = {}
    for model, entry in contest.entries.items():
        members.setdefault(groups.get(model, model), {})[model] = entry
    return {
        name: _runs(of_group) if len(of_group) > 1 else next(iter(of_group.values()))
        for name, of_group in members.items()
    }


def _runs(members: Mapping[str, Entry]) -> Runs:
    values = [entry.value for entry in members.values()]
    first = next(iter(members.values()))
    sizes = {entry.metric.num_scored for entry in members.values()}
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    changes = {
        "value": mean,
        "ci95": t_interval(mean, deviation, len(values)),
        "num_scored": sizes.pop() if len(sizes) == 1 else None,
    }
    return Runs(first.result, first.metric.model_copy(update=changes), None, members, deviation)


def leading(contest: Contest) -> Leading:
    """Which groups lead: by Welch's t-test of the seeds' values, adjusted by Holm's method, since other seeds would
    move a mean that all samples agree on."""
    best, *others = contest.order
    first = contest.entries[best]
    p: dict[str, float] = {}
    untested: dict[str, str] = {}
    for model in others:
        entry = contest.entries[model]
        if isinstance(first, Runs) and isinstance(entry, Runs):
            p[model] = _welch(first, entry)
        else:
            untested[model] = "one of both has a single run, which says nothing of others"
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))
    return Leading(best, frozenset(model for model in adjusted if adjusted[model] >= LEVEL), untested)


def _welch(a: Runs, b: Runs) -> float:
    if a.deviation == b.deviation == 0:
        return float(a.value == b.value)
    return welch(*((runs.value, runs.deviation, len(runs.members)) for runs in (a, b)))
