"""lm-eval 0.4 and lmms-eval: `results_<date>.json` and `<date>_results.json`, with the run's samples for their number.

Values are fractions, metrics are called `name,filter`. Only tasks and metrics that are defined as here are known: the
refcoco tasks of lmms-eval are about captions and boxes, and lm-eval's chartqa cuts its answer out of a chain of
thought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.common import ANLS_NOTE, UNKNOWN, ImportedTask, fraction, safe_name
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

ANLS = {
    "docvqa_val": ("docvqa/docvqa_val", "val", {"anls": "anls"}),
    "infovqa_val": ("docvqa/infovqa_val", "val", {"anls": "anls"}),
}
TASKS: Mapping[str, Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "lm-eval": ANLS,
    "lmms-eval": {
        **ANLS,
        "chartqa": ("docvqa/chartqa", "test", {"relaxed_overall": "relaxed_accuracy"}),
        "textvqa_val": ("docvqa/textvqa", "val", {"exact_match": "vqa_accuracy"}),
    },
}
"""Harness -> its task -> (task here, split, its metrics -> metrics here). lm-eval ships none of them, its users do."""
ABOUT = (
    "lm_eval_version",
    "lmms_eval_version",
    "git_hash",
    "date",
    "transformers_version",
    "model_source",
    "model_name",
)
CONFIG = ("model", "model_args", "model_revision", "model_sha", "model_dtype", "batch_size", "limit", "gen_kwargs")
ASKED = ("dataset_path", "dataset_name", "generation_kwargs", "lmms_eval_specific_kwargs", "doc_to_text", "num_fewshot")
NO_METRICS = ("alias", " ", "", "name", "samples", "sample_len", "sample_count")


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """Every task of each results file; samples files (`.jsonl`) belong to the results of the same run."""
    samples = {source.path: source for source in sources if source.path.suffix == ".jsonl"}
    for source in [source for source in sources if source.path not in samples]:
        content = source.json()
        source.check(content)
        for task, values in content["results"].items():
            of_task = [samples.pop(path) for path in _sample_paths(source, task) if path in samples]
            yield _task(source, content, task, as_dict(values), of_task)
    for path in samples:
        raise DataError(
            f"{path} belongs to no results file that was given: expected the results of the same run and task"
        )


def _task(
    source: Source, run: Mapping[str, Any], task: str, values: Mapping[str, Any], samples: Sequence[Source]
) -> ImportedTask:
    name, split, names = TASKS[source.harness].get(task, (f"{UNKNOWN}/{task}", UNKNOWN, {}))
    counts = as_dict(as_dict(run.get("n-samples")).get(task))
    count = _count(source, task, counts.get("effective"), samples)
    known, others, errors = [], {}, {}
    for key, value in values.items():
        metric, _, filtered = key.partition(",")
        if key in NO_METRICS:
            continue
        if "_stderr" in metric:
            errors[key] = value
        elif metric in names and filtered in ("", "none"):
            where = f"{source.path}: {task} {key}"
            if as_dict(as_dict(run.get("higher_is_better")).get(task)).get(metric) is False:
                raise DataError(f"{where} is better where lower according to the file, expected higher")
            known.append(Metric(name=names[metric], value=fraction(where, value), num_scored=count))
        else:
            others[key] = value
    config, asked = as_dict(run.get("config")), as_dict(as_dict(run.get("configs")).get(task))
    original, params = counts.get("original"), config.get("model_num_parameters")
    return ImportedTask(
        source=source,
        model=_model(source, run, config),
        task=name,
        dataset=task,
        metrics=tuple(known),
        primary=known[0].name if known else None,
        kind="docvqa",
        split=split,
        settings={key: asked[key] for key in ASKED if key in asked},
        theirs={
            **{key: run[key] for key in ABOUT if key in run},
            "task_version": as_dict(run.get("versions")).get(task),
            "config": {key: config[key] for key in CONFIG if key in config},
            "standard_errors": errors,
            "samples_files": [file.path.name for file in samples],
            **({"anls": ANLS_NOTE} if "anls" in names else {}),
        },
        not_imported=others,
        num_samples=count,
        limit=count if count and isinstance(original, int) and count < original else None,
        num_params=params if isinstance(params, int) and params > 0 else None,
        precision=str(config.get("model_dtype") or UNKNOWN),
        seed=config["random_seed"] if type(config.get("random_seed")) is int else 0,
    )


def _model(source: Source, run: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The model's name in the file, else that among the arguments of the run; of a path or hub name the last part."""
    named = re.search(r"(?:pretrained|model|model_version|model_name)=([^,]+)", str(config.get("model_args") or ""))
    name = safe_name(run.get("model_name") or (named[1] if named else config.get("model")))
    if not name:
        raise DataError(f"{source.path} names no model, expected model_name or config.model_args in it")
    return name


def _sample_paths(source: Source, task: str) -> list[Any]:
    """Beside the results: `samples_<task>_<date>.jsonl` for lm-eval, `<date>_samples_<task>.jsonl` for lmms-eval."""
    stem = source.path.stem
    dates = {stem.removeprefix("results_"), stem.removesuffix("_results"), stem.rpartition("_")[2]}
    names = [name for date in sorted(dates) for name in (f"samples_{task}_{date}", f"{date}_samples_{task}")]
    return [source.path.with_name(f"{name}.jsonl") for name in names]


def _count(source: Source, task: str, stated: Any, samples: Sequence[Source]) -> int | None:
    """The number of scored documents by the results and by the samples, which must agree; None where neither has it."""
    counts = {len({_doc_id(file, line) for line in file.text().splitlines() if line.strip()}) for file in samples}
    counts |= {stated} if type(stated) is int else set()
    if len(counts) > 1:
        raise DataError(
            f"{source.path}: {task} was scored on {stated} documents, got samples of {sorted(counts - {stated})}"
        )
    return next(iter(counts), None)


def _doc_id(source: Source, line: str) -> int:
    """The document of a line; each filter of a task writes one line per document."""
    try:
        return int(json.loads(line)["doc_id"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{source.path} is no samples file: got {line[:40]!r}, expected an object with doc_id"
        ) from error
