"""A record's request carried out again, and what differs from the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.records import Result, read
from mlcd_eval.running.predictions import score
from mlcd_eval.running.repeated import identity, plan_of, request_of
from mlcd_eval.running.run import run
from mlcd_eval.support.progress import Progress

COMPARED = ("value", "ci95", "num_scored", "num_unscored")
"""The numbers of a metric."""


@dataclass(frozen=True)
class Rerun:
    """A record and its repetition. Each mapping holds what differs: name -> (before, after)."""

    before: Result
    after: Result

    @property
    def numbers(self) -> dict[str, tuple[Any, Any]]:
        """The metrics that differ in value, interval or count; None for a metric that only one of them has."""
        before, after = ({m.name: m.model_dump(include=set(COMPARED)) for m in r.metrics} for r in self._both)
        status = _different({"status": self.before.status}, {"status": self.after.status})
        return {**status, **_different(before, after)}

    @property
    def identity(self) -> dict[str, tuple[Any, Any]]:
        """What identifies the number: versions and settings of the task, data, model and its precision."""
        before, after = map(identity, self._both)
        return _different(before, after)

    @property
    def environment(self) -> dict[str, tuple[Any, Any]]:
        """Versions of packages, the machine and its device."""
        return _different(self.before.environment, self.after.environment)

    @property
    def _both(self) -> tuple[Result, Result]:
        return self.before, self.after


def rerun(
    path: Path, changes: Mapping[str, Any], *, allow_code: bool = False, progress: Progress | None = None
) -> Rerun:
    """Carry out the request of a record again.

    changes: fields of RunRequest for this machine (output, cache, data_root, device). allow_code: whether functions and
    repositories that the record names may run, since a record may come from someone else. Raises UserError for a record
    without a request or with one that cannot be repeated.
    """
    before = read(path)
    request = request_of(before, path, changes)
    assert before.request is not None, "request_of saw it"
    if before.request.predictions is not None:
        return Rerun(before, score(Path(before.request.predictions), request, before.model.name, progress))
    (after,) = run(plan_of(before, path, request, allow_code=allow_code), progress)
    return Rerun(before, after)


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
