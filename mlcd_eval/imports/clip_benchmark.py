"""clip-benchmark 1.6: the JSON of `clip_benchmark eval`, the CSV of `clip_benchmark build`, and tables of probes.

All values are fractions. The files hold neither the split nor the number of samples. Its linear probe is not ours
(AdamW, on normalised features): the settings say so. A table of probes has a row per run of a grid (of learning rates
and epochs, whose best is not marked), so that each becomes a task of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.clip_data import data_kinds, other_task_name, our_task, translated
from mlcd_eval.imports.imported_task import FOREIGN, ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.imports.values import fraction, safe_name
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

PROTOCOLS = {
    "zeroshot_classification": "zeroshot",
    "linear_probe": "linear_probe",
    "zeroshot_retrieval": "retrieval",
    "image_caption_selection": FOREIGN,
}
"""Its tasks -> our protocols. The selection of captions keeps its names, since SugarCrepe's parts are no tasks here."""
CLASSIFICATION = {"acc1": "acc1", "acc5": "acc5", "mean_per_class_recall": "mean_per_class_recall"}
METRICS: Mapping[str, Mapping[str, str]] = {
    "zeroshot": {**CLASSIFICATION, "mean_average_precision": "map"},
    "linear_probe": {f"lp_{theirs}": ours for theirs, ours in CLASSIFICATION.items()},
    FOREIGN: {name: name for name in ("acc", "image_acc", "text_acc")},
}
DIRECTIONS = {"image_retrieval": "text_to_image", "text_retrieval": "image_to_text"}
SHOTS = "fewshot_k"
"""Its name of our setting `shots`; negative for all images of train."""
PROBE_SETTINGS = ("weight_decay", "epochs", "seed", "normalized")
GRID = ("lr", "epochs", "batch_size")
"""What distinguishes the rows of a table of probes, besides the number of images per class."""
PROBE_TABLE = {"model", "pretrained", "dataset", "shots", "lp_acc1", *GRID}
"""The columns by which such a table is known."""
SCALING = {"k": None, "bs": "batch_size", SHOTS: "shots", "lr": "lr", "epochs": "epochs", "lp_acc1": "lp_acc1"}
"""The keys by which probe_benchmark/scaling_experiment_data*.json are known -> the columns of such a table."""
ABOUT = ("dataset", "model", "pretrained", "task", "language", "model_fullname", "classnames", "templates")
NOT_KNOWN = "a metric that is not known here"


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether clip-benchmark may have written this."""
    evaluated = {"dataset", "model", "task"} <= first.keys() and ("metrics" in first or "model_fullname" in first)
    return evaluated or first.keys() >= PROBE_TABLE or first.keys() >= SCALING.keys()


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per JSON file, one per row of a CSV file."""
    for source in sources:
        content = source.content()
        source.check(content)
        for run in content if isinstance(content, list) else [content]:
            source.check(run)
            row = _as_row(run) if run.keys() >= SCALING.keys() else run
            yield _imported(source, _as_probe(row) if row.keys() >= PROBE_TABLE else row, index)


def _as_row(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run of the scaling experiments as a row of a table of probes; what it says of the model's training is left."""
    kept = {name: value for name, value in run.items() if name in PROBE_TABLE | {"seed"} or name.startswith("lp_")}
    return kept | {ours: run[theirs] for theirs, ours in SCALING.items() if ours is not None}


def _as_probe(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table of probes as `clip_benchmark eval` writes a run."""
    return {"task": "linear_probe", SHOTS: row["shots"], **{k: v for k, v in row.items() if k != "shots"}}


def _imported(source: Source, run: Mapping[str, Any], index: TaskIndex) -> ImportedTask:
    values = as_dict(run["metrics"]) if "metrics" in run else {k: v for k, v in run.items() if k not in ABOUT}
    protocol = PROTOCOLS.get(str(run["task"]), "")
    settings: dict[str, Any] = {"language": str(run.get("language") or "en")}
    if any(key in values for key in (SHOTS, *PROBE_SETTINGS)):
        settings |= {key: _parsed(values[key]) for key in dict.fromkeys((*PROBE_SETTINGS, *GRID)) if key in values}
        shots = _parsed(values.get(SHOTS, -1))
        settings["shots"] = None if str(shots).startswith("-") else shots
    names = {key: _metric_name(protocol, key) for key in values if key not in (*settings, SHOTS)}
    metrics = [
        Metric(name=name, value=_value(source, key, name, values[key]), num_scored=None)
        for key, name in names.items()
        if name is not None
    ]
    dataset = str(run["dataset"])
    in_language = translated(protocol, dataset, settings["language"], index)
    if in_language:
        settings["language"] = in_language.language
    variant, ours = _variant(settings), in_language.task if in_language else our_task(protocol, dataset, index)
    plain = ours if in_language or not variant else None
    other = (
        foreign_task(source.harness, dataset.removeprefix("wds/"))
        if protocol == FOREIGN
        else other_task_name(protocol, dataset, index)
    )
    return ImportedTask(
        source=source,
        model=safe_name(run["model"], run.get("pretrained")) or "unnamed",
        task=plain.name if plain else other + variant,
        part=in_language.part if in_language else "",
        dataset=dataset,
        metrics=tuple(sorted(metrics, key=_natural)),
        primary=_primary(
            protocol, [metric.name for metric in metrics], plain.settings.get("metric") if plain else None
        ),
        kind=_kind(protocol, names.values()),
        settings=settings,
        theirs={key: run[key] for key in ABOUT if key in run},
        left_out={key: LeftOut(values[key], NOT_KNOWN) for key, name in names.items() if name is None},
        seed=_whole(source, "seed", settings.get("seed", 0)),
    )


def _metric_name(protocol: str, key: str) -> str | None:
    """Our name of a metric, None for one that is none of ours."""
    direction, _, k = key.partition("_recall@")
    if direction in DIRECTIONS and k.isdecimal():
        return f"{DIRECTIONS[direction]}_recall@{k}"
    return METRICS.get(protocol, {}).get(key)


def _value(source: Source, key: str, name: str, value: Any) -> float | None:
    """clip-benchmark writes NaN for acc5 of fewer than 5 classes, where it is undefined."""
    if name == "acc5" and str(value).lower() == "nan":
        return None
    return fraction(f"{source.path}: {key}", value)


def _natural(metric: Metric) -> list[Any]:
    """The order of names with their numbers as numbers; the order of a CSV file's columns is random."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", metric.name)]


def _primary(protocol: str, names: Sequence[str], wanted: str | None) -> str | None:
    """What our task ranks by, where the file has it; else what the protocol does without a setting."""
    ks = [int(name.rpartition("@")[2]) for name in names if name.startswith("image_to_text")]
    default = f"image_to_text_recall@{min(ks)}" if ks else "acc1"
    return next((name for name in (wanted, default, "acc", *names) if name in names), None)


def _kind(protocol: str, names: Collection[str | None]) -> str:
    """The kind of data: the protocol's, of which the metrics tell several labels per image from one."""
    kinds = data_kinds(protocol)
    return "multilabel" if "map" in names and "multilabel" in kinds else kinds[0]


def _variant(settings: Mapping[str, Any]) -> str:
    """What sets a run apart from the task: class names in another language, few images per class, a point of a grid."""
    language = "" if settings["language"] == "en" else f"-{safe_name(settings['language'])}"
    shots = settings.get("shots")
    grid = "".join(f"-{key}{safe_name(str(settings[key]))}" for key in GRID) if "lr" in settings else ""
    return language + (f"-{safe_name(shots)}shot" if shots is not None else "") + grid


def _parsed(value: Any) -> Any:
    """The cell of a CSV file as the JSON file has it."""
    if value in ("True", "False"):
        return value == "True"
    if not isinstance(value, str) or not re.fullmatch(r"-?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+)", value):
        return value
    return float(value) if "." in value else int(value)


def _whole(source: Source, key: str, value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise DataError(f"{source.path}: {key} is {value!r}, expected a whole number")
    return int(value)
