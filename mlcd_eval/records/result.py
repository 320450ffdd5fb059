"""The record: one file a task, all that is needed to read, defend and repeat a number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlcd_eval.metrics.base import Metric

SCHEMA_VERSION: Literal[1] = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRecord(_Frozen):
    """What was asked: settings are the protocol's, defaults included. protocol_version: None in records from before
    protocols had one, and of other harnesses."""

    name: str
    version: int
    protocol: str
    protocol_version: int | None = None
    settings: dict[str, Any]


class DatasetRecord(_Frozen):
    """What was read. fingerprint: over every split that the task reads, and its prompts; num_samples: of the split that
    is scored; expected_num_samples: as the task file has it of the protocol's data, None where it does not say."""

    name: str
    kind: str
    split: str
    fingerprint: str
    num_samples: int | None
    num_classes: int | None = None
    expected_num_samples: int | None = None


class ModelRecord(_Frozen):
    """What was scored; extra: provenance that travels in the checkpoint."""

    name: str
    spec: str
    fingerprint: str
    num_params: int | None
    preprocessing: str
    precision: str
    extra: dict[str, str] = Field(default_factory=dict)


class Timing(_Frozen):
    """started: ISO 8601, UTC. encode_s: shared by the tasks of one pass; 0 images where the store had the features."""

    started: str
    encode_s: float = 0.0
    score_s: float = 0.0
    images_encoded: int = 0


class Result(_Frozen):
    """One task of one model. A failed one has status "error", a sentence, and for a bug its traceback."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["ok", "error"] = "ok"
    error: str | None = None
    traceback: str | None = None
    task: TaskRecord
    dataset: DatasetRecord
    model: ModelRecord
    metrics: tuple[Metric, ...] = ()
    primary_metric: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    seed: int
    limit: int | None = None
    environment: dict[str, Any]
    timing: Timing

    @field_validator("details", "environment")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {key: plain(item) for key, item in value.items()}

    @property
    def primary(self) -> Metric | None:
        """The metric that ranks, None for a failed task."""
        return next((metric for metric in self.metrics if metric.name == self.primary_metric), None)

    def request_key(self) -> str:
        """Identity of the request: equal keys mean equal numbers. Times and environment are no part of it."""
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


def plain(value: Any) -> Any:
    """The value as JSON holds it: numpy scalars and arrays become Python's, NaN and infinities None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
