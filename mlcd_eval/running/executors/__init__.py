"""Executors carry out a plan: in this process, on a Ray cluster, or by Slurm. The records are the same."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import under_torchrun

if TYPE_CHECKING:
    from mlcd_eval.running.executors.base import Executor

EXECUTORS = {"local": "LocalExecutor", "ray": "RayExecutor", "slurm": "SlurmExecutor"}
"""Name, which is also the module's name -> class, a dataclass whose fields are the executor's options."""


def make_executor(name: str, **options: Any) -> Executor:
    """Return the executor of this name.

    Raises ConfigError for an option that it does not have, for a missing package or program, and for ray and slurm
    under torchrun, which already shares a run between processes.
    """
    kind = getattr(import_module(f"{__name__}.{name}"), EXECUTORS[name])
    for option in options.keys() - {field.name for field in fields(kind)}:
        raise ConfigError(
            f"--{option.replace('_', '-')} is not an option of --executor {name}: expected another executor"
        )
    if name != "local" and under_torchrun():
        raise ConfigError(f"--executor {name} was started under torchrun: expected only one of the two")
    return kind(**options)
