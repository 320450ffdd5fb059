"""The record: one file per task, with everything needed to read, defend and repeat a number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records.efficiency import Efficiency

SCHEMA_VERSION: Literal[1] = 1


def plain(value: Any) -> Any:
    """Return the value in JSON's types: numpy scalars and arrays become Python's, NaN and infinities become None, and
    half characters in keys are escaped."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {_plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


_PLAIN = frozenset({str, int, bool, type(None)})


def _plain_key(key: Any) -> str:
    if type(key) is str and key.isascii():
        return key
    return str(key).encode("utf-8", "backslashreplace").decode()


PlainDict = Annotated[dict[str, Any], AfterValidator(plain)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRecord(_Frozen):
    """The task. settings: the protocol's, including defaults. protocol_version: None in records of other harnesses and
    in those written before protocols had a version."""

    name: str
    version: int
    protocol: str
    protocol_version: int | None = None
    settings: PlainDict


class DatasetRecord(_Frozen):
    """The data. fingerprint: of every split that the task reads, and of its prompts. num_samples: of the scored split.
    expected_num_samples: the size of the scored split according to the task file, None if it gives none. split_by: the
    author of the splits, for data sets that have several (refer). annotations: fingerprint of the scored sentences or
    questions alone, if predictions instead of features are scored against them."""

    name: str
    kind: str
    split: str
    split_by: str | None = None
    annotations: str | None = None
    fingerprint: str
    num_samples: int | None
    num_classes: int | None = None
    expected_num_samples: int | None = None

    @property
    def identity(self) -> str:
        """Equal for records that were scored on the same: saved predictions and a model's own compare, though only the
        fingerprint of the latter is over images."""
        return self.annotations or self.fingerprint


class ModelRecord(_Frozen):
    """The model. extra: what its files and its kind say of it, such as provenance and pooling."""

    name: str
    spec: str
    fingerprint: str
    num_params: int | None
    preprocessing: str
    precision: str
    extra: dict[str, str] = Field(default_factory=dict)


class RequestRecord(_Frozen):
    """The request that made the record, narrowed to its model and task, without secrets.

    command: the command line that repeats it. dataset: the reference by which the data was opened. revision: the
    commit, branch or tag of a copy on the hub, None if it is not pinned. options: the fields of RunRequest that differ
    from their defaults and may change a number. predictions: the file of saved predictions that was scored, None if a
    model ran. part: what tells the record's name from those of the same task with other values of a setting that the
    request gave several, such as `@shots=4`. The versions of packages are in the record's environment.
    """

    command: str
    dataset: str
    revision: str | None = None
    options: PlainDict
    predictions: str | None = None
    part: str = ""


class OutcomesRecord(_Frozen):
    """Where the outcomes of samples are (records/outcomes.py). file: its name in the folder `outcomes` beside the
    record; sha256: of the file; keys: sha256, and name, of the file of its samples' keys."""

    file: str = Field(pattern=r"^[^/\\]+\.npz$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    keys: str = Field(pattern="^[0-9a-f]{64}$")


class Timing(_Frozen):
    """started: ISO 8601, UTC. encode_s, score_s: seconds; all tasks of one encoding pass have the same encode_s.
    images_encoded: 0 if the store had the features."""

    started: str
    encode_s: float = 0.0
    score_s: float = 0.0
    images_encoded: int = 0


class Result(_Frozen):
    """One task on one model. A failed task has status "error", the error in a sentence, and for a bug its traceback.

    request, efficiency: None in records of other harnesses, in those written before records held them, and, efficiency,
    where no images were encoded. outcomes: None where there are no outcomes of samples, and in records written before
    these were kept.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["ok", "error"] = "ok"
    error: str | None = None
    traceback: str | None = None
    task: TaskRecord
    dataset: DatasetRecord
    model: ModelRecord
    metrics: tuple[Metric, ...] = ()
    primary_metric: str | None = None
    details: PlainDict = Field(default_factory=dict)
    seed: int
    limit: int | None = None
    environment: PlainDict
    timing: Timing
    efficiency: Efficiency | None = None
    request: RequestRecord | None = None
    outcomes: OutcomesRecord | None = None

    @property
    def name(self) -> str:
        """The task's name, with what tells it from other records of the task that one request made, or one import,
        which has it in its details."""
        return self.task.name + (self.request.part if self.request else str(self.details.get("part", "")))

    @property
    def primary(self) -> Metric | None:
        """The metric by which models are ranked, None for a failed task."""
        for metric in self.metrics:
            if metric.name == self.primary_metric:
                return metric
        return None

    def __repr__(self) -> str:
        """Return one line: model, task and the primary metric, or the error."""
        metric = self.primary
        shown = f"error: {self.error}" if self.status == "error" else "no metric"
        if metric is not None:
            ends = f" [{metric.ci95[0]:.4f}, {metric.ci95[1]:.4f}]" if metric.ci95 else ""
            value = "undefined" if metric.value is None else f"{metric.value:.4f}"
            shown = f"{metric.name} {value}{ends}, n = {metric.num_scored}"
        return " ".join(f"<Result {self.model.name} {self.task.name}: {shown}>".split())

    __str__ = __repr__

    def completed(self, **fields: Any) -> Result:
        """Return the record with these fields filled in, checked as a record that is read is."""
        return Result.model_validate({**self.model_dump(), **fields})

    def request_key(self) -> str:
        """Return the identity of the request: equal keys mean equal numbers. It excludes times and environment."""
        model = {"fingerprint": self.model.fingerprint, "precision": self.model.precision}
        model["preprocessing"] = self.model.preprocessing
        request = {
            "schema_version": self.schema_version,
            "task": self.task.model_dump(mode="json"),
            "dataset": self.dataset.fingerprint,
            "model": model,
            "seed": self.seed,
            "limit": self.limit,
        }
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
