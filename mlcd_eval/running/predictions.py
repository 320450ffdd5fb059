"""Saved predictions against a task, without a model: the protocol's own scoring on what a file holds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlcd_eval.data import open_dataset
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
    """Score a file of masks or answers on the one task, or the one dataset, of a request, and write the record.

    model: its name in the record, by default the file's. Raises UserError for what does not fit together.
    """
    job = prediction_job(request)
    annotations = job.annotations()["test"]
    note = job.task.dataset.size_note(job.scored_split, len(annotations))
    if note is not None and progress is not None:
        progress.say(note)
    predictions = job.protocol.read_predictions(path, annotations)
    inputs = Inputs(images={}, annotations={"test": annotations}, predictions=predictions, seed=request.seed)
    scores = job.protocol.score(job.settings, inputs)
    predictor = ModelRecord(
        name=model or path.stem,
        spec=f"predictions:{path.name}",
        fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
        num_params=None,
        preprocessing="of whoever made the predictions",
        precision="of whoever made the predictions",
    )
    result = job.pending_record(predictor, request).model_copy(
        update={
            "metrics": tuple(scores.metrics),
            "primary_metric": scores.primary,
            "details": dict(scores.details) | {"source": "saved predictions"},
            "environment": environment("cpu"),
        }
    )
    result = Result.model_validate(result.model_dump())
    store = ResultStore(request.output)
    if request.log_samples:
        store.write_samples(result, scores.samples)
    store.write(result)
    return result


def prediction_job(request: RunRequest) -> Job:
    """The one job that a request for scoring names; raises UserError where it is not one, or is scored from
    features."""
    word, selection = request.tasks[0], Selection(request)
    tasks = list(selection.tasks(word))
    if len(tasks) != 1:
        raise ConfigError(f"score: {word!r} stands for {len(tasks)} tasks, expected one, such as refcoco/demo")
    [task] = tasks
    if not task.protocol.takes_predictions:
        raise IncompatibleError(
            f"score: {task.name} is scored from features, expected a task of {' or '.join(_scorable())}"
        )
    task = replace(task, settings=task.protocol.for_predictions(task.settings))
    return resolved(task, selection.open(task))


def protocol_of_predictions(ref: str) -> str:
    """The protocol that scores predictions on the data set behind a reference; raises UserError where none does."""
    kind = open_dataset(ref).kind
    for name, protocol in _scorable().items():
        if kind in protocol.kinds:
            return name
    raise IncompatibleError(f"score: got {ref!r}, a {kind} data set, expected data of {' or '.join(_scorable())}")


def _scorable() -> dict[str, type[Protocol[Any]]]:
    return {name: PROTOCOLS[name] for name in PROTOCOLS if PROTOCOLS[name].takes_predictions}
