"""Records and published numbers in the words of Papers with Code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import LANGUAGE, SHOTS, facts
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.published import PRINTED_MEAN, PublishedNumber
from mlcd_eval.tables.text import shown
from mlcd_eval.tables.variants import Difference, Variants, label, variants

PAPER_DECIMALS = 1  # as the site's rows
PRINTED_TASKS = {"vlm": ("Visual Question Answering (VQA)",)}
"""Tasks of published numbers whose protocol is a paper's own."""
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
    "flickr30k cn": "Flickr30K-CN",
    "mscoco": "COCO 2014",
    "mscoco_captions": "COCO 2014",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "food101": "Food-101",
    "cars": "Stanford Cars",
    "aircraft": "FGVC-Aircraft",
    "fgvc_aircraft": "FGVC-Aircraft",
    "voc2007": "PASCAL VOC 2007",
    "voc2007 classification": "PASCAL VOC 2007 (cropped objects)",
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
"""Data set in lower case -> its name on the site, in the site's own spelling. A key may end with the value of a fact of
COVERED, where the site has a name of its own for that."""
COVERED = ("split", "kind", LANGUAGE)
"""The facts that a name on the site may cover."""
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
"""Metrics that the site shows as fractions, with their decimals."""


@dataclass(frozen=True)
class Entry:
    """One number in the site's words.

    tasks: those that list it. dataset: the name of its board, which no number of another identity shares. value, short:
    as text, with all decimals and with those of a paper's page. unit: of the text, percent, fraction or the metric's
    own. primary: it ranks its record. shown: it is listed on a paper's page. date: YYYY-MM-DD, empty where unknown.
    key: of its record, or of its table and row. num_scored: None where not known.
    """

    tasks: tuple[str, ...]
    dataset: str
    metric: str
    value: str
    short: str
    unit: str
    model: str
    primary: bool
    shown: bool
    higher_is_better: bool
    date: str
    key: str
    num_scored: int | None = None
    num_params: int | None = None
    paper_title: str = ""
    paper_url: str = ""


def entries(results: Sequence[Result], published: Sequence[PublishedNumber] = ()) -> list[Entry]:
    """Every defined value of the records, each record's primary metric first, then the published numbers."""
    good = [result for result in results if result.status == "ok"]
    labels = variants(
        good,
        place=lambda result: (_tasks(result.task.protocol), _board(result)[0]),
        covered=lambda result: _board(result)[1],
    )
    of_records = [entry for result in good for entry in _of_result(result, labels)]
    return of_records + [_of_number(number) for number in published if number.metric != PRINTED_MEAN]


def metric_name(protocol: str, name: str) -> str:
    """`Accuracy (Private)` for zero-shot, `Image-to-text R@1`, `Top 1 Accuracy`; else as in records."""
    return _special_name(protocol, name) or METRICS.get(name, name)


def _special_name(protocol: str, name: str) -> str | None:
    for pattern, words in protocol_named(protocol).elsewhere.metrics:
        if match := re.fullmatch(pattern, name):
            return match.expand(words)
    return None


def _board(result: Result) -> tuple[str, tuple[str, ...]]:
    """The site's name for the data of a record, and the facts that this name covers besides the data set."""
    known, name = facts(result), result.dataset.name
    for fact in COVERED:
        if (board := DATASETS.get(f"{name} {json.loads(known.get(fact, 'null'))}".lower())) is not None:
            return _named(result.task.protocol, board), (fact,)
    return _named(result.task.protocol, DATASETS.get(name.lower(), name.replace("_", " "))), ()


def _named(protocol: str, dataset: str) -> str:
    return protocol_named(protocol).elsewhere.board.format(dataset=dataset)


def _variant_of(board: str, variant: Sequence[Difference]) -> str:
    """`ImageNet - 10-shot`, as the site has it; anything else in brackets: `ImageNet (limit 40, layer=projected)`."""
    shots = [
        difference for difference in variant if difference.fact == SHOTS and difference.value not in (None, "null")
    ]
    others = [difference for difference in variant if difference not in shots]
    board += "".join(f" - {difference.value}-shot" for difference in shots)
    return f"{board} ({label(others)})" if others else board


def _of_result(result: Result, labels: Variants) -> Iterable[Entry]:
    protocol = protocol_named(result.task.protocol)
    board = _variant_of(_board(result)[0], labels[result])
    shown = protocol.shown_metrics([metric.name for metric in result.metrics], result.primary_metric)
    for metric in sorted(result.metrics, key=lambda metric: metric.name != result.primary_metric):
        if metric.value is None:
            continue
        primary = metric.name == result.primary_metric
        yield Entry(
            tasks=_tasks(result.task.protocol),
            dataset=board,
            metric=metric_name(result.task.protocol, metric.name),
            value=_text(metric),
            short=_text(metric, PAPER_DECIMALS),
            unit="percent" if metric.unit == "fraction" and metric.name not in FRACTIONS else metric.unit,
            model=result.model.name,
            primary=primary,
            shown=primary or (metric.name in shown and _special_name(result.task.protocol, metric.name) is not None),
            higher_is_better=metric.higher_is_better,
            date=result.timing.started[:10],
            key=result.request_key(),
            num_scored=metric.num_scored,
            num_params=result.model.num_params if protocol.elsewhere.num_params else None,
        )


def _of_number(number: PublishedNumber) -> Entry:
    text, unit = f"{number.value:.{number.decimals}f}", number.unit
    if number.metric in FRACTIONS and number.unit == "percent":
        text, unit = f"{number.fraction:.{number.decimals + 2}f}", "fraction"
    board = _named(number.protocol, DATASETS.get(number.dataset.lower(), number.dataset))
    otherwise = number.dialect.text if number.dialect.as_task is None else ""
    return Entry(
        tasks=_tasks(number.protocol),
        dataset=f"{board} ({otherwise})" if otherwise else board,
        metric=metric_name(number.protocol, number.metric),
        value=text,
        short=text,
        unit=unit,
        model=number.label,
        primary=True,
        shown=True,
        higher_is_better=number.higher_is_better,
        date=number.paper_date or "",
        key=f"{number.group}/{number.label}/{number.dataset}",
        paper_title=number.paper,
        paper_url=number.paper_url,
    )


def _tasks(protocol: str) -> tuple[str, ...]:
    tasks = PRINTED_TASKS.get(protocol) or protocol_named(protocol).elsewhere.tasks
    return tasks or (protocol.replace("_", " ").title(),)


def _text(metric: Metric, decimals: int = 2) -> str:
    if metric.name in FRACTIONS:
        assert metric.value is not None
        return f"{metric.value:.{FRACTIONS[metric.name]}f}"
    return shown(metric.value, metric.unit, decimals)
