"""What a task file and a suite file may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlcd_eval.data.base import Kind
from mlcd_eval.errors import ConfigError, nearest

M = TypeVar("M", bound=BaseModel)


class DatasetSpec(BaseModel):
    """Which data a task reads.

    name: as in records, and as a folder under --data-root (`name` or `wds_name`). hub: repository of a copy in
    clip-benchmark's layout. ref: another default reference (hf:, torchvision:). sizes: split -> expected number of
    samples in the paper's table. class_names, templates: see data/prompts.py. how: what to put where if there is no
    copy to fetch. notes: how the copy differs from the protocol's data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind | None = None
    hub: str | None = None
    ref: str | None = None
    num_classes: int | None = None
    sizes: dict[str, int] = Field(default_factory=dict)
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None
    how: str | None = None
    notes: str | None = None


class TaskSpec(BaseModel):
    """One task: a protocol on a dataset. settings: checked against the protocol's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z_]+/[A-Za-z0-9_.+-]+$")
    version: int = Field(ge=1)
    protocol: str
    dataset: DatasetSpec
    settings: dict[str, Any] = Field(default_factory=dict)
    description: str = ""
    tags: tuple[str, ...] = ()
    paper: str | None = None
    published: str | None = None

    @model_validator(mode="after")
    def _named_by_its_protocol(self) -> TaskSpec:
        if self.name.split("/")[0] != self.protocol:
            raise ValueError(f"name {self.name!r} does not begin with its protocol {self.protocol!r}")
        return self


class SuiteSpec(BaseModel):
    """A named list of tasks (names or globs)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    description: str
    tasks: tuple[str, ...] = Field(min_length=1)


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """The values as a model; raises ConfigError with the first problem as one sentence."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            fields = list(model.model_fields)
            raise ConfigError(
                f"{where}: unknown key {key!r}, expected one of {', '.join(fields)}{nearest(key, fields)}"
            ) from error
        if first["type"] == "missing":
            raise ConfigError(f"{where}: key {key!r} is missing") from error
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key + ': ' if key else ''}got {first['input']!r}: {message}") from error
