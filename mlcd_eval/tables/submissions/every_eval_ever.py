"""Every Eval Ever: `data/BENCHMARK/DEVELOPER/MODEL/UUID.json`, schema 0.2.1."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.table import METRICS
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.hub import hub_dataset
from mlcd_eval.tables.identity import HARNESS, facts
from mlcd_eval.tables.submissions.submission import Options, Request, Submission
from mlcd_eval.tables.variants import variants, with_label

SCHEMA = "0.2.1"
BENCHMARK = "mlcd-eval"
"""The folder of the results, in the receiver's words their benchmark."""
OWN = "mlcd-eval"
INTERVAL = "bootstrap over samples, or over the units that mlcd-eval's table of metrics names"


def submission(request: Request) -> Submission:
    """A file per harness that measured: records of our own, and those that each other harness wrote."""
    leaderboards(request.results)  # refuses two records that would share a cell
    by_harness: dict[str, list[Result]] = {}
    for result in request.results:
        by_harness.setdefault(json.loads(facts(result).get(HARNESS, "null")) or OWN, []).append(result)
    files = {}
    for harness, results in by_harness.items():
        whole = _log(harness, results, request)
        folder = f"data/{BENCHMARK}/{request.options.model_id}"
        files[f"{folder}/{_uuid(whole)}.json"] = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return Submission(files)


def _log(harness: str, results: Sequence[Result], request: Request) -> dict[str, Any]:
    options, labels = request.options, variants(request.results)
    created = max(_epoch(result) for result in results)
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{BENCHMARK}/{options.model_id}/{created}",
        "retrieved_timestamp": created,
        "source_metadata": _known(
            source_name=options.paper_title,
            source_type="evaluation_run",
            source_organization_name=options.organization,
            evaluator_relationship=options.relationship,
        ),
        "eval_library": {"name": harness, "version": _version(harness, results)},
        "model_info": _model(results[0], options),
        "evaluation_results": [
            _evaluation(result, metric, with_label(result.task.name, labels.label(result)))
            for result in results
            for metric in result.metrics
            if metric.value is not None
        ],
    }


def _evaluation(result: Result, metric: Metric, name: str) -> dict[str, Any]:
    return {
        "evaluation_name": f"{name} {metric.name}",
        "source_data": _source(result),
        "evaluation_timestamp": result.timing.started,
        "metric_config": _known(
            evaluation_description=f"{metric.name} of {result.task.protocol} on {result.dataset.name}, {metric.unit}",
            lower_is_better=not metric.higher_is_better,
            **_range(metric),
        ),
        "score_details": _known(score=metric.value, details=facts(result), uncertainty=_uncertainty(metric)),
    }


def _source(result: Result) -> dict[str, Any]:
    """A repository of the hub where the shipped task names one, else only the name of the data."""
    repository = hub_dataset(result)
    if "/" not in repository:
        return {"dataset_name": result.dataset.name, "source_type": "other"}
    return _known(
        dataset_name=result.dataset.name,
        source_type="hf_dataset",
        hf_repo=repository,
        hf_split=result.dataset.split,
        samples_number=result.dataset.num_samples,
    )


def _range(metric: Metric) -> dict[str, Any]:
    """Known only of our own fractions; a number without a known range has no type."""
    if metric.name not in METRICS or metric.unit != "fraction":
        return {}
    return {"score_type": "continuous", "min_score": 0, "max_score": 1}


def _uncertainty(metric: Metric) -> dict[str, Any] | None:
    interval = None
    if metric.ci95 is not None:
        low, high = metric.ci95
        interval = {"lower": low, "upper": high, "confidence_level": 0.95, "method": INTERVAL}
    return _known(confidence_interval=interval, num_samples=metric.num_scored) or None


def _model(result: Result, options: Options) -> dict[str, Any]:
    """`hf` only for a model that was read from the repository that is named."""
    assert options.model_id is not None
    on_hub = options.model_id in result.model.spec
    count = result.model.num_params
    details = _known(
        deployment_type="local",
        model_availability="hf" if on_hub else "other",
        num_params=None if count is None else str(count),
        fingerprint=result.model.fingerprint,
        precision=result.model.precision,
    )
    developer = options.model_id.split("/")[0]
    return {"name": result.model.name, "id": options.model_id, "developer": developer, "additional_details": details}


def _version(harness: str, results: Sequence[Result]) -> str:
    """Of this package, where all records were made by one version of it."""
    versions = {result.environment.get("mlcd_eval") for result in results} if harness == OWN else set()
    version = versions.pop() if len(versions) == 1 else None
    return str(version or "unknown")


def _epoch(result: Result) -> str:
    """When the record was made, in seconds since 1970."""
    return str(datetime.datetime.fromisoformat(result.timing.started).timestamp())


def _uuid(whole: Mapping[str, Any]) -> uuid.UUID:
    """In the form of version 4, as they ask, but of the contents: the same submission is the same file."""
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


def _known(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
