"""Papers with Code: evaluation-tables JSON (sota-extractor), its client's requests, the table of a paper's page."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.errors import DataError
from mlcd_eval.tables.boards.choose import choose
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.site import Entry, entries
from mlcd_eval.tables.text import cell, markdown_table

PARAMS = "Number of Params"


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Link(_Schema):
    """A titled address."""

    title: str = ""
    url: str = ""


class SotaRow(_Schema):
    """The row of a model; metric values are strings, as the site has them."""

    model_name: str
    paper_title: str = ""
    paper_url: str = ""
    paper_date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    code_links: list[Link] = Field(default_factory=list)
    model_links: list[Link] = Field(default_factory=list)
    metrics: dict[str, str]
    uses_additional_data: bool = False


class Sota(_Schema):
    """metrics: their names, of which the first ranks the rows."""

    metrics: list[str]
    rows: list[SotaRow]


class PwcDataset(_Schema):
    """A data set with its leaderboard."""

    dataset: str
    description: str = ""
    sota: Sota
    subdatasets: list[PwcDataset] = Field(default_factory=list)
    dataset_links: list[Link] = Field(default_factory=list)
    dataset_citations: list[Link] = Field(default_factory=list)


class PwcTask(_Schema):
    """A task with its data sets."""

    task: str
    description: str = ""
    categories: list[str] = Field(default_factory=lambda: ["Computer Vision"])
    datasets: list[PwcDataset]
    subtasks: list[PwcTask] = Field(default_factory=list)
    synonyms: list[str] = Field(default_factory=list)
    source_link: Link | None = None


class MetricSync(_Schema):
    """A column of a submission."""

    name: str
    description: str = ""
    is_loss: bool


class ResultSync(_Schema):
    """A row of a submission; values are strings."""

    metrics: dict[str, str]
    methodology: str
    paper: str | None = None
    uses_additional_data: bool = False
    external_id: str
    evaluated_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    external_source_url: str | None = None


class EvaluationTableSync(_Schema):
    """One leaderboard, as paperswithcode-client's EvaluationTableSyncRequest."""

    task: str
    dataset: str
    description: str = ""
    mirror_url: str | None = None
    external_id: str
    metrics: list[MetricSync]
    results: list[ResultSync]


def pwc_json(table: TableInput) -> str:
    """The evaluation-tables file: sorted, indent 2. Raises DataError where two numbers would fill one cell."""
    tasks: dict[str, list[PwcDataset]] = {}
    for (task, dataset), board in sorted(by_board(_entries(table)).items()):
        about = PwcDataset(dataset=dataset, description=_description(board), sota=sota(board))
        tasks.setdefault(task, []).append(about)
    return _json([PwcTask(task=task, datasets=datasets) for task, datasets in tasks.items()])


def pwc_submission(table: TableInput) -> str:
    """A list of EvaluationTableSyncRequest, one per leaderboard. Raises DataError as `pwc_json`."""
    requests = []
    for (task, dataset), board in sorted(by_board(_entries(table)).items()):
        metrics = {entry.metric: MetricSync(name=entry.metric, is_loss=not entry.higher_is_better) for entry in board}
        rows = [
            ResultSync(
                metrics=values,
                methodology=model,
                paper=first.paper_url or None,
                external_id=first.key,
                evaluated_on=first.date,
            )
            for model, values in _rows(board).items()
            for first in [next(entry for entry in board if entry.model == model)]
        ]
        requests.append(
            EvaluationTableSync(
                task=task,
                dataset=dataset,
                description=_description(board),
                external_id=f"mlcd-eval/{task}/{dataset}",
                metrics=list(metrics.values()),
                results=rows,
            )
        )
    return _json(requests)


def pwc_table(table: TableInput) -> str:
    """Task | Dataset | Metric | Value | Model, as on a paper's page: one row per metric that leaderboards show."""
    tasks: dict[str, list[list[str]]] = {}
    for entry in _entries(table):
        for task in entry.tasks if entry.shown else ():
            row = [task, entry.dataset, entry.metric, entry.short, entry.model]
            tasks.setdefault(task, []).append([cell(text) for text in row])
    header = ["Task", "Dataset", "Metric", "Value", "Model"]
    return markdown_table(header, [row for rows in tasks.values() for row in rows], left=5)


def _entries(table: TableInput) -> list[Entry]:
    """The entries of what a leaderboard would hold; raises what `choose` raises."""
    _, numbers = choose(table.results, table.published, table.groups)
    return entries(table.results, numbers)


def _description(board: Sequence[Entry]) -> str:
    """The number of samples of the records' values, for a reader of the board."""
    sizes = sorted({entry.num_scored for entry in board if entry.num_scored is not None})
    return f"n = {' to '.join(f'{size:,}' for size in dict.fromkeys([sizes[0], sizes[-1]]))}" if sizes else ""


def by_board(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Task and data set of a board -> its entries."""
    boards: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        for task in entry.tasks:
            boards.setdefault((task, entry.dataset), []).append(entry)
    return boards


def _rows(entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """Model -> metric -> value."""
    rows: dict[str, dict[str, str]] = {}
    for entry in entries:
        row = rows.setdefault(entry.model, {})
        if entry.metric in row:
            raise DataError(
                f"two numbers of {entry.model} for {entry.dataset}, {entry.metric} differ in their source: "
                f"give `mlcd-eval table` one of them"
            )
        row[entry.metric] = entry.value
    return rows


def sota(entries: Sequence[Entry]) -> Sota:
    """The board of one data set; the first metric is the first record's primary metric.

    Raises DataError as `pwc_json`.
    """
    rows = _rows(entries)
    ranks_by = entries[0]
    metrics = list(dict.fromkeys(entry.metric for entry in entries))
    if any(entry.num_params is not None for entry in entries):
        metrics.append(PARAMS)
    sign = -1 if ranks_by.higher_is_better else 1
    ordered = sorted(rows, key=lambda model: sign * float(rows[model].get(ranks_by.metric, f"{-sign}inf")))
    return Sota(metrics=metrics, rows=[_sota_row(model, rows[model], entries) for model in ordered])


def _sota_row(model: str, values: dict[str, str], entries: Sequence[Entry]) -> SotaRow:
    first = next(entry for entry in entries if entry.model == model)
    params = {PARAMS: _millions(first.num_params)} if first.num_params is not None else {}
    date = (first.date or None) if first.paper_url else None
    return SotaRow(
        model_name=model,
        paper_title=first.paper_title,
        paper_url=first.paper_url,
        paper_date=date,
        metrics=values | params,
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.0f}M" if count >= 10_000_000 else f"{count / 1e6:.1f}M"


def _json(models: Sequence[BaseModel]) -> str:
    return json.dumps([model.model_dump() for model in models], indent=2, sort_keys=True, ensure_ascii=False) + "\n"
