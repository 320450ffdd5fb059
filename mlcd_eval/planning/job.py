"""A task before and after its data is opened. A Job is resolved once; plan, run, score and the record read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from mlcd_eval.data.base import AnnotatedDataset, Annotation, Dataset
from mlcd_eval.data.prompts import Prompts, resolve
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import ImageRequest, Needs, Protocol
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import ModelRecord, Result
from mlcd_eval.records.pending import dataset_record, pending_record, task_record
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskSpec, validated


@dataclass(frozen=True)
class LocatedTask:
    """A task with its protocol's settings, and the reference of its data."""

    task: TaskSpec
    protocol: Protocol[Any]
    settings: BaseModel
    ref: str

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    @property
    def needs(self) -> Needs:
        """What the protocol needs beside features."""
        return self.protocol.needs(self.settings)


def located_task(task: TaskSpec, ref: str, changes: Mapping[str, Any]) -> LocatedTask:
    """The task in its protocol's form, with those changes of settings that the protocol knows; raises ConfigError
    naming the task and the key."""
    protocol = get_protocol(task.protocol)
    return LocatedTask(task, protocol, settings_of(task, protocol, changes), ref)


def settings_of(task: TaskSpec, protocol: Protocol[Any], changes: Mapping[str, Any]) -> BaseModel:
    """The task's settings, defaults included, with those changes that the protocol knows; raises ConfigError."""
    form: type[BaseModel] = protocol.Settings
    known = {key: value for key, value in changes.items() if key in form.model_fields}
    return validated(form, {**task.settings, **known}, f"settings of {task.name}")


@dataclass(frozen=True)
class Job(LocatedTask):
    """A located task whose data is open.

    requests: role -> features. splits: role -> split of what is read; the scored one is `test`, and the last.
    prompts: class names and templates, None where the protocol fills none.
    """

    dataset: Dataset
    requests: Mapping[str, ImageRequest]
    splits: Mapping[str, str]
    prompts: Prompts | None

    @property
    def scored_split(self) -> str:
        """The split whose items are scored."""
        return self.splits["test"]

    def with_settings(self, settings: BaseModel) -> Job:
        """The same task on the same data under other settings."""
        requests, splits = _roles(self.protocol, settings, self.dataset)
        return replace(self, settings=settings, requests=requests, splits=splits)

    def for_model(self, info: EncoderInfo) -> Job:
        """The job for one model: settings such as `mode: auto` decided. Raises IncompatibleError where the model lacks
        what the job needs."""
        job = self.with_settings(self.protocol.for_model(self.settings, info))
        if job.needs.texts and not info.has_text:
            raise IncompatibleError(
                f"{job.name} needs a text tower: got model {info.spec!r}, which {info.no_text}, "
                f"expected an image-text model, or tasks such as linear_probe and knn"
            )
        for request in job.requests.values():
            if request.layer not in info.layers:
                raise IncompatibleError(
                    f"{job.name} needs layer {request.layer!r}: got model {info.spec!r} with {', '.join(info.layers)}"
                )
        return job

    def annotations(self) -> dict[str, Sequence[Annotation]]:
        """Sentences or questions by role, where the data has them."""
        if not isinstance(self.dataset, AnnotatedDataset):
            return {}
        return {role: self.dataset.annotations(split) for role, split in self.splits.items()}

    def pending_record(self, model: ModelRecord, request: RunRequest) -> Result:
        """The job's record before there are numbers."""
        return pending_record(
            task_record(self.task, self.protocol, self.settings),
            dataset_record(self.task.dataset, self.dataset, self.splits, self.prompts),
            model,
            seed=request.seed,
            limit=request.limit,
        )


def resolved(located: LocatedTask, dataset: Dataset, *, submit: bool = False) -> Job:
    """The job of a located task. submit: predictions are to be written, not scored.

    Raises IncompatibleError unless the protocol can use the dataset, DataError where it is not the one meant.
    """
    task, protocol = located.task, located.protocol
    if dataset.kind not in protocol.kinds:
        raise IncompatibleError(
            f"{task.name} cannot use a {dataset.kind} dataset: expected {' or '.join(protocol.kinds)}"
        )
    requests, splits = _roles(protocol, located.settings, dataset)
    if isinstance(dataset, AnnotatedDataset) and not submit:
        try:
            protocol.check_annotations(located.settings, splits["test"], dataset.annotations(splits["test"]))
        except IncompatibleError as error:
            raise IncompatibleError(f"{task.name}: {error}") from error
    data = task.dataset
    prompts = None
    if located.needs.class_prompts:
        names, templates = dataset.class_names, dataset.templates
        prompts = resolve(names, templates, data.class_names, data.templates, dataset.name)
    if data.num_classes is not None and dataset.class_names and len(dataset.class_names) != data.num_classes:
        raise DataError(
            f"classnames.txt of {dataset.name} has {len(dataset.class_names)} names: expected {data.num_classes}, as "
            f"{task.name} says"
        )
    return Job(task, protocol, located.settings, located.ref, dataset, requests, splits, prompts)


def _roles(
    protocol: Protocol[Any], settings: BaseModel, dataset: Dataset
) -> tuple[dict[str, ImageRequest], dict[str, str]]:
    """What is encoded, and which splits are read, by role."""
    requests = protocol.requests(settings, dataset.splits)
    scored = protocol.scored_split(settings, dataset.splits)
    others = {role: request.split for role, request in requests.items() if role != "test"}
    return requests, {role: split for role, split in others.items() if split != scored} | {"test": scored}
