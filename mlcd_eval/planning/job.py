"""A task before its data is opened (LocatedTask) and after (Job). A job is resolved once; plan, run, score and the
record read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.data.base import AnnotatedDataset, Dataset, GroupedDataset, LabelledDataset
from mlcd_eval.data.open import parse_reference
from mlcd_eval.data.prompts import Prompts, resolve
from mlcd_eval.data.translated_prompts import translated_prompts
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.planning.narrowed import request_record
from mlcd_eval.planning.swept import each_value
from mlcd_eval.protocols.base import NO_GROUPS, ImageRequest, Needs, Protocol
from mlcd_eval.protocols.dialects import DIALECT, expanded
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import ModelRecord, Result
from mlcd_eval.records.pending import dataset_record, pending_record, task_record
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskSpec, validated


@dataclass(frozen=True)
class LocatedTask:
    """A task with its protocol, the protocol's settings, and the reference of its data.

    request: the request that named the task, narrowed to it. part: what tells its name from that of the same task with
    another value of a setting that the request gives several (see `each_value`).
    """

    task: TaskSpec
    protocol: Protocol[Any]
    settings: BaseModel
    ref: str
    request: RunRequest
    part: str

    @property
    def name(self) -> str:
        """The task's name, with its part."""
        return self.task.name + self.part

    @property
    def needs(self) -> Needs:
        """What the protocol needs besides features."""
        return self.protocol.needs(self.settings)


def needs_text_tower(task: str, spec: str, reason: str) -> str:
    """Return the sentence for a task that needs texts and a model without a text tower. reason: completes `which`."""
    return (
        f"{task} needs a text tower: got model {spec!r}, which {reason}, expected an image-text model, or tasks such "
        f"as linear_probe and knn"
    )


def located_tasks(task: TaskSpec, ref: str, request: RunRequest) -> Iterator[LocatedTask]:
    """Yield the task with its settings, overridden by those of the request that the protocol has; once for each value
    of a setting that has several.

    Raises ConfigError naming the task and the key.
    """
    protocol = get_protocol(task.protocol)
    changes = {key: value for key, value in request.settings.items() if _has(protocol, key, value)}
    for part, values in each_value(protocol, {**task.settings, **changes}, f"settings of {task.name}"):
        settings = settings_of(task, protocol, {**changes, **values})
        narrowed = {**changes, **{key: [value] for key, value in values.items()}}  # a list, so that the part stays
        yield LocatedTask(task, protocol, settings, ref, request.model_copy(update={"settings": narrowed}), part)


def _has(protocol: Protocol[Any], key: str, value: Any) -> bool:
    """Return whether a protocol has a setting; of dialects, whether it has this one."""
    if key == DIALECT and value is not None:
        return isinstance(value, str) and value in protocol.dialects
    return key in protocol.Settings.model_fields


def settings_of(task: TaskSpec, protocol: Protocol[Any], changes: Mapping[str, Any]) -> BaseModel:
    """Return the task's settings, including defaults and those of its dialect, overridden by `changes`.

    Raises ConfigError naming the task and the key.
    """
    model: type[BaseModel] = protocol.Settings
    where = f"settings of {task.name}"
    return validated(model, expanded(protocol.dialects, where, task.settings, changes), where)


@dataclass(frozen=True)
class Job(LocatedTask):
    """A located task whose data is open.

    requests: role -> features. splits: role -> split that is read; the scored split has the role `test` and comes last.
    prompts: class names and templates, None where the protocol uses no prompts.
    """

    dataset: Dataset
    requests: Mapping[str, ImageRequest]
    splits: Mapping[str, str]
    prompts: Prompts | None

    @property
    def scored_split(self) -> str:
        """The split whose items are scored."""
        return self.splits["test"]

    @property
    def _revision(self) -> str | None:
        """The commit, branch or tag of the data, None if neither the reference nor the data set's file names one."""
        data = self.task.dataset
        return parse_reference(self.ref).options.get("revision") or (
            data.revision if self.ref == data.reference() else None
        )

    def with_settings(self, settings: BaseModel) -> Job:
        """Return the same task on the same data with other settings."""
        requests, splits = _roles(self.protocol, settings, self.dataset)
        return replace(self, settings=settings, requests=requests, splits=splits)

    def for_model(self, info: EncoderInfo) -> Job:
        """Return the job for one model, with settings such as `mode: auto` decided.

        Raises IncompatibleError if the model lacks what the job needs.
        """
        job = self.with_settings(self.protocol.for_model(self.settings, info))
        if job.needs.texts and not info.has_text:
            raise IncompatibleError(needs_text_tower(job.name, info.spec, info.no_text))
        for request in job.requests.values():
            if request.frame is not None:
                request.frame.check(job.name, info)
            if info.width_of(request.layer) is None:
                pooling = f"; pooling {info.extra['pooling']}" if "pooling" in info.extra else ""
                raise IncompatibleError(
                    f"{job.name} needs layer {request.layer!r}: got model {info.spec!r} with "
                    f"{info.layers_in_words()}{pooling}"
                )
        return job

    def annotations(self) -> dict[str, Sequence[Annotation]]:
        """Return the sentences or questions by role; none where the data has no annotations."""
        if not isinstance(self.dataset, AnnotatedDataset):
            return {}
        return {role: self.dataset.annotations(split) for role, split in self.splits.items()}

    def pending_record(self, model: ModelRecord, text: str, predictions: Path | None = None) -> Result:
        """Return the job's record before it is scored.

        text: the model as a request names it. predictions: the file of saved predictions that is scored, if one is.
        """
        return pending_record(
            task_record(self.task, self.protocol, self.settings),
            dataset_record(
                self.task.dataset,
                self.dataset,
                self.splits,
                self.prompts,
                encodes_images=bool(self.requests),
                reads_images=predictions is None,
            ),
            model,
            seed=self.request.seed,
            limit=self.request.limit,
            request=request_record(self.request, text, self.ref, self._revision, predictions, self.part),
        )


def resolved(located: LocatedTask, dataset: Dataset, *, submit: bool = False) -> Job:
    """Return the job of a located task on its dataset. submit: predictions will be written, not scored.

    Raises IncompatibleError if the protocol cannot use the dataset, DataError if it is not the task's dataset.
    """
    task, protocol = located.task, located.protocol
    if dataset.kind not in protocol.kinds:
        raise IncompatibleError(
            f"{task.name} cannot use the {dataset.kind} dataset: expected {' or '.join(protocol.kinds)}"
        )
    if located.needs.languages and not isinstance(dataset, AnnotatedDataset):
        raise IncompatibleError(
            f"{task.name} needs captions in several languages: got {dataset.name}, whose captions are of no stated "
            "language, expected data such as that of xm3600:, xtd: and multi30k:"
        )
    requests, splits = _roles(protocol, located.settings, dataset)
    if isinstance(dataset, AnnotatedDataset) and not submit:
        try:
            protocol.check_annotations(located.settings, splits["test"], dataset.annotations(splits["test"]))
        except IncompatibleError as error:
            raise IncompatibleError(f"{task.name}: {error}") from error
    data = task.dataset
    prompts = None
    needs = located.needs
    if needs.groups and not isinstance(dataset, GroupedDataset):
        raise IncompatibleError(f"{task.name} {NO_GROUPS}")
    if needs.class_prompts and needs.language is not None:
        prompts = translated_prompts(dataset.name, needs.language, needs.translations)
    elif needs.class_prompts:
        prompts = resolve(
            dataset.class_names,
            dataset.templates,
            data.class_names,
            data.templates,
            dataset.name,
            needs.class_names,
            needs.templates,
        )
    _check_num_classes(task, dataset, prompts)
    return Job(
        task,
        protocol,
        located.settings,
        located.ref,
        located.request,
        located.part,
        dataset,
        requests,
        splits,
        prompts,
    )


def _check_num_classes(task: TaskSpec, dataset: Dataset, prompts: Prompts | None) -> None:
    """Raise DataError if the data has another number of classes than its task says, or prompts another than the data.

    A data set of which only the class names are counted may have too few of them, unless they make prompts.
    """
    counted = dataset.num_classes if isinstance(dataset, LabelledDataset) else None
    names, expected = len(dataset.class_names or ()), task.dataset.num_classes
    if expected is not None and ((counted or expected) != expected or names > expected):
        raise DataError(f"{dataset.name} has {counted or names} classes: expected {expected}, as in task {task.name}")
    expected = counted or expected
    partial = prompts is not None and prompts.classes is not None
    if prompts is not None and not partial and expected is not None and len(prompts.class_names) != expected:
        raise DataError(
            f"{task.name} needs one class name per class: got {len(prompts.class_names)} names ({prompts.source}), "
            f"expected {expected}"
        )


def _roles(
    protocol: Protocol[Any], settings: BaseModel, dataset: Dataset
) -> tuple[dict[str, ImageRequest], dict[str, str]]:
    """Return the image requests and the splits that are read, by role."""
    requests = protocol.requests(settings, dataset.splits)
    scored = protocol.scored_split(settings, dataset.splits)
    others = {role: request.split for role, request in requests.items() if role != "test"}
    return requests, {role: split for role, split in others.items() if split != scored} | {"test": scored}
