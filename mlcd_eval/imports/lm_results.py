"""The results files of lm-eval, which lmms-eval's are forks of: `results_<date>.json` and `<date>_results.json`.

Metrics are called `name,filter`. The files hold no unit: only metrics whose unit and direction are known here are
imported, under our names where harness and we define the task alike, else under the harness' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.answers import QuestionSet
from mlcd_eval.imports.imported_task import ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.lm_samples import answers_of, count_of
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.imports.values import UNKNOWN, bounded, fraction, safe_name
from mlcd_eval.metrics.base import Metric

ABOUT = ("git_hash", "date", "transformers_version", "model_source", "model_name")
CONFIG = ("model", "model_args", "model_revision", "model_sha", "model_dtype", "batch_size", "limit", "gen_kwargs")
VERSIONS = ("lm_eval_version", "lmms_eval_version")
ASKED = (
    "dataset_path",
    "dataset_name",
    "test_split",
    "validation_split",
    "generation_kwargs",
    "lmms_eval_specific_kwargs",
    "model_specific_prompt_kwargs",
    "model_specific_generation_kwargs",
    "doc_to_text",
    "num_fewshot",
)
NO_METRICS = ("alias", " ", "", "name", "samples", "sample_len", "sample_count")


@dataclass(frozen=True)
class Unit:
    """What a metric's values are; all are better where higher."""

    name: str = "fraction"
    top: float = 1


@dataclass(frozen=True)
class OurTask:
    """A task that harness and we define alike. metrics: the harness' names to ours."""

    questions: QuestionSet
    metrics: Mapping[str, str]


@dataclass(frozen=True)
class Known:
    """What is known of a harness. tasks: those that are ours, by its name; units: of metrics of any other task."""

    tasks: Mapping[str, OurTask] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)


def read_results(sources: Sequence[Source], known: Known) -> Iterator[ImportedTask]:
    """One task per task of each results file; samples files (`.jsonl`) belong to the results of the same run."""
    samples = {source.path: source for source in sources if source.path.suffix == ".jsonl"}
    for source in [source for source in sources if source.path not in samples]:
        content = source.checked_object()
        for task, values in content["results"].items():
            logged = tuple(samples.pop(path) for path in _sample_paths(source, task) if path in samples)
            yield _imported(source, content, task, as_dict(values), logged, known)
    for path in samples:
        raise DataError(f"{path} belongs to no results file that was given: expected the one of the same run and task")


def _imported(
    source: Source,
    run: Mapping[str, Any],
    task: str,
    values: Mapping[str, Any],
    samples: tuple[Source, ...],
    known: Known,
) -> ImportedTask:
    config = as_dict(run.get("config", run.get("model_configs")))  # the latter in lmms-eval up to 0.2.2
    asked = as_dict(as_dict(run.get("configs")).get(task))
    counts = as_dict(as_dict(run.get("n-samples")).get(task))
    count = count_of(source, task, counts.get("effective"), samples)
    original, params = counts.get("original"), config.get("model_num_parameters")
    ours = known.tasks.get(task)
    metrics, left_out = _metrics(source, run, task, values, ours, known.units, count)
    outcomes: dict[str, Sequence[Any]] = {}
    if ours is not None and (answers := answers_of(samples, ours.questions)):
        pairs = list(answers.values())
        scored = ours.questions.metrics(pairs)
        outcomes = {"key": list(answers), **ours.questions.scores(pairs)}
        names = {metric.name for metric in scored}
        metrics = [*scored, *(metric for metric in metrics if metric.name not in names)]
    return ImportedTask(
        source=source,
        model=_model(run, config),
        task=ours.questions.task if ours else foreign_task(source.harness, task),
        dataset=task,
        metrics=tuple(metrics),
        primary=metrics[0].name if metrics else None,
        kind="docvqa" if ours else UNKNOWN,
        split=ours.questions.split if ours else UNKNOWN,
        settings=_settings(run, task, config, asked),
        theirs={
            **{key: run[key] for key in ABOUT if key in run},
            "config": {key: config[key] for key in CONFIG if key in config},
            "values": {key: value for key, value in values.items() if key not in NO_METRICS},
        },
        left_out=left_out,
        samples=samples,
        outcomes=outcomes,
        num_samples=count,
        limit=count if count and isinstance(original, int) and count < original else None,
        num_params=params if isinstance(params, int) and params > 0 else None,
        precision=str(config.get("model_dtype") or UNKNOWN),
        seed=config["random_seed"] if type(config.get("random_seed")) is int else 0,
    )


def _settings(run: Mapping[str, Any], task: str, config: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What tells numbers of one task apart: prompt, shots, versions, and the limit as it was given."""
    settings = {
        "harness_version": next((run[key] for key in VERSIONS if run.get(key)), None),
        "task_version": as_dict(run.get("versions")).get(task),
        "num_fewshot": as_dict(run.get("n-shot")).get(task),
        "limit": config.get("limit"),
        **{key: asked[key] for key in ASKED if key in asked},
    }
    return {key: value for key, value in settings.items() if value is not None}


def _metrics(
    source: Source,
    run: Mapping[str, Any],
    task: str,
    values: Mapping[str, Any],
    ours: OurTask | None,
    units: Mapping[str, Unit],
    count: int | None,
) -> tuple[list[Metric], dict[str, LeftOut]]:
    """The metrics of a task that are known, and why the others are not imported. Standard errors are neither."""
    metrics, left_out = [], {}
    directions = as_dict(as_dict(run.get("higher_is_better")).get(task))
    for key, value in values.items():
        metric, _, filtered = key.partition(",")
        where = f"{source.path}: {task} {key}"
        if key in NO_METRICS or "_stderr" in metric:
            continue
        if ours is not None and metric in ours.metrics and filtered in ("", "none"):
            if directions.get(metric) is False:
                raise DataError(f"{where} is said to be better where lower, expected higher")
            metrics.append(Metric(name=ours.metrics[metric], value=fraction(where, value), num_scored=count))
        elif ours is not None or metric not in units:
            left_out[key] = LeftOut(value, "a metric whose unit and direction are not known here")
        elif directions.get(metric) is False:
            left_out[key] = LeftOut(value, "said to be better where lower, expected higher")
        else:
            unit, name = units[metric], metric if filtered in ("", "none") else key
            try:
                number = bounded(where, value, unit.name, 0, unit.top)
            except DataError:
                left_out[key] = LeftOut(value, f"no {unit.name} of 0 to {unit.top:g}")
                continue
            metrics.append(Metric(name=name, value=number, unit=unit.name, num_scored=count))
    return metrics, left_out


def _model(run: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Its own name, else that among the arguments of the run; the last part of a folder or a hub name."""
    said = re.search(r"(?:pretrained|model|model_version|model_name)=([^,]+)", str(config.get("model_args") or ""))
    return safe_name(run.get("model_name") or (said[1] if said else config.get("model")))


def _sample_paths(source: Source, task: str) -> list[Path]:
    """Beside the results: `samples_<task>_<date>.jsonl` of lm-eval, `<date>_samples_<task>.jsonl` of lmms-eval."""
    stem = source.path.stem
    dates = {stem.removeprefix("results_"), stem.removesuffix("_results"), stem.rpartition("_")[2]}
    names = [name for date in sorted(dates) for name in (f"samples_{task}_{date}", f"{date}_samples_{task}")]
    return [source.path.with_name(f"{name}.jsonl") for name in names if "/" not in name]
