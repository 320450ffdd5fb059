"""Papers-with-Code: the evaluation-tables JSON (sota-extractor's schema) and the table of a paper's page."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.leaderboard import clash
from mlcd_eval.tables.text import cell, markdown_table, shown

PAPER_DECIMALS = 1  # as the site's rows


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Link(_Schema):
    """A titled address."""

    title: str = ""
    url: str = ""


class SotaRow(_Schema):
    """A model's line; metric values are strings, as the site has them."""

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


TASKS = {
    "linear_probe": "Self-Supervised Image Classification",
    "knn": "Self-Supervised Image Classification",
    "zeroshot": "Zero-Shot Transfer Image Classification",
    "retrieval": "Zero-Shot Cross-Modal Retrieval",
}
DATASETS = {
    "imagenet1k": "ImageNet",
    "imagenetv2": "ImageNet V2",
    "imagenet-a": "ImageNet-A",
    "imagenet-r": "ImageNet-R",
    "imagenet_sketch": "ImageNet-Sketch",
    "objectnet": "ObjectNet",
    "flickr30k": "Flickr30k",
    "mscoco_captions": "COCO 2014",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "food101": "Food-101",
    "cars": "Stanford Cars",
    "fgvc_aircraft": "FGVC-Aircraft",
    "voc2007_multilabel": "PASCAL VOC 2007",
    "dtd": "DTD",
    "pets": "Oxford-IIIT Pets",
    "caltech101": "Caltech-101",
    "flowers": "Flowers-102",
    "sun397": "SUN397",
    "birdsnap": "Birdsnap",
    "mnist": "MNIST",
    "stl10": "STL-10",
    "eurosat": "EuroSAT",
    "resisc45": "RESISC45",
    "country211": "Country211",
    "ucf101": "UCF101",
    "kinetics700": "Kinetics-700",
}
METRICS = {
    "acc1": "Top 1 Accuracy",
    "acc5": "Top 5 Accuracy",
    "mean_per_class_recall": "Mean Per Class Accuracy",
    "mean_top1_top5": "Mean of Top 1 and Top 5 Accuracy",
    "map_11point": "mAP (11-point)",
    "map": "mAP",
    "roc_auc": "ROC-AUC",
    "mean_recall": "Mean Recall",
}


def task_name(result: Result) -> str:
    """The site's name of the task."""
    return TASKS.get(result.task.protocol, result.task.protocol.replace("_", " ").title())


def dataset_name(result: Result) -> str:
    """The site's name of the data set; the folder's, in words, where the site has none."""
    name = result.dataset.name
    return DATASETS.get(name, name.replace("_", " "))


def metric_name(result: Result, metric: Metric) -> str:
    """The site's name of a metric: `Accuracy (Private)` for zero-shot, `Image-to-text R@1`, `Top 1 Accuracy`."""
    name = metric.name
    if result.task.protocol == "zeroshot" and name == "acc1":
        return "Accuracy (Private)"
    for prefix, words in (("image_to_text_recall@", "Image-to-text R@"), ("text_to_image_recall@", "Text-to-image R@")):
        if name.startswith(prefix):
            return words + name.removeprefix(prefix)
    if name.startswith("knn_acc"):
        rank, _, k = name.removeprefix("knn_acc").partition("@")
        return f"Top {rank} Accuracy (kNN, k={k})"
    return METRICS.get(name, name)


def pwc_json(results: Sequence[Result]) -> str:
    """The evaluation-tables file of the successful records: sorted, indent 2, values in per cent."""
    tasks: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        if result.status == "ok":
            tasks.setdefault(task_name(result), {}).setdefault(dataset_name(result), []).append(result)
    models = [
        PwcTask(
            task=task,
            datasets=[PwcDataset(dataset=name, sota=_sota(group)) for name, group in sorted(datasets.items())],
        )
        for task, datasets in sorted(tasks.items())
    ]
    return json.dumps([model.model_dump() for model in models], indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _sota(results: Sequence[Result]) -> Sota:
    """The board of one data set; the first metric is the first record's primary one.

    Raises DataError where two records would fill one cell.
    """
    names: dict[str, None] = {}
    rows: dict[str, dict[str, str]] = {}
    for result in results:
        row = rows.setdefault(result.model.name, {})
        for metric in sorted(result.metrics, key=lambda metric: metric.name != result.primary_metric):
            if metric.value is not None:
                name = metric_name(result, metric)
                if name in row:
                    raise clash(result)
                names[name] = None
                row[name] = shown(metric.value, metric.unit)
        if result.task.protocol in ("linear_probe", "knn") and result.model.num_params is not None:
            row["Number of Params"] = _millions(result.model.num_params)
    if any("Number of Params" in row for row in rows.values()):
        names["Number of Params"] = None
    first = next(iter(names))
    ordered = sorted(rows.items(), key=lambda item: -float(item[1].get(first, "-inf")))
    return Sota(metrics=list(names), rows=[SotaRow(model_name=model, metrics=row) for model, row in ordered])


def _millions(count: int) -> str:
    return f"{count / 1e6:.0f}M" if count >= 10_000_000 else f"{count / 1e6:.1f}M"


def pwc_table(results: Sequence[Result]) -> str:
    """Task | Dataset | Metric | Value | Model, as on a paper's page: a row a primary metric (retrieval: every R@K)."""
    rows = [
        [task_name(result), dataset_name(result), metric_name(result, metric), _value(metric), result.model.name]
        for result in results
        for metric in result.metrics
        if metric.value is not None and (metric.name == result.primary_metric or "_recall@" in metric.name)
    ]
    header = ["Task", "Dataset", "Metric", "Value", "Model"]
    return markdown_table(header, [[cell(text) for text in row] for row in rows], left=5)


def _value(metric: Metric) -> str:
    return shown(metric.value, metric.unit, PAPER_DECIMALS)
