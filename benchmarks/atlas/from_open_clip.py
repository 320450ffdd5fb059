"""open_clip's tables: zero-shot on DataComp's 38 sets, retrieval, and retrieval in many languages."""

from __future__ import annotations

import re
from pathlib import Path

from facts import CLIP_BENCHMARK_TASKS, DATACOMP_METRICS, DATACOMP_TASKS
from from_clip_benchmark import zero_shot_dialect
from tables import Column, Dialect, Row, Table, number, read_csv

from mlcd_eval.imports.clip_data import CODES, TRANSLATED
from mlcd_eval.metrics.languages import MACRO

FACTS = ("name", "pretrained", "params (M)", "FLOPs (B)")
OWN = "the model's own"
OURS = {"image": "text_to_image_recall@", "text": "image_to_text_recall@"}
"""Which side is retrieved -> our metric."""
WINOGAVIL = "association/winogavil"
JACCARD = {
    "avg_jaccard_score": "jaccard",
    "jaccard_score_5-6": "jaccard@5-6",
}
"""Their name -> ours; that of 10 to 12 candidates is in the table of the 38 sets."""
OF_CHANCE = ("acc1", "mean_per_class_recall")
"""Metrics that the list's random scores are of: for iWildCam and FMoW it prints those of accuracy, and for WinoGAViL
0.205, where candidates drawn at random score 0.1417."""
SETS = {"Flickr": "flickr30k", "MSCOCO": "mscoco_captions"}


def tables(atlas: Path) -> list[Table]:
    return [_zero_shot(atlas), _retrieval(atlas), _multilingual(atlas)]


def _zero_shot(atlas: Path) -> Table:
    lines = read_csv(atlas / "openclip_zeroshot.csv")
    sets = {line["name"]: line for line in read_csv(atlas / "datacomp_tasks.csv")}
    columns = []
    for heading in list(lines[0])[len(FACTS) :]:
        if heading not in sets:
            columns.append(Column(heading, "zeroshot", "DataComp's 38 sets", None, "mean"))
            continue
        columns.append(_column(heading, sets[heading]))
    return Table(
        "open_clip/zeroshot",
        "open_clip",
        "Zero-shot results of open_clip's models on DataComp's 38 sets",
        "docs/openclip_results.csv",
        "DataComp's suite; Flickr and MSCOCO are the mean of R@1 both ways",
        columns,
        _rows(lines, columns, "name", "pretrained"),
    )


def _column(heading: str, facts: dict[str, str]) -> Column:
    """A set of DataComp's list, by its main metric."""
    task, size = facts["task"], int(facts["size"])
    metric = DATACOMP_METRICS.get(facts["main_metric"], facts["main_metric"])
    of_metric = facts["random_score"] and metric in OF_CHANCE
    chance = (("chance", float(facts["random_score"])),) if of_metric else ()
    key = task.removeprefix("vtab/")
    name = DATACOMP_TASKS.get(task) or f"zeroshot/{CLIP_BENCHMARK_TASKS[key]}"
    protocol = name.partition("/")[0]
    if protocol == "retrieval":  # the list's 31,014 images of Flickr are all of its splits: not kept
        return Column(heading, protocol, SETS[heading], name, metric, Dialect(split="test", resize=OWN))
    if task.startswith(("misc/", "wilds/", "fairness/")):
        prompts = "folder" if protocol == "zeroshot" else None
        dialect = Dialect(prompts=prompts, class_names=prompts, split="test", samples=size, resize=OWN)
        return Column(heading, protocol, heading, name, metric, dialect, chance)
    return Column(heading, protocol, key, name, metric, zero_shot_dialect(key, samples=size), chance)


def _retrieval(atlas: Path) -> Table:
    lines = read_csv(atlas / "openclip_retrieval.csv")
    columns = []
    for heading in list(lines[0])[len(FACTS) :]:
        if match := re.fullmatch(r"(Flickr|MSCOCO) (image|text) retr\. R@(\d+)", heading):
            name, side, k = match.groups()
            task, metric = f"retrieval/{SETS[name]}", OURS[side] + k
            columns.append(Column(heading, "retrieval", SETS[name], task, metric, Dialect(split="test", resize=OWN)))
        elif heading.startswith("WinoGAViL"):
            theirs = heading.removeprefix("WinoGAViL ").replace(" ", "_")
            metric = JACCARD.get(theirs, theirs)
            columns.append(
                Column(heading, "association", "WinoGAViL", WINOGAVIL, metric, Dialect(split="test", resize=OWN))
            )
        else:
            columns.append(Column(heading, "retrieval", "all columns of this table", None, "mean"))
    return Table(
        "open_clip/retrieval",
        "open_clip",
        "Retrieval of Flickr30k and COCO and association of WinoGAViL by open_clip's models",
        "docs/openclip_retrieval_results.csv",
        "the average is over the other 19 columns",
        columns,
        _rows(lines, columns, "name", "pretrained"),
    )


def _multilingual(atlas: Path) -> Table:
    lines = read_csv(atlas / "openclip_multilingual.csv")
    columns = []
    for heading in list(lines[0])[2:]:
        if heading == "avg":
            columns.append(Column(heading, "retrieval", "XM3600 and COCO in many languages", None, "mean"))
            continue
        dataset, metric, language = heading.split()
        side, k = re.fullmatch(r"(image|text)_retrieval_recall@(\d+)", metric).groups()
        mean = MACRO if language == "avg" else ""
        dialect = Dialect(split="test", language="macro" if mean else CODES.get(language, language), resize=OWN)
        columns.append(Column(heading, "retrieval", dataset, TRANSLATED[dataset], mean + OURS[side] + k, dialect))
    return Table(
        "open_clip/multilingual",
        "open_clip",
        "Retrieval in many languages by open_clip's models: XM3600 (36) and COCO (11)",
        "docs/openclip_multilingual_retrieval_results.csv",
        "captions as the data sets give them",
        columns,
        _rows(lines, columns, "model", "version"),
    )


def _rows(lines: list[dict[str, str]], columns: list[Column], name: str, tag: str) -> list[Row]:
    return [
        Row(
            f"{line[name]}/{line[tag]}",
            f"{line[name]}/{line[tag]}",
            "",
            {place: number(line[column.heading]) for place, column in enumerate(columns)},
        )
        for line in lines
    ]
