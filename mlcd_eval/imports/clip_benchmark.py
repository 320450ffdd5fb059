"""clip-benchmark 1.6: the JSON of `clip_benchmark eval` and the CSV of `clip_benchmark build`.

All values are fractions. The files hold neither the split nor the number of samples. Its linear probe differs from the
one here (AdamW, on normalised features): the settings of the record name the harness.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.common import ImportedTask, fraction, safe_name
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex, TaskSpec

PROTOCOLS = {"zeroshot_classification": "zeroshot", "linear_probe": "linear_probe", "zeroshot_retrieval": "retrieval"}
CLASSIFICATION = {"acc1": "acc1", "acc5": "acc5", "mean_per_class_recall": "mean_per_class_recall"}
METRICS: Mapping[str, Mapping[str, str]] = {
    "zeroshot": {**CLASSIFICATION, "mean_average_precision": "map"},
    "linear_probe": {f"lp_{theirs}": ours for theirs, ours in CLASSIFICATION.items()},
}
DIRECTIONS = {"image_retrieval": "text_to_image", "text_retrieval": "image_to_text"}
PROBE_SETTINGS = {
    "fewshot_k": "shots",
    "weight_decay": "weight_decay",
    "epochs": "epochs",
    "seed": "seed",
    "normalized": "normalized",
}
"""Their name -> the name in records."""
ABOUT = ("dataset", "model", "pretrained", "task", "language", "model_fullname", "classnames", "templates")
SAME_AS_VTAB = ("cifar10", "cifar100", "dtd", "flowers", "pcam", "pets")
"""Data sets whose torchvision copy has VTAB's test split; Caltech101 and EuroSAT have no split there."""


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per JSON file, one per row of a CSV file."""
    for source in sources:
        content = source.content()
        source.check(content)
        for run in content if isinstance(content, list) else [content]:
            source.check(run)
            yield _task(source, run, index)


def _task(source: Source, run: Mapping[str, Any], index: TaskIndex) -> ImportedTask:
    values = as_dict(run["metrics"]) if "metrics" in run else {k: v for k, v in run.items() if k not in ABOUT}
    protocol = PROTOCOLS.get(str(run["task"]), "")
    settings = {"language": run.get("language") or "en"}
    if protocol == "linear_probe":
        settings |= {name: _parsed(values[key]) for key, name in PROBE_SETTINGS.items() if key in values}
        if str(settings.get("shots", -1)).startswith("-"):
            settings["shots"] = None  # all images of train
    names = {key: _metric_name(protocol, key) for key in values if key not in PROBE_SETTINGS}
    metrics = [
        Metric(name=name, value=_value(source, key, name, values[key]), num_scored=None)
        for key, name in names.items()
        if name is not None
    ]
    dataset = str(run["dataset"])
    variant, task = _variant(settings), _our_task(protocol, dataset, index)
    own_name = f"{protocol}/{_own_name(dataset, protocol, index)}{variant}"
    primary = task.settings.get("metric") if task and not variant else None
    return ImportedTask(
        source=source,
        model=safe_name(run["model"], run.get("pretrained")) or "unnamed",
        task=task.name if task and not variant else own_name,
        dataset=dataset,
        metrics=tuple(sorted(metrics, key=_natural)),
        primary=_primary(protocol, [metric.name for metric in metrics], primary),
        kind="retrieval" if protocol == "retrieval" else "multilabel" if "map" in names.values() else "classification",
        settings=settings,
        theirs={key: run[key] for key in ABOUT if key in run},
        not_imported={key: values[key] for key, name in names.items() if name is None},
        seed=_whole_number(source, "seed", settings.get("seed", 0)),
    )


def _metric_name(protocol: str, key: str) -> str | None:
    """The metric's name here, None where it has no counterpart."""
    direction, _, k = key.partition("_recall@")
    if protocol == "retrieval" and direction in DIRECTIONS and k.isdecimal():
        return f"{DIRECTIONS[direction]}_recall@{k}"
    return METRICS.get(protocol, {}).get(key)


def _value(source: Source, key: str, name: str, value: Any) -> float | None:
    """The value as a fraction; None for acc5 of fewer than 5 classes, which clip-benchmark writes as NaN."""
    if name == "acc5" and str(value).lower() == "nan":
        return None
    return fraction(f"{source.path}: {key}", value)


def _natural(metric: Metric) -> list[Any]:
    """A key to order names with their numbers as numbers; the columns of a CSV file are in no order."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", metric.name)]


def _primary(protocol: str, names: Sequence[str], wanted: str | None) -> str | None:
    """The metric that the task here ranks by, where the file has it; else the protocol's default."""
    ks = [int(name.rpartition("@")[2]) for name in names if name.startswith("image_to_text")]
    default = f"image_to_text_recall@{min(ks)}" if ks else "acc1"
    return next((name for name in (wanted, default, *names) if name in names), None)


def _our_task(protocol: str, dataset: str, index: TaskIndex) -> TaskSpec | None:
    """The task of the protocol on the same data; a hub copy is named `wds_` and the dataset's name with `-` for `/`."""
    name = dataset.removeprefix("wds/").replace("/", "-")
    names = {name, f"vtab-{name}"} if name in SAME_AS_VTAB else {name}
    candidates = (task for task in index.tasks.values() if task.protocol == protocol)
    return next((task for task in candidates if _their_name(task) in names), None)


def _their_name(task: TaskSpec) -> str:
    return task.dataset.hub.rpartition("/")[2].removeprefix("wds_") if task.dataset.hub else task.dataset.name


def _own_name(dataset: str, protocol: str, index: TaskIndex) -> str:
    """A name for data that no task here is on, different from the names of tasks on other data."""
    name = safe_name(dataset.removeprefix("wds/").replace("/", "-")) or "unnamed"
    return f"{name}-clip-benchmark" if f"{protocol}/{name}" in index.tasks else name


def _variant(settings: Mapping[str, Any]) -> str:
    """What sets a run apart from the task: class names in another language, a probe on few images per class."""
    language = "" if settings["language"] == "en" else f"-{safe_name(settings['language'])}"
    shots = settings.get("shots")
    return language + (f"-{safe_name(shots)}shot" if shots is not None else "")


def _parsed(value: Any) -> Any:
    """A cell of a CSV file as a JSON file holds it."""
    return ast.literal_eval(value) if isinstance(value, str) and re.fullmatch(r"True|False|-?[\d.]+", value) else value


def _whole_number(source: Source, key: str, value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise DataError(f"{source.path}: {key} is {value!r}, expected a whole number")
    return int(value)
