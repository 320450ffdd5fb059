"""Records as the metadata and the section of a Hugging Face model card."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import UserError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.boards.markdown import markdown
from mlcd_eval.tables.formats import TableInput, check_whole, of_one_model
from mlcd_eval.tables.identity import digest, facts
from mlcd_eval.tables.lookup import protocol_named, shipped_tasks
from mlcd_eval.tables.text import count, shown_metric
from mlcd_eval.tables.variants import variants, with_label

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

START, END = "<!-- mlcd-eval: start -->", "<!-- mlcd-eval: end -->"


def model_index(table: TableInput) -> str:
    """The `model-index` of a card in YAML, values as fractions, from records of one model.

    Raises DataError where two records would share a cell of a leaderboard.
    """
    from huggingface_hub import ModelCardData

    results = table.results
    leaderboards(results)  # refuses two records that would share a cell
    return ModelCardData(model_name=results[0].model.name, eval_results=_eval_results(results)).to_yaml() + "\n"


def push_to_hub(results: Sequence[Result], repo: str, dry_run: bool = False, allow_partial: bool = False) -> str:
    """Write metadata and a section to the card of a model repository; returns the address of the commit.

    Everything else in the card stays. A dry run uses no network and returns a card with only what would be added.
    Raises DataError as `model_index` and for records of --limit unless allow_partial, UserError where the hub cannot be
    read or written.
    """
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import EntryNotFoundError, HTTPError, LocalEntryNotFoundError

    records = of_one_model(results)
    if not allow_partial:
        check_whole(records, "--push-to-hub")
    leaderboards(records)
    if dry_run:
        return str(updated(None, records))
    try:
        try:
            card = ModelCard.load(repo)
        except LocalEntryNotFoundError:  # no connection: there may be a card
            raise
        except EntryNotFoundError:
            card = None
        return f"{updated(card, records).push_to_hub(repo, commit_message='Evaluation by mlcd-eval')}\n"
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--push-to-hub: cannot write the card of {repo}: {reason}") from error


def updated(card: ModelCard | None, results: Sequence[Result]) -> ModelCard:
    """The card, or a new one, with these results in place of earlier ones of the same identity."""
    from huggingface_hub import ModelCard, ModelCardData

    section = f"{START}\n# Evaluation\n\n{markdown(leaderboards(results))}{END}\n"
    new = _eval_results(results)
    if card is None:
        return ModelCard(f"---\n{model_index(TableInput(results))}---\n\n{section}")
    data = card.data
    assert isinstance(data, ModelCardData)
    kept = [old for old in data.eval_results or [] if not any(_same(old, entry) for entry in new)]
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


def _eval_results(results: Sequence[Result]) -> list[EvalResult]:
    """Every defined value, with its interval and count.

    The hub's library merges entries of one task type, data set, split and config. The config holds the identity of the
    number, so that neither another number of ours nor anybody else's entry is merged with it.
    """
    from huggingface_hub import EvalResult

    labels = variants(results)
    return [
        EvalResult(
            task_type=protocol_named(result.task.protocol).elsewhere.hub_task or result.task.protocol,
            task_name=with_label(result.task.name, labels.label(result)),
            dataset_type=hub_dataset(result),
            dataset_name=result.dataset.name,
            dataset_config=f"mlcd-eval {digest(result)}",
            dataset_split=result.dataset.split,
            dataset_args={name: json.loads(value) for name, value in facts(result).items()},
            metric_type=metric.name,
            metric_name=metric.name,
            metric_value=metric.value,
            metric_args=_defence(metric),
        )
        for result in results
        for metric in result.metrics
        if metric.value is not None
    ]


def metric_note(metric: Metric) -> str:
    """`acc1, 45.24 [41.4, 48.9] with its 95% interval, n = 200`, for a field of notes."""
    return f"{metric.name}, {shown_metric(metric)} with its 95% interval, n = {count(metric.num_scored)}"


def _defence(metric: Metric) -> dict[str, Any]:
    interval = {"ci95": list(metric.ci95)} if metric.ci95 else {}
    return {**interval, "num_scored": metric.num_scored}


def hub_dataset(result: Result) -> str:
    """The hub's repository of the data, where the shipped task names one, else the name of the data set."""
    task = shipped_tasks().get(result.task.name)
    same = task is not None and task.dataset.name == result.dataset.name
    return task.dataset.hub if same and task is not None and task.dataset.hub else result.dataset.name
