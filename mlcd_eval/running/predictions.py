"""Saved predictions scored on a task, without a model and without images, as the protocol scores a model's own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlcd_eval.data.open import parse_reference
from mlcd_eval.errors import ConfigError, IncompatibleError
from mlcd_eval.planning.job import Job, resolved
from mlcd_eval.planning.select import Selection
from mlcd_eval.protocols.base import Inputs, Protocol
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.records import ModelRecord, Result, ResultStore
from mlcd_eval.records.environment import environment
from mlcd_eval.request import RunRequest
from mlcd_eval.support.progress import Progress


def score(path: Path, request: RunRequest, model: str | None = None, progress: Progress | None = None) -> Result:
    """Score a file of masks or answers on the single task or dataset of a request, and write and return the record.

    model: its name in the record, by default the file's. Raises UserError if the request or the file is wrong.
    """
    job = prediction_job(request)
    annotations = job.annotations()["test"]
    note = job.task.dataset.size_note(job.scored_split, len(annotations))
    progress = progress or Progress()
    if note is not None:
        progress.say(note)
    predictions = job.protocol.read_predictions(path, annotations)
    inputs = Inputs(images={}, annotations={"test": annotations}, predictions=predictions, seed=request.seed)
    with progress.stage(f"{job.name}: scoring", None, "", lasting=False):
        scores = job.protocol.score(job.settings, inputs)
    predictor = ModelRecord(
        name=model or path.stem,
        spec=f"predictions:{path.name}",
        fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
        num_params=None,
        preprocessing="of whoever made the predictions",
        precision="of whoever made the predictions",
    )
    result = job.pending_record(predictor, predictor.name, path).completed(
        metrics=tuple(scores.metrics),
        primary_metric=scores.primary,
        details=dict(scores.details) | {"source": "saved predictions"},
        environment=environment("cpu"),
    )
    store = ResultStore(request.output)
    if request.log_samples:
        store.write_samples(result, scores.samples)
    return store.write(result, scores.samples)


def prediction_job(request: RunRequest) -> Job:
    """Return the job of a request for scoring. Raises UserError unless it is one task that takes predictions."""
    word, selection = request.tasks[0], Selection(request)
    tasks = list(selection.tasks(word))
    if len(tasks) != 1:
        raise ConfigError(f"score: {word!r} names {len(tasks)} tasks, expected one, such as refcoco/demo")
    [task] = tasks
    if not task.protocol.takes_predictions:
        raise IncompatibleError(
            f"score: {task.name} is scored from features, expected a task of {' or '.join(_scorable())}"
        )
    task = replace(task, settings=task.protocol.for_predictions(task.settings))
    return resolved(task, selection.open(task))


def protocol_of_predictions(ref: str) -> str:
    """Return the name of the protocol that scores predictions on a data set. Raises UserError if none does."""
    kinds = parse_reference(ref).scheme.kinds  # of what the scheme can hold; nothing is opened
    for name, protocol in _scorable().items():
        if set(kinds) & set(protocol.kinds):
            return name
    raise IncompatibleError(
        f"score: got {ref!r}, which holds {' or '.join(kinds)} data, expected data of {' or '.join(_scorable())}"
    )


def _scorable() -> dict[str, type[Protocol[Any]]]:
    return {name: PROTOCOLS[name] for name in PROTOCOLS if PROTOCOLS[name].takes_predictions}
