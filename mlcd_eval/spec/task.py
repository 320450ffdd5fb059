"""What the files of data sets, tasks and suites may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mlcd_eval.data.base import Kind
from mlcd_eval.data.open import parse_reference, with_option
from mlcd_eval.data.storage.location import hub_address
from mlcd_eval.errors import ConfigError

Sizes = Mapping[Literal["train", "val", "test", "testA", "testB"], PositiveInt]
"""Split -> number of samples."""


class DatasetSpec(BaseModel):
    """What is known of a data set: tasks/datasets/NAME.yaml, or `dataset:` in a task file.

    name: as in records, and as a folder under --data-root (`name` or `wds_name`). hub: repository of a copy in
    clip-benchmark's layout. ref: a default reference of another form (hf:, torchvision:). revision: commit, branch or
    tag of the repository behind hub or ref, None for its newest. sizes: split -> number of samples in the published
    protocol (numbers on other data do not compare with published ones); of sentences or questions where these are
    scored. split_by: author of the splits of a refer data set. class_names, templates: see data/prompts.py. group: in
    a webdataset, the entry, from 0, of the .npy beside each label that is the sample's group. how: what to put where if
    there is no copy to fetch. notes: how the copy differs from the protocol's data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    kind: Kind | None = None
    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    ref: str | None = None
    revision: str | None = Field(default=None, pattern=r"^[\w./-]+$")
    num_classes: PositiveInt | None = None
    sizes: Sizes = Field(default_factory=dict)
    split_by: str | None = None
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None
    group: NonNegativeInt | None = None
    how: str | None = None
    notes: str | None = None

    @field_validator("ref")
    @classmethod
    def _is_a_reference(cls, ref: str | None, others: ValidationInfo) -> str | None:
        if ref is not None and others.data.get("hub"):
            raise ValueError("expected no ref beside hub")
        return ref if ref is None else _checked(ref)

    @field_validator("revision")
    @classmethod
    def _is_of_a_repository(cls, revision: str | None, others: ValidationInfo) -> str | None:
        ref = others.data.get("ref")
        if revision is not None and ref is not None:
            _checked(with_option(ref, "revision", revision))
        elif revision is not None and not others.data.get("hub"):
            raise ValueError("expected a revision only beside hub or ref")
        return revision

    def reference(self) -> str | None:
        """Where the data comes from unless the user has it, at its revision: the copy on the hub, or `ref`."""
        if self.hub:
            return f"wds:{hub_address(self.hub, self.revision)}"
        return with_option(self.ref, "revision", self.revision) if self.ref and self.revision else self.ref

    def expected_size(self, split: str) -> int | None:
        """The split's entry in `sizes`, None without one."""
        return next((size for name, size in self.sizes.items() if name == split), None)

    def size_note(self, split: str, size: int | None) -> str | None:
        """A sentence for a split of another size than the protocol's, None if they agree or one is not known."""
        expected = self.expected_size(split)
        if size is None or expected is None or size == expected:
            return None
        return f"note: split {split!r} of {self.name} has {size:,} samples, the protocol's has {expected:,}"


def _checked(ref: str) -> str:
    """The reference; raises ValueError, as pydantic wants it, where it cannot be opened as it is written."""
    try:
        parse_reference(ref)
    except ConfigError as error:
        raise ValueError(f"expected a reference that can be opened: {error}") from error
    return ref


class TaskSpec(BaseModel):
    """One task: a protocol on a dataset. A change of the task that changes its numbers raises `version`.

    dataset: in a file the name of a known data set, a mapping of its name and the facts that differ for this task, or
    a mapping of all facts. settings: those of the protocol. paper: where dataset and protocol come from. published:
    the column of results/published that this task reproduces.
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
    """A named list of tasks (names, groups or globs). average: what its authors call the mean over all of its tasks,
    each by its own metric; None where they print none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    description: str
    tasks: tuple[str, ...] = Field(min_length=1)
    average: str | None = None
