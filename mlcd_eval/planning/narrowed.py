"""The request of a single record: what repeats its number, and no secrets."""

from __future__ import annotations

import shlex
from pathlib import Path

from mlcd_eval.data.kinds import ROWS
from mlcd_eval.records import RequestRecord
from mlcd_eval.request import HERE, RunRequest, flags_of
from mlcd_eval.support.addresses import redacted

_HARMLESS = frozenset(option.name for row in ROWS for option in row.options)


def request_record(
    request: RunRequest, model: str, ref: str, revision: str | None, predictions: Path | None, part: str
) -> RequestRecord:
    """Return the request as a record holds it.

    request: narrowed to the record's task. model: as a request names it. ref: that the data was opened by. part: as in
    `LocatedTask`.
    """
    changed = {**request.changed(), "models": [model]}
    options = redacted({name: value for name, value in changed.items() if name not in HERE}, _HARMLESS)
    if predictions is None:
        words = ["run", *flags_of(options)]
    else:  # the model is the name of whoever made the predictions
        data = {name: value for name, value in options.items() if name in ("datasets", "data_root", "seed", "settings")}
        task = [] if request.datasets else list(request.tasks)
        words = ["score", *task, str(predictions), "--name", model, *flags_of(data)]
    return RequestRecord(
        command=shlex.join(["mlcd-eval", *words]),
        dataset=redacted(ref, _HARMLESS),
        revision=revision,
        options=options,
        predictions=None if predictions is None else str(predictions),
        part=part,
    )
