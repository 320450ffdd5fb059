"""A user's request. It imports no other part, so that reading a request needs no planner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def default_cache() -> Path:
    """Return $MLCD_EVAL_CACHE, or mlcd_eval in the user's cache folder if it is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MLCD_EVAL_CACHE") or Path(base) / "mlcd_eval")


class RunRequest(BaseModel):
    """The flags of `mlcd-eval run`.

    models: encoder specs. tasks: groups, suites, names, globs or YAML files. datasets: `KIND:PATH` references, with
    which tasks must be groups. data_root: a folder of data sets. deterministic: sums in
    a fixed order on a GPU (docs/gpu.md). batch_size, workers: None means auto. settings: values
    that override those of every task whose protocol has the key. submit: write answers for a benchmark's own server
    instead of scoring them.
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
    cache: Path = Field(default_factory=default_cache)
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    log_samples: bool = False
    resume: bool = True
    offline: bool = False
    trust_remote_code: bool = False
    allow_bad_images: int = Field(default=0, ge=0)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    submit: bool = False
