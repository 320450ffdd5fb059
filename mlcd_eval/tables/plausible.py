"""Whether a record that somebody sent can be believed: what contradicts itself, and what the atlas makes doubtful."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlcd_eval.records import Result
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.published.standing import Standing, fraction, standings
from mlcd_eval.tables.text import shown

SAME_MODEL = 0.01
"""How far the published number of the same model may lie outside the interval. Decoders, resizing and the processor
move a number by less."""
ABOVE_BEST = 0.02
"""How far a number may lie above all published ones."""
HASH = re.compile(r"[0-9a-f]{16,64}")
ROUNDING = 1e-9


def contradictions(result: Result) -> Iterator[str]:
    """Yield in what a record contradicts itself: no run writes such a one."""
    if result.status != "ok":
        yield f"its task failed ({result.error}), expected one that was measured"
        return
    for name, value in (("model", result.model.fingerprint), ("dataset", result.dataset.fingerprint)):
        if not HASH.fullmatch(value):
            yield f"{name}.fingerprint is {value[:80]!r}, expected a hash in hex"
    if result.primary is None:
        yield f"primary_metric is {result.primary_metric!r}, expected one of its metrics"
    for metric in result.metrics:
        low, high = metric.ci95 or (None, None)
        if metric.value is None:
            continue
        if metric.unit == "fraction" and not -1 <= metric.value <= 1:
            yield f"{metric.name} is {metric.value:g}, expected a fraction"
        if low is not None and high is not None and not low - ROUNDING <= metric.value <= high + ROUNDING:
            yield f"{metric.name} is {metric.value:.4f}, expected a value in its own interval [{low:.4f}, {high:.4f}]"
        if metric.num_scored == 0:
            yield f"{metric.name} is {metric.value:.4f} over 0 samples, expected null"


def doubts(result: Result) -> Iterator[str]:
    """Yield what a person should look at before the number is shown to others."""
    if result.status != "ok":
        return
    if result.limit is not None:
        yield f"it is over at most {result.limit:,} images a split (--limit)"
    expected, got = result.dataset.expected_num_samples, result.dataset.num_samples
    if None not in (expected, got) and expected != got:
        yield f"{result.dataset.name} has {got:,} samples here, the protocol's data has {expected:,}"
    if result.request is None:
        yield "it does not hold the request that made it, so it cannot be run again"
    if (ours := protocol_named(result.task.protocol).version) and result.task.protocol_version not in (None, ours):
        yield f"it is of version {result.task.protocol_version} of the protocol, this package has {ours}"
    for standing in standings([result]):
        yield from _beside_published(standing)


def _beside_published(standing: Standing) -> Iterator[str]:
    metric, sign = standing.metric, 1 if standing.metric.higher_is_better else -1
    value = f"{metric.name} is {shown(standing.value, metric.unit)}"
    low, high = metric.ci95 or (standing.value, standing.value)
    for number in standing.same_model:
        if not low - SAME_MODEL <= fraction(number) <= high + SAME_MODEL:
            yield f"{value}, where {number.label} has {shown(number.fraction, metric.unit)} in {number.group}"
    if standing.others:
        best = standing.others[0]
        if sign * (standing.value - fraction(best)) > ABOVE_BEST:
            yield (
                f"{value}, more than the best of {len(standing.others)} models published with the same measure, "
                f"{best.label} with {shown(best.fraction, metric.unit)}"
            )
