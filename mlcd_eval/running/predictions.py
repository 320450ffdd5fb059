"""Saved predictions against a task, without a model: the protocol's own scoring on what a file holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlcd_eval.data.base import AnnotatedDataset, Expression, Question, fingerprint
from mlcd_eval.data.predictions import read_answers, read_masks
from mlcd_eval.errors import ConfigError, IncompatibleError
from mlcd_eval.planning.locate import check_answers, expand, open_located, settings_of
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, ResultStore, TaskRecord, Timing
from mlcd_eval.records.environment import environment
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.progress import Progress


def score(path: Path, request: RunRequest, model: str | None = None, progress: Progress | None = None) -> Result:
    """Score a file of masks or answers on the one task, or the one dataset, of a request, and write the record.

    model: its name in the record, by default the file's. Raises UserError for what does not fit together.
    """
    word = request.tasks[0]
    located = list(expand(word, request, TaskIndex.load()))
    if len(located) != 1:
        raise ConfigError(f"score: {word!r} stands for {len(located)} tasks, expected one, such as refcoco/demo")
    [(task, ref)] = located
    dataset = open_located(ref, task.dataset, request)
    protocol = get_protocol(task.protocol)
    if not isinstance(dataset, AnnotatedDataset):
        scored = [name for name in PROTOCOLS if set(get_protocol(name).kinds) & {"refer", "docvqa"}]
        raise IncompatibleError(f"score: {task.name} is scored from features, expected a task of {' or '.join(scored)}")
    settings = settings_of(task, request.settings).model_copy(update={"mode": "native"})
    split = protocol.scored_split(settings, dataset.splits)
    check_answers(task.name, dataset, split)
    annotations = dataset.annotations(split)
    note = task.dataset.size_note(split, len(annotations))
    if note is not None and progress is not None:
        progress.say(note)
    inputs = Inputs(
        images={},
        annotations={"test": annotations},
        predictions=_read(path, annotations),
        seed=request.seed,
    )
    scores = protocol.score(settings, inputs)
    name = model or path.stem
    blank = Result(
        task=TaskRecord(
            name=task.name, version=task.version, protocol=task.protocol, settings=settings.model_dump(mode="json")
        ),
        dataset=DatasetRecord(
            name=dataset.name,
            kind=dataset.kind,
            split=split,
            fingerprint=hashlib.sha256(f"{split} {fingerprint(dataset, split)}".encode()).hexdigest(),
            num_samples=len(annotations),
            expected_num_samples=task.dataset.expected_size(split),
        ),
        model=ModelRecord(
            name=name,
            spec=f"predictions:{path.name}",
            fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
            num_params=None,
            preprocessing="of whoever made the predictions",
            precision="of whoever made the predictions",
        ),
        metrics=tuple(scores.metrics),
        primary_metric=scores.primary,
        details=dict(scores.details) | {"source": "saved predictions"},
        seed=request.seed,
        environment=environment("cpu"),
        timing=Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds")),
    )
    store = ResultStore(request.output)
    if request.log_samples:
        store.write_samples(blank, scores.samples)
    store.write(blank)
    return blank


def _read(path: Path, annotations: Sequence[Any]) -> Mapping[Any, Any]:
    if isinstance(annotations[0], Expression):
        return read_masks(path, [one for one in annotations if isinstance(one, Expression)])
    return read_answers(path, [one for one in annotations if isinstance(one, Question)])
