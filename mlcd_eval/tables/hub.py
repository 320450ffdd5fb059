"""Records as the metadata and the section of a Hugging Face model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from mlcd_eval.errors import DataError, UserError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.choose import leaderboards
from mlcd_eval.tables.boards.markdown import markdown
from mlcd_eval.tables.text import count, shown_metric

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

TASK_TYPES = {
    "linear_probe": "image-classification",
    "knn": "image-feature-extraction",
    "zeroshot": "zero-shot-image-classification",
    "retrieval": "image-text-retrieval",
    "refcoco": "image-segmentation",
    "docvqa": "document-question-answering",
}
START, END = "<!-- mlcd-eval: start -->", "<!-- mlcd-eval: end -->"


def model_index(results: Sequence[Result]) -> str:
    """The card's `model-index` in YAML, values as fractions; raises DataError unless the records are of one model."""
    from huggingface_hub import ModelCardData

    own = _of_one_model(results)
    return ModelCardData(model_name=own[0].model.name, eval_results=_eval_results(own)).to_yaml() + "\n"


def eval_results(results: Sequence[Result]) -> str:
    """A file of `.eval_results/`: primary metrics as fractions; raises DataError as `model_index`."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=_dataset_id(result),
            task_id=result.task.name,
            value=metric.value,
            date=result.timing.started,
            notes=f"{metric.name}, {shown_metric(metric)} with its 95% interval, n = {count(metric.num_scored)}",
        )
        for result in _of_one_model(results)
        for metric in [result.primary]
        if metric is not None and metric.value is not None
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def push_to_hub(results: Sequence[Result], repo: str, dry_run: bool = False) -> str:
    """Write metadata and section to the card of a model repository; returns the card of a dry run, else its address.

    What the card holds besides stays; a dry run uses no network and shows what would be put into it.
    Raises UserError where the hub cannot be read or written.
    """
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import EntryNotFoundError, HTTPError, LocalEntryNotFoundError

    own = _of_one_model(results)
    if dry_run:
        return str(updated(None, own))
    try:
        try:
            card = ModelCard.load(repo)
        except LocalEntryNotFoundError:  # no connection, which says nothing of the card
            raise
        except EntryNotFoundError:
            card = None
        return f"{updated(card, own).push_to_hub(repo, commit_message='Evaluation by mlcd-eval')}\n"
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--push-to-hub: cannot write the card of {repo}: {reason}") from error


def updated(card: ModelCard | None, results: Sequence[Result]) -> ModelCard:
    """The card, or a new one, with these results in place of earlier ones of the same."""
    from huggingface_hub import ModelCard, ModelCardData

    section = f"{START}\n# Evaluation\n\n{markdown(leaderboards(results))}{END}\n"
    new = _eval_results(results)
    if card is None:
        return ModelCard(f"---\n{model_index(results)}---\n\n{section}")
    data = card.data
    assert isinstance(data, ModelCardData)
    kept = [old for old in data.eval_results or [] if not any(_same(old, one) for one in new)]
    data.eval_results = [*kept, *new]
    data.model_name = data.model_name or results[0].model.name
    between = re.compile(f"{re.escape(START)}.*?{re.escape(END)}\n?", re.DOTALL)
    if between.search(card.text):
        card.text = between.sub(lambda _: section, card.text, count=1)
    else:
        card.text = f"{card.text.rstrip()}\n\n{section}"
    return card


def _same(a: EvalResult, b: EvalResult) -> bool:
    return (a.unique_identifier, a.metric_type) == (b.unique_identifier, b.metric_type)


def _of_one_model(results: Sequence[Result]) -> list[Result]:
    """The successful ones."""
    own = [result for result in results if result.status == "ok"]
    models = list(dict.fromkeys(result.model.name for result in own))
    if len(models) != 1:
        raise DataError(f"a model card is of one model: got records of {', '.join(models) or 'none that succeeded'}")
    leaderboards(own)  # refuses two records that would share a cell
    return own


def _eval_results(results: Sequence[Result]) -> list[EvalResult]:
    """Every defined value, with its interval and count."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=TASK_TYPES.get(result.task.protocol, result.task.protocol),
            task_name=result.task.name,
            dataset_type=_dataset_id(result),
            dataset_name=result.dataset.name,
            dataset_split=result.dataset.split,
            metric_type=metric.name,
            metric_name=metric.name,
            metric_value=metric.value,
            metric_args=_defence(metric),
        )
        for result in results
        for metric in result.metrics
        if metric.value is not None
    ]


def _defence(metric: Metric) -> dict[str, Any]:
    interval = {"ci95": list(metric.ci95)} if metric.ci95 else {}
    return {**interval, "num_scored": metric.num_scored}


def _dataset_id(result: Result) -> str:
    """The hub's repository of the data, where the shipped task names one, else the data set's name."""
    from mlcd_eval.spec import TaskIndex

    task = TaskIndex.load().tasks.get(result.task.name)
    same = task is not None and task.dataset.name == result.dataset.name
    return task.dataset.hub if same and task is not None and task.dataset.hub else result.dataset.name
