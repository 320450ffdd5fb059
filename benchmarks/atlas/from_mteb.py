"""MTEB's image tasks: zero-shot, 16-shot probes with their experiments, retrieval, clustering and others."""

from __future__ import annotations

import re
from pathlib import Path

from facts import MTEB_NAMES_WITH_LINE_BREAKS, MTEB_PROMPTS, MTEB_TASKS, dataset_of
from tables import Column, Dialect, Row, Table, Value, number, read_csv

PROBE = "logistic regression, lambda 1, at most 100 iterations, features not normalised"
PAIRS = ("ARO", "SugarCrepe", "Winoground", "ImageCoDe")
PAIR_SCORES = {"text_acc": "text_accuracy", "image_acc": "image_accuracy", "accuracy": "group_accuracy"}
GROUPS = {
    "zeroshot": "zeroshot", "linear_probe": "linear_probe", "retrieval": "retrieval", "instance_retrieval": "retrieval",
}  # fmt: skip
LEVELS = {
    "CUB200I2IRetrieval": ("cub", "instance"),
    "SOPI2IRetrieval": ("sop", "instance"),
    "METI2IRetrieval": ("met", "instance"),
    "GLDv2I2IRetrieval": ("gldv2", "instance"),
    **{
        f"{city}{level.title()}I2IRetrieval": (name, level)
        for city, name in (("ROxford", "roxford5k"), ("RParis", "rparis6k"))
        for level in ("easy", "medium", "hard")
    },
}
"""MTEB's task of images by images -> the name of our task of the same data, and the level that it is of."""
TASKS = MTEB_TASKS | {task: f"instance_retrieval/{name}" for task, (name, _) in LEVELS.items()}
TITLES = {
    "zeroshot": "zero-shot classification",
    "linear_probe": "16-shot linear probes",
    "retrieval": "retrieval of images, texts and documents",
    "others": "clustering, visual STS, pairs of images and texts, multiple choice",
}
Place = tuple[str, str, str]
"""Task, split and subset."""


def tables(atlas: Path) -> list[Table]:
    lines = read_csv(atlas / "mteb_image.csv")
    names: dict[str, list[str]] = {}
    for line in lines:
        known = names.setdefault(line["task"], [])
        known += [name for name in _scores(line) if name not in known]
    main = {task: _main(task, lines) for task in names}
    experiments: dict[str, int] = {}
    for line in lines:
        count = len(line["accuracy_of_each_experiment"].split(";")) if line["accuracy_of_each_experiment"] else 0
        experiments[line["task"]] = max(experiments.get(line["task"], 0), count)
    places = sorted({(line["task"], line["split"], line["subset"]) for line in lines})
    groups = {place: GROUPS.get(_protocol(place[0]), "others") for place in places}
    columns: dict[str, list[Column]] = {group: [] for group in sorted(set(groups.values()))}
    at: dict[tuple[Place, str], int] = {}
    for place in places:
        scores, into = sorted(names[place[0]]), columns[groups[place]]
        for score in scores if main[place[0]] in scores else ["main_score", *scores]:
            at[place, score] = len(into)
            into.append(_column(place, score, score == main[place[0]], experiments[place[0]]))
    rows: dict[str, dict[tuple[str, str, str, int], Row]] = {group: {} for group in columns}
    taken: dict[tuple[str, ...], int] = {}
    for line in lines:
        who = line["model"], line["revision"], line["mteb_version"]
        place = line["task"], line["split"], line["subset"]
        times = taken[(*who, *place)] = taken.get((*who, *place), 0) + 1
        name = line["model"].replace("__", "/")
        note = f"{line['mteb_version']}, {line['revision']}" + (f", result {times}" if times > 1 else "")
        row = rows[groups[place]].setdefault((*who, times), Row(name, name, note, {}))
        row.values.update({at[place, score]: value for score, value in _values(line, main[line["task"]]).items()})
    return [
        Table(
            f"mteb/{group}",
            "mteb",
            f"MTEB's image tasks: {TITLES[group]}",
            "results/*/*/*.json",
            "as MTEB's task of this name",
            columns[group],
            [rows[group][key] for key in sorted(rows[group])],
            decimals=5,
        )
        for group in columns
    ]


def _scores(line: dict[str, str]) -> dict[str, str]:
    return dict(part.split("=") for part in line["scores"].split(";")) if line["scores"] else {}


def _main(task: str, lines: list[dict[str, str]]) -> str:
    """The score that is the main one on every line of the task, `main_score` where no listed one is."""
    equal: set[str] | None = None
    for line in lines:
        if line["task"] == task:
            same = {name for name, value in _scores(line).items() if value == line["main_score"]}
            equal = same if equal is None else equal & same
    assert equal is None or len(equal) < 2, f"{task}: {equal}"
    return next(iter(equal or ()), "main_score")


def _values(line: dict[str, str], main: str) -> dict[str, Value]:
    values: dict[str, Value] = {name: number(value) for name, value in _scores(line).items()}
    if main == "main_score":
        values["main_score"] = number(line["main_score"])
    if line["accuracy_of_each_experiment"]:
        mean = values["accuracy"]
        values["accuracy"] = [mean, *map(float, line["accuracy_of_each_experiment"].split(";"))]
    return values


def _column(place: Place, score: str, is_main: bool, experiments: int) -> Column:
    task, split, subset = place
    ours = TASKS.get(task)
    protocol = _protocol(task)
    language = None if subset == "default" else subset
    dialect = Dialect(split=split, language=language)
    if protocol == "zeroshot":
        names = "MTEB's" + (", each with a line break" if task in MTEB_NAMES_WITH_LINE_BREAKS else "")
        dialect = Dialect(prompts=MTEB_PROMPTS[task], num_prompts=1, class_names=names, split=split)
    elif protocol == "linear_probe":
        dialect = Dialect(split=split, layer="projected", probe=PROBE, shots=16, seeds=experiments or None)
    extra = (("main", True),) if is_main or score == "main_score" else ()
    heading = f"{task} {score}" if language is None else f"{task} {language} {score}"
    dataset = dataset_of(ours) if ours else task
    return Column(heading, protocol, dataset, ours, _metric(task, score, protocol, is_main), dialect, extra)


def _metric(task: str, score: str, protocol: str, is_main: bool) -> str:
    """Our name of a score where both mean the same: accuracy, F1 over classes, the hit rate, which is our recall, and
    what pairs of one image or of one text are scored by; their other scores are 0 (see protocols/compositionality)."""
    if score == "accuracy" and protocol in ("zeroshot", "linear_probe") and task != "VOC2007":
        return "acc1"
    if score == "f1" and protocol == "linear_probe" and task != "VOC2007":
        return "macro_f1"
    if protocol == "compositionality":
        same = is_main or task == "Winoground" or (task, score) == ("ImageCoDe", "image_acc")
        return PAIR_SCORES[score] if same and score in PAIR_SCORES else score
    if task in TASKS and protocol in ("retrieval", "instance_retrieval"):
        part = "image_to_text" if "I2T" in task else "text_to_image"
        part = LEVELS[task][1] if task in LEVELS else part
        match = re.fullmatch(r"cv_recall_at_(\d+)", score)
        return f"{part}_recall@{match[1]}" if match else f"{part}_{score}"
    return score


def _protocol(task: str) -> str:
    if task in TASKS:
        return TASKS[task].partition("/")[0]
    if task in MTEB_PROMPTS:
        return "zeroshot"
    if task.startswith(PAIRS) and not task.endswith("Retrieval"):
        return "compositionality"
    if "STS" in task:
        return "visual_sts"
    if task.endswith("Clustering"):
        return "clustering"
    return "multiple_choice" if task.endswith("MultiChoice") or task.startswith("CVBench") else "retrieval"
