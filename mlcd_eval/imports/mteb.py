"""mteb 1.14 to 2.18: `<task>.json`, with `model_meta.json` of the same model and revision beside it.

Scores are listed per split and subset (a language, or `default`), of which each becomes a task under mteb's names: its
probes (16 images per class, five draws), prompts and ties are not ours. The file does not say which score
`main_score` is, so its unit is that of the scores which equal it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.imported_task import ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.imports.values import bounded, safe_name
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

META = "model_meta.json"
FRACTION = (
    r"accuracy|f1|f1_weighted|ap|ap_weighted|lrap|nmi|v_measure|image_acc|text_acc|"
    r"(ndcg|map|mrr|recall|precision|hit_rate|cv_recall)_at_\d+"
)
CORRELATION = r"((cosine|dot|manhattan|euclidean|similarity)_)?(pearson|spearman)"
UNITS = {"fraction": (FRACTION, 0.0), "correlation": (CORRELATION, -1.0)}
"""Unit -> the scores that have it, and the least that it can be; the most is 1. All are better where higher."""
MAIN = "main_score"
ABOUT = ("hf_subset", "languages", MAIN, "scores_per_experiment")


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether mteb may have written this."""
    return "mteb_version" in first


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per split and subset of each result file; model_meta.json is read beside them."""
    for source in sources:
        if source.path.name == META:
            continue
        content = source.checked_object()
        if not isinstance(content.get("scores"), dict) or not content["scores"] or "task_name" not in content:
            got = ", ".join(sorted(content))
            raise DataError(f"{source.path} is not of mteb 1.11 or later: got {got}, expected task_name and scores")
        meta = _meta(source)
        for split, subsets in content["scores"].items():
            for scores in subsets:
                yield _imported(source, content, meta, split, as_dict(scores))


def _meta(source: Source) -> dict[str, Any]:
    """What model_meta.json beside the file says, empty where there is none; raises DataError for a damaged one."""
    path = source.path.with_name(META)
    if not path.is_file():
        return {}
    return as_dict(Source.of(source.harness, path).json())


def _imported(
    source: Source, run: Mapping[str, Any], meta: Mapping[str, Any], split: str, scores: Mapping[str, Any]
) -> ImportedTask:
    task, subset = str(run["task_name"]), str(scores.get("hf_subset", "default"))
    metrics, left_out = _metrics(source, f"{task} {split} {subset}", scores)
    return ImportedTask(
        source=source,
        model=safe_name(meta.get("name")),
        task=foreign_task("mteb", task, *([] if (split, subset) == ("test", "default") else [split, subset])),
        dataset=task,
        metrics=tuple(metrics),
        primary=metrics[0].name if metrics else None,
        split=split,
        settings={
            "harness_version": run.get("mteb_version"),
            "subset": subset,
            "languages": scores.get("languages"),
            "dataset_revision": run.get("dataset_revision"),
        },
        theirs={
            "model": meta.get("name"),
            "model_revision": meta.get("revision"),
            MAIN: scores.get(MAIN),
            "experiments": scores.get("scores_per_experiment"),
        },
        left_out=left_out,
    )


def _metrics(source: Source, what: str, scores: Mapping[str, Any]) -> tuple[list[Metric], dict[str, LeftOut]]:
    """main_score, then the scores whose unit is known here; and why the others are not imported."""
    metrics, left_out = [], {}
    for name, value in scores.items():
        if name in ABOUT:
            continue
        unit = next((unit for unit, (names, _) in UNITS.items() if re.fullmatch(names, name)), None)
        if unit is None:
            left_out[name] = LeftOut(value, "a score whose unit is not known here")
        else:
            number = bounded(f"{source.path}: {what}: {name}", value, f"a {unit}", UNITS[unit][1], 1)
            metrics.append(Metric(name=name, value=number, unit=unit, num_scored=None))
    main = scores.get(MAIN)
    units = {metric.unit for metric in metrics if metric.value == main}
    if len(units) == 1:
        metrics.insert(0, Metric(name=MAIN, value=main, unit=units.pop(), num_scored=None))
    elif main is not None:
        left_out[MAIN] = LeftOut(main, "it equals no score whose unit is known here")
    return metrics, left_out
