"""`.eval_results/*.yaml` of the Hugging Face hub, for benchmarks that are registered there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.hub import hub_dataset, metric_note
from mlcd_eval.tables.identity import variants
from mlcd_eval.tables.submissions.benchmark import read_benchmark
from mlcd_eval.tables.submissions.submission import Options, Request, Submission, unique_slug

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

REGISTERED = (
    "Idavidrein/gpqa",
    "ScaleAI/SWE-bench_Pro",
    "SWE-bench/SWE-bench_Verified",
    "TIGER-Lab/MMLU-Pro",
    "allenai/olmOCR-bench",
    "cais/hle",
    "likaixin/ScreenSpot-Pro",
    "llamaindex/ParseBench",
    "openai/gsm8k",
)
"""Benchmarks that were seen on the hub's list (34 in all, of which the rest could not be read). Our tasks are of none."""


class _Accepted(NamedTuple):
    """A registered benchmark: its repository, the revision of the data, and the ids of its tasks."""

    dataset: str
    revision: str | None
    tasks: frozenset[str]


def submission(request: Request) -> Submission:
    """A file per benchmark, primary metrics as records hold them; only for tasks that the benchmark declares."""
    from huggingface_hub import eval_result_entries_to_yaml

    leaderboards(request.results)  # refuses two records that would share a cell
    labels, result = variants(request.results), Submission()
    given = _given(request.options.benchmark)
    entries: dict[str, list[EvalResultEntry]] = {}
    for record in request.results:
        benchmark, reason = _benchmark(record, labels.label(record), given)
        if benchmark is None:
            result.refused.append(f"{record.task.name} of {record.model.name}: {reason}")
        else:
            entries.setdefault(benchmark.dataset, []).append(_entry(record, benchmark, request.options))
    for dataset, members in entries.items():
        plain = eval_result_entries_to_yaml(members)
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        result.files[f".eval_results/mlcd-eval-{unique_slug(dataset)}.yaml"] = text
    return result


def _given(option: str | None) -> _Accepted | None:
    """`ORG/NAME[@REVISION]=FILE` of --benchmark."""
    if option is None:
        return None
    repository, _, path = option.partition("=")
    dataset, _, revision = repository.partition("@")
    tasks = frozenset(task.id for task in read_benchmark(Path(path)).tasks)
    return _Accepted(dataset, revision or None, tasks)


def _benchmark(record: Result, variant: str, given: _Accepted | None) -> tuple[_Accepted | None, str]:
    """The benchmark that declares the task of a record, else why there is none."""
    if given is None:
        known = ", ".join(REGISTERED)
        return None, f"{hub_dataset(record)} is none of the known benchmarks ({known}); --benchmark names another"
    if record.task.name not in given.tasks:
        return None, f"{given.dataset} declares no task {record.task.name}"
    if variant:
        return None, f"it was measured with {variant}, {given.dataset} declares the task without"
    return given, ""


def _entry(record: Result, benchmark: _Accepted, options: Options) -> EvalResultEntry:
    from huggingface_hub import EvalResultEntry

    assert record.primary is not None
    return EvalResultEntry(
        dataset_id=benchmark.dataset,
        task_id=record.task.name,
        dataset_revision=benchmark.revision,
        value=record.primary.value,
        date=record.timing.started,
        source_url=options.paper,
        source_name=options.paper_title if options.paper else None,
        notes=metric_note(record.primary),
    )
