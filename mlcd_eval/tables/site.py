"""Records and published numbers in the words of Papers-with-Code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.choose import PRINTED_MEAN
from mlcd_eval.tables.published import PublishedNumber
from mlcd_eval.tables.text import shown

PAPER_DECIMALS = 1  # as the site's rows
TASKS = {
    "linear_probe": ("Self-Supervised Image Classification",),
    "knn": ("Self-Supervised Image Classification",),
    "zeroshot": ("Zero-Shot Transfer Image Classification",),
    "retrieval": ("Zero-Shot Cross-Modal Retrieval",),
    "refcoco": ("Instance Segmentation", "Referring Expression Segmentation"),  # the site has both of each split
    "docvqa": ("Visual Question Answering (VQA)",),
    "vlm": ("Visual Question Answering (VQA)",),
}
DATASETS = {
    "imagenet": "ImageNet",
    "imagenet1k": "ImageNet",
    "imagenetv2": "ImageNet V2",
    "imagenet-v2": "ImageNet V2",
    "imagenet-a": "ImageNet-A",
    "imagenet-r": "ImageNet-R",
    "imagenet_sketch": "ImageNet-Sketch",
    "imagenet-sketch": "ImageNet-Sketch",
    "objectnet": "ObjectNet",
    "flickr30k": "Flickr30k",
    "mscoco": "COCO 2014",
    "mscoco_captions": "COCO 2014",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "food101": "Food-101",
    "cars": "Stanford Cars",
    "aircraft": "FGVC-Aircraft",
    "fgvc_aircraft": "FGVC-Aircraft",
    "voc2007": "PASCAL VOC 2007",
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
    "fer2013": "FER2013",
    "gtsrb": "GTSRB",
    "kitti": "KITTI",
    "kitti_closest_vehicle_distance": "KITTI",
    "pcam": "PCam",
    "clevr": "CLEVR",
    "clevr_count_all": "CLEVR",
    "hateful_memes": "Hateful Memes",
    "hatefulmemes": "Hateful Memes",
    "sst2": "Rendered SST2",
    "renderedsst2": "Rendered SST2",
    "refcoco val": "RefCoCo val",
    "refcoco testa": "RefCOCO testA",
    "refcoco testb": "RefCOCO testB",
    "refcoco+ val": "RefCOCO+ val",
    "refcoco+ testa": "RefCOCO+ testA",
    "refcoco+ testb": "RefCOCO+ test B",
    "refcocog val": "RefCOCOg-val",
    "refcocog test": "RefCOCOg-test",
    "docvqa val": "DocVQA val",
    "docvqa test": "DocVQA test",
    "chartqa": "ChartQA",
    "textvqa": "TextVQA",
}
"""By a record's or a paper's name in lower case, with the split where the site has one; its spelling is its own."""
METRICS = {
    "acc1": "Top 1 Accuracy",
    "acc5": "Top 5 Accuracy",
    "mean_per_class_recall": "Mean Per Class Accuracy",
    "mean_top1_top5": "Mean of Top 1 and Top 5 Accuracy",
    "map_11point": "mAP (11-point)",
    "map": "mAP",
    "roc_auc": "ROC-AUC",
    "mean_recall": "Mean Recall",
    "overall_iou": "Overall IoU",
    "mean_iou": "Mean IoU",
    "anls": "ANLS",
}
FRACTIONS = {"anls": 3, "anls_compat": 3}
"""Metrics that the site does not show in per cent, and their decimals."""


@dataclass(frozen=True)
class Entry:
    """One number in the site's words.

    tasks: those that it stands under. value, short: as text, in full and with a paper page's decimals. primary: it
    ranks its record. shown: it stands on a paper's page. date: YYYY-MM-DD. identity: of its record or table and row.
    """

    tasks: tuple[str, ...]
    dataset: str
    metric: str
    value: str
    short: str
    model: str
    primary: bool
    shown: bool
    higher_is_better: bool
    date: str
    identity: str
    num_params: int | None = None
    paper_title: str = ""
    paper_url: str = ""


def entries(results: Sequence[Result], published: Sequence[PublishedNumber] = ()) -> list[Entry]:
    """Every defined value of the records, each record's primary metric first, then the published numbers."""
    found = [entry for result in results for entry in _of_result(result)]
    return found + [_of_number(number) for number in published if number.metric != PRINTED_MEAN]


def metric_name(protocol: str, name: str) -> str:
    """`Accuracy (Private)` for zero-shot, `Image-to-text R@1`, `Top 1 Accuracy`; ours where the site has none."""
    if protocol == "zeroshot" and name == "acc1":
        return "Accuracy (Private)"
    for prefix, words in (("image_to_text_recall@", "Image-to-text R@"), ("text_to_image_recall@", "Text-to-image R@")):
        if name.startswith(prefix):
            return words + name.removeprefix(prefix)
    if name.startswith("knn_acc"):
        rank, _, k = name.removeprefix("knn_acc").partition("@")
        return f"Top {rank} Accuracy (kNN, k={k})"
    return METRICS.get(name, name)


def _of_result(result: Result) -> Iterable[Entry]:
    protocol, data = result.task.protocol, result.dataset
    split = f"{data.name} {data.split}".lower()
    for metric in sorted(result.metrics, key=lambda metric: metric.name != result.primary_metric):
        if metric.value is None:
            continue
        primary = metric.name == result.primary_metric
        yield Entry(
            tasks=_tasks(protocol),
            dataset=DATASETS.get(split) or DATASETS.get(data.name.lower()) or data.name.replace("_", " "),
            metric=metric_name(protocol, metric.name),
            value=_text(metric),
            short=_text(metric, PAPER_DECIMALS),
            model=result.model.name,
            primary=primary,
            shown=primary or "_recall@" in metric.name,
            higher_is_better=metric.higher_is_better,
            date=result.timing.started[:10],
            identity=result.request_key(),
            num_params=result.model.num_params if protocol in ("linear_probe", "knn") else None,
        )


def _of_number(number: PublishedNumber) -> Entry:
    text = f"{number.value:.{number.decimals}f}"
    if number.metric in FRACTIONS and number.unit == "percent":
        text = f"{number.fraction:.{number.decimals + 2}f}"
    return Entry(
        tasks=_tasks(number.protocol),
        dataset=DATASETS.get(number.dataset.lower(), number.dataset),
        metric=metric_name(number.protocol, number.metric),
        value=text,
        short=text,
        model=number.label,
        primary=True,
        shown=True,
        higher_is_better=True,
        date=number.paper_date,
        identity=f"{number.group}/{number.label}/{number.dataset}",
        paper_title=number.paper,
        paper_url=number.paper_url,
    )


def _tasks(protocol: str) -> tuple[str, ...]:
    return TASKS.get(protocol, (protocol.replace("_", " ").title(),))


def _text(metric: Metric, decimals: int = 2) -> str:
    if metric.name in FRACTIONS:
        assert metric.value is not None
        return f"{metric.value:.{FRACTIONS[metric.name]}f}"
    return shown(metric.value, metric.unit, decimals)
