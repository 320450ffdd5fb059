"""`.eval_results/*.yaml` of the Hugging Face hub, for benchmarks that are registered there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.hub import hub_dataset, metric_note
from mlcd_eval.tables.identity import PARTIAL
from mlcd_eval.tables.submissions.benchmark import read_benchmark
from mlcd_eval.tables.submissions.submission import Options, Request, Submission, unique_slug
from mlcd_eval.tables.variants import label, variants

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
"""Benchmarks that were seen on the hub's list, of which only a part of 34 could be read; our tasks are of none."""


class _Benchmark(NamedTuple):
    """A registered benchmark: its repository, the revision of the data, and the ids of its tasks."""

    dataset: str
    revision: str | None
    tasks: frozenset[str]


def submission(request: Request) -> Submission:
    """A file for the benchmark of the request: primary metrics as records hold them, of the tasks that it declares."""
    from huggingface_hub import eval_result_entries_to_yaml

    leaderboards(request.results)  # refuses two records that would share a cell
    labels, result = variants(request.results), Submission()
    benchmark = _benchmark(request.options.benchmark)
    entries: list[EvalResultEntry] = []
    for record in request.results:
        if benchmark is None:
            known = ", ".join(REGISTERED)
            reason = f"{hub_dataset(record)} is none of the known benchmarks ({known}); --benchmark names another"
        elif record.task.name not in benchmark.tasks:
            reason = f"{benchmark.dataset} declares no task of this name"
        elif variant := label(
            difference for difference in labels[record] if not (request.allow_partial and difference.fact in PARTIAL)
        ):
            reason = f"it was measured with {variant}, and {benchmark.dataset} declares the task without"
        else:
            entries.append(_entry(record, benchmark, request.options, labels.label(record)))
            continue
        result.refused.append(f"{record.task.name} of {record.model.name}: {reason}")
    if benchmark and entries:
        text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        result.files[f".eval_results/mlcd-eval-{unique_slug(benchmark.dataset)}.yaml"] = text
    return result


def _benchmark(option: str | None) -> _Benchmark | None:
    """`ORG/NAME[@REVISION]=FILE` of --benchmark."""
    if option is None:
        return None
    repository, _, path = option.partition("=")
    dataset, _, revision = repository.partition("@")
    tasks = frozenset(task.id for task in read_benchmark(Path(path)).tasks)
    return _Benchmark(dataset, revision or None, tasks)


def _entry(record: Result, benchmark: _Benchmark, options: Options, partial: str) -> EvalResultEntry:
    """The entry of a record. partial: what makes its number one over a part of the data, empty for a whole one."""
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
        notes=metric_note(record.primary) + (f", partial: {partial}" if partial else ""),
    )
