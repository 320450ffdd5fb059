"""Who carries out a plan: this process, a Ray cluster, or Slurm. The records are the same."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import under_torchrun

if TYPE_CHECKING:
    from mlcd_eval.running.executors.base import Executor

EXECUTORS = {"local": "LocalExecutor", "ray": "RayExecutor", "slurm": "SlurmExecutor"}
"""Name, which is its module's too -> class: a dataclass whose fields are its options."""


def make_executor(name: str, **options: Any) -> Executor:
    """Raises ConfigError for an option that the executor does not have, a package or program that is missing, and
    under torchrun, which already shares one run between processes."""
    kind = getattr(import_module(f"{__name__}.{name}"), EXECUTORS[name])
    for option in options.keys() - {field.name for field in fields(kind)}:
        raise ConfigError(f"--{option.replace('_', '-')} is no option of --executor {name}: expected another executor")
    if name != "local" and under_torchrun():
        raise ConfigError(f"--executor {name} under torchrun: expected one of the two")
    return kind(**options)
