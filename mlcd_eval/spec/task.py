"""What a task file and a suite file may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from mlcd_eval.data.base import Kind

Sizes = Mapping[Literal["train", "val", "test", "testA", "testB"], PositiveInt]
"""Split -> number of samples."""


class DatasetSpec(BaseModel):
    """Which data a task reads.

    name: as in records, and as a folder under --data-root (`name` or `wds_name`). hub: repository of a copy in
    clip-benchmark's layout. ref: another default reference (hf:, torchvision:). sizes: split -> number of samples in
    the published protocol (numbers on other data do not compare with published ones); of sentences or questions where
    these are scored. split_by: whose split of a refer data set. class_names, templates: see
    data/prompts.py. how: what to put where if there is no copy to fetch. notes: how the copy differs from the
    protocol's data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    kind: Kind | None = None
    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    ref: str | None = Field(default=None, pattern=r"^[a-z-]+:.")
    num_classes: PositiveInt | None = None
    sizes: Sizes = Field(default_factory=dict)
    split_by: str | None = None
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None
    how: str | None = None
    notes: str | None = None

    def expected_size(self, split: str) -> int | None:
        """What `sizes` says of a split, None where it is silent."""
        return next((size for name, size in self.sizes.items() if name == split), None)

    def size_note(self, split: str, size: int | None) -> str | None:
        """A sentence for a split of another size than the protocol's, None where it is right or not known."""
        expected = self.expected_size(split)
        if size is None or expected is None or size == expected:
            return None
        return f"note: split {split!r} of {self.name} has {size:,} samples, the protocol's has {expected:,}"


class TaskSpec(BaseModel):
    """One task: a protocol on a dataset. A change that changes numbers raises `version`.

    settings: checked against the protocol's own. paper: where dataset and protocol come from. published: the column
    of results/published that this task reproduces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: PositiveInt
    protocol: str
    dataset: DatasetSpec
    settings: Mapping[str, Any] = Field(default_factory=dict)
    description: str = ""
    tags: tuple[str, ...] = ()
    paper: str | None = None
    published: str | None = None

    @field_validator("name")
    @classmethod
    def _fit_for_a_file_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z]\w*/[^/\\\x00-\x1f.][^/\\\x00-\x1f]*", name):
            raise ValueError("expected PROTOCOL/NAME, without further slashes")
        return name

    @model_validator(mode="after")
    def _named_by_its_protocol(self) -> TaskSpec:
        if self.name.partition("/")[0] != self.protocol:
            raise ValueError(f"the name {self.name!r} does not begin with the protocol, expected '{self.protocol}/...'")
        return self


class SuiteSpec(BaseModel):
    """A named list of tasks (names, groups or globs)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    description: str
    tasks: tuple[str, ...] = Field(min_length=1)
