"""Where the data of a task is: under --data-root (by the data set's names), else in the package (demo data), else on
the hub or at the data set's own reference (unless --offline)."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data import find, find_docvqa, find_refer, open_dataset
from mlcd_eval.data.base import Dataset
from mlcd_eval.errors import DataError
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

HUB = "https://huggingface.co/datasets"
_HOW = "put a folder in clip-benchmark's layout under --data-root, or give `ref: KIND:PATH` under `dataset:`"


def locate(dataset: DatasetSpec, request: RunRequest) -> str:
    """Return the reference of a dataset's data. Raises DataError, saying what to put where, if there is none."""
    for root in (request.data_root, demo_data_dir()):
        ref = find_under(root, dataset) if root is not None else None
        if ref is not None:
            return ref
    remote = f"wds:{HUB}/{dataset.hub}" if dataset.hub else dataset.ref
    where = f"--data-root {request.data_root}" if request.data_root else "no --data-root"
    if remote is None:
        raise DataError(f"dataset {dataset.name} is missing (got {where}) and has no hub copy: {dataset.how or _HOW}")
    if request.offline and _is_elsewhere(remote):
        raise DataError(f"dataset {dataset.name} is missing (got {where}) and --offline forbids its copy at {remote}")
    return remote


def find_under(root: Path, dataset: DatasetSpec) -> str | None:
    """Return the reference of a data set's files under a folder, None if there are none."""
    if dataset.kind == "refer" and dataset.split_by:
        return find_refer(root, dataset.name, dataset.split_by)
    if dataset.kind == "docvqa":
        return find_docvqa(root, dataset.name, next(iter(dataset.sizes or ("val",))))
    return find(root, [dataset.name, *([dataset.hub.split("/")[-1]] if dataset.hub else [])])


def _is_elsewhere(ref: str) -> bool:
    """Return whether the files are on the network. torchvision's are local except with `download=true`, which
    `open_dataset` refuses offline."""
    kind, _, where = ref.partition(":")
    folder = Path(where.partition("?")[0]).expanduser()
    return ref.startswith("wds:http") or (kind in ("hf", "hf-vqa") and not folder.is_dir())


def is_remote(ref: str) -> bool:
    """Return whether opening the data may use the network or take long (torchvision loads all of it)."""
    return ref.startswith(("wds:http", "hf:", "hf-vqa:", "torchvision:"))


def open_located(ref: str, dataset: DatasetSpec, request: RunRequest) -> Dataset:
    """Open located data under the name that the task gives it."""
    return open_dataset(ref, cache=request.cache, offline=request.offline, name=dataset.name)
