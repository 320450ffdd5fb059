"""A user's request. This module imports no other part, so that reading a request needs no planner."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def default_cache() -> Path:
    """Return $MLCD_EVAL_CACHE, or mlcd_eval in the user's cache folder if it is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MLCD_EVAL_CACHE") or Path(base) / "mlcd_eval")


FLAGS = {"models": "model", "datasets": "dataset", "settings": "set"}
"""Field of RunRequest -> its flag, where that is not the field's own name."""
HERE = frozenset({"output", "cache", "batch_size", "workers", "resume", "log_samples", "skip_incompatible", "offline"})
"""Fields that change no number: where things are kept, and how the work is shared out."""


class RunRequest(BaseModel):
    """The flags of `mlcd-eval run`.

    models: encoder specs, or `NAME=SPEC`. tasks: groups, suites, names, globs or YAML files. datasets: `KIND:PATH`
    references, with which tasks must be groups. data_root: a folder of data sets. deterministic: sums in a fixed order
    on a GPU (docs/gpu.md). batch_size, workers: None means auto. decoder: `pil` is each model's own preprocessing,
    `torch` resizes faster and not quite the same, `torchcodec` also decodes JPEG files faster. skip_incompatible:
    leave out each pair of a model and a task that do not go together, instead of refusing the request. settings:
    values that override those of every task whose protocol has the key. submit: write answers for a benchmark's own
    server instead of scoring them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    datasets: tuple[str, ...] = ()
    data_root: Path | None = None
    output: Path = Path("results/runs")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    deterministic: bool = False
    batch_size: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=0)
    decoder: Literal["pil", "torch", "torchcodec"] = "pil"
    cache: Path = Field(default_factory=default_cache)
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    log_samples: bool = False
    resume: bool = True
    offline: bool = False
    trust_remote_code: bool = False
    allow_bad_images: int = Field(default=0, ge=0)
    skip_incompatible: bool = False
    settings: Mapping[str, Any] = Field(default_factory=dict)
    submit: bool = False

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, in JSON's types."""
        fields = type(self).model_fields
        values = self.model_dump(mode="json")
        return {
            name: values[name]
            for name, field in fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }


def flags_of(changed: Mapping[str, Any]) -> list[str]:
    """Return the flags of `mlcd-eval run` for the fields of a request that differ from their defaults."""
    words: list[str] = []
    for name, value in changed.items():
        flag = f"--{FLAGS.get(name, name).replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, Mapping):
            words += [word for key, item in value.items() for word in (flag, f"{key}={json.dumps(item)}")]
        elif name == "tasks":
            words += [flag, ",".join(value)]
        else:
            words += [word for item in (value if isinstance(value, list) else [value]) for word in (flag, str(item))]
    return words
