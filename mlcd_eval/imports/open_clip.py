"""open_clip's docs/*_results.csv (at 89fb801f, 2026-06-27): a row per model, a column per data set.

All values are fractions. DataComp's tasklist.yml says which data set and metric a column of openclip_results.csv is;
the data are clip-benchmark's copies. COCO is the 5k test split by its name; on Flickr30k all image-to-text recalls are
whole thousandths, so they are over the 1,000 images of the test split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcd_eval.imports.clip_data import data_kinds, other_task_name, our_task, translated
from mlcd_eval.imports.imported_task import ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.source import Source
from mlcd_eval.imports.values import UNKNOWN, fraction, safe_name
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.languages import MACRO
from mlcd_eval.spec import TaskIndex


@dataclass(frozen=True)
class Column:
    """What a column holds: a metric of a protocol on a data set of clip-benchmark.

    protocol: empty for one that is not ours.
    """

    protocol: str
    dataset: str
    metric: str
    language: str = "en"


ZEROSHOT: Mapping[str, Column] = {
    name: Column("zeroshot", dataset, metric)
    for metric, datasets in {
        "acc1": {
            "ImageNet 1k": "imagenet1k",
            "CIFAR-10": "cifar10",
            "CIFAR-100": "vtab/cifar100",
            "CLEVR Counts": "vtab/clevr_count_all",
            "CLEVR Distance": "vtab/clevr_closest_object_distance",
            "Country211": "country211",
            "Describable Textures": "vtab/dtd",
            "EuroSAT": "vtab/eurosat",
            "Food-101": "food101",
            "GTSRB": "gtsrb",
            "ImageNet Sketch": "imagenet_sketch",
            "ImageNet v2": "imagenetv2",
            "ImageNet-A": "imagenet-a",
            "ImageNet-O": "imagenet-o",
            "ImageNet-R": "imagenet-r",
            "KITTI Vehicle Distance": "vtab/kitti_closest_vehicle_distance",
            "MNIST": "mnist",
            "ObjectNet": "objectnet",
            "Pascal VOC 2007": "voc2007",
            "PatchCamelyon": "vtab/pcam",
            "Rendered SST2": "renderedsst2",
            "RESISC45": "vtab/resisc45",
            "Stanford Cars": "cars",
            "STL-10": "stl10",
            "SUN397": "sun397",
            "SVHN": "vtab/svhn",
            "Camelyon17": "wilds/camelyon17",
        },
        "mean_per_class_recall": {
            "Caltech-101": "vtab/caltech101",
            "FGVC Aircraft": "fgvc_aircraft",
            "Oxford Flowers-102": "vtab/flowers",
            "Oxford-IIIT Pet": "vtab/pets",
        },
    }.items()
    for name, dataset in datasets.items()
}
OTHERS: Mapping[str, Column] = {
    "WinoGAViL": Column("association", "winogavil", "jaccard@10-12"),
    "iWildCam": Column("zeroshot", "wilds/iwildcam", "macro_f1_true"),
    "FMoW": Column("zeroshot", "wilds/fmow", "worst_group_acc1"),
    "Dollar Street": Column("zeroshot", "dollar_street", "worst_group_acc5"),
    "GeoDE": Column("zeroshot", "geode", "worst_group_acc1"),
    "Flickr": Column("", "retrieval/flickr30k", "mean_recall@1"),
    "MSCOCO": Column("", "retrieval/mscoco_2014_5k_test_image_text_retrieval", "mean_recall@1"),
}
"""By other metrics of DataComp's, as records here name them; the recalls of both directions are in another table."""
DIRECTIONS = {"image": "text_to_image", "text": "image_to_text"}
RETRIEVAL = {"Flickr": "flickr30k", "MSCOCO": "mscoco_captions"}
SPLITS = dict.fromkeys(RETRIEVAL.values(), "test")
MULTILINGUAL = r"(crossmodal3600|multilingual_mscoco_captions) (image|text)_retrieval_recall@(\d+) (\S+)"
ABOUT = ("name", "pretrained", "model", "version", "params (M)", "FLOPs (B)")


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether this is a row of one of the three tables."""
    named = {"name", "pretrained"} <= first.keys() or {"model", "version"} <= first.keys()
    return named and any(_column(name) for name in first)


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per model and data set (and language); columns that are none are listed once per row."""
    for source in sources:
        rows = source.content()
        source.check(rows)
        for row in rows:
            yield from _of_row(source, row, index)


def _column(name: str) -> Column | None:
    """What the column of this name holds, None where that is not known."""
    if recall := re.fullmatch(r"(Flickr|MSCOCO) (image|text) retr\. R@(\d+)", name):
        return Column("retrieval", RETRIEVAL[recall[1]], f"{DIRECTIONS[recall[2]]}_recall@{recall[3]}")
    if recall := re.fullmatch(MULTILINGUAL, name):
        metric, is_mean = f"{DIRECTIONS[recall[2]]}_recall@{recall[3]}", recall[4] == "avg"
        return Column("retrieval", recall[1], MACRO * is_mean + metric, "macro" if is_mean else recall[4])
    if jaccard := re.fullmatch(r"WinoGAViL jaccard score (\S+)", name):
        return Column("", "misc/winogavil by size", f"jaccard_score_{jaccard[1]}")
    return ZEROSHOT.get(name) or OTHERS.get(name)


def _of_row(source: Source, row: Mapping[str, str], index: TaskIndex) -> Iterator[ImportedTask]:
    model = safe_name(row.get("name") or row.get("model"), row.get("pretrained") or row.get("version"))
    about = {name: row[name] for name in ABOUT if name in row}
    tasks: dict[tuple[str, str, str], list[Metric]] = {}
    left_out: dict[str, LeftOut] = {}
    for name, value in row.items():
        column = _column(name)
        if column is not None:
            number = fraction(f"{source.path}: {model}: {name}", value)
            metric = Metric(name=column.metric, value=number, num_scored=None)
            tasks.setdefault((column.protocol, column.dataset, column.language), []).append(metric)
        elif name not in ABOUT:
            average = re.search(r"\b(avg|average)\b", name.lower())
            left_out[name] = LeftOut(value, "an average over tasks" if average else "a column that is not known here")
    if left_out:
        yield ImportedTask(source, model, foreign_task("open_clip", UNKNOWN), "columns", left_out=left_out)
    for (protocol, dataset, language), metrics in tasks.items():
        names = [metric.name for metric in metrics]
        ours = translated(protocol, dataset, language, index)
        yield ImportedTask(
            source=source,
            model=model,
            task=ours.task.name if ours else _task_name(protocol, dataset, index),
            part=ours.part if ours else "",
            dataset=dataset,
            metrics=tuple(metrics),
            primary=next((name for name in names if name.removeprefix(MACRO).startswith("image_to_text")), names[0]),
            kind=data_kinds(protocol)[0],
            split=SPLITS.get(dataset, UNKNOWN),
            settings={"language": ours.language if ours else language},
            theirs=about,
        )


def _task_name(protocol: str, dataset: str, index: TaskIndex) -> str:
    if not protocol:
        return foreign_task("open_clip", dataset)
    ours = our_task(protocol, dataset, index)
    return ours.name if ours else other_task_name(protocol, dataset, index)
