"""Where the data of a task is: under --data-root (by the data set's names), else in the package (demo data), else on
the hub or at the data set's own reference (unless --offline)."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.open import find_dataset, is_on_network
from mlcd_eval.errors import DataError
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskSpec
from mlcd_eval.support.bundled import demo_data_dir

_HOW = "put a folder in clip-benchmark's layout under --data-root, or give `ref: KIND:PATH` under `dataset:`"


def locate(task: TaskSpec, request: RunRequest) -> str:
    """Return the reference of a task's data. Raises DataError, saying what to put where, if there is none."""
    for root in (request.data_root, demo_data_dir()):
        ref = find_under(root, task) if root is not None else None
        if ref is not None:
            return ref
    data = task.dataset
    remote = data.reference()
    where = f"--data-root {request.data_root}" if request.data_root else "no --data-root"
    if remote is None:
        raise DataError(f"dataset {data.name} is missing (got {where}) and has no hub copy: {data.how or _HOW}")
    if request.offline and is_on_network(remote):
        raise DataError(f"dataset {data.name} is missing (got {where}) and --offline forbids its copy at {remote}")
    return remote


def find_under(root: Path, task: TaskSpec) -> str | None:
    """Return the reference of a task's data under a folder, None if the folder lacks it."""
    return find_dataset(root, task.dataset, task.settings.get("split"))
