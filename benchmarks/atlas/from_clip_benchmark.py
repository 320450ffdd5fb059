"""CLIP_benchmark's tables: zero-shot and retrieval of two runs, and linear probes by AdamW."""

from __future__ import annotations

from pathlib import Path

from facts import CLIP_BENCHMARK_TASKS, NUM_PROMPTS, ZERO_SHOT_TASKS, dataset_of
from tables import Column, Dialect, Row, Table, number, read_csv

METRICS = {
    "mean_average_precision": "map",
    "image_retrieval_recall@5": "text_to_image_recall@5",
    "text_retrieval_recall@5": "image_to_text_recall@5",
}
"""clip-benchmark's name -> ours, where they differ."""
GROUPS = {
    "benchmark/benchmark.csv": ("clip_benchmark/benchmark", "Zero-shot and retrieval of CLIP_benchmark's first models"),
    "probe_benchmark/openclip_results.csv": (
        "clip_benchmark/scaling",
        "Zero-shot and retrieval of the models of the scaling study (Cherti et al. 2023)",
    ),
}
PROBE = ("lp_acc1", "lp_acc5", "lp_mean_per_class_recall")


def tables(atlas: Path) -> list[Table]:
    sizes = {
        line["task"].removeprefix("vtab/"): int(line["size"])
        for line in read_csv(atlas / "datacomp_tasks.csv")
        if not line["task"].startswith("retrieval/")
    }
    lines = read_csv(atlas / "clip_benchmark_zeroshot.csv")
    zero_shot = [
        _zero_shot([line for line in lines if line["file"] == file], file, group, title, sizes)
        for file, (group, title) in GROUPS.items()
    ]
    return [*zero_shot, _probe(atlas)]


def zero_shot_dialect(key: str, samples: int | None) -> Dialect:
    """clip-benchmark's prompts for a data set; one without templates of its own has ImageNet's."""
    templates = key if key in NUM_PROMPTS else "imagenet1k"
    return Dialect(
        prompts=f"clip-benchmark:{templates}",
        num_prompts=NUM_PROMPTS[templates],
        class_names="clip-benchmark",
        split="test",
        samples=samples,
        resize="the model's own",
    )


def _zero_shot(lines: list[dict[str, str]], file: str, group: str, title: str, sizes: dict[str, int]) -> Table:
    keys = list(dict.fromkeys((line["dataset"], line["task"], line["metric"]) for line in lines))
    columns = [_column(*key, sizes) for key in sorted(keys)]
    place = {key: number for number, key in enumerate(sorted(keys))}
    rows: dict[str, Row] = {}
    for line in lines:
        name = line["model"].replace(" ", "/", 1)
        row = rows.setdefault(name, Row(name, name, file.rpartition("/")[2], {}))
        row.values[place[line["dataset"], line["task"], line["metric"]]] = number(line["value"])
    return Table(
        group,
        "clip_benchmark",
        title,
        file,
        "clip-benchmark's prompts and class names",
        columns,
        [rows[name] for name in sorted(rows)],
        decimals=5,
    )


def _column(dataset: str, task: str, metric: str, sizes: dict[str, int]) -> Column:
    key = dataset.removeprefix("vtab/")
    ours, heading, name = CLIP_BENCHMARK_TASKS.get(key), f"{dataset} {metric}", METRICS.get(metric, metric)
    if task == "zeroshot_retrieval":
        dialect = Dialect(split="test", resize="the model's own")
        return Column(heading, "retrieval", key, f"retrieval/{ours}" if ours else None, name, dialect)
    if dataset in ("imagenet_robustness", "vtab", "vtab+"):
        return Column(heading, "zeroshot", f"mean over {dataset}", None, name)
    ours, dialect = ours or ZERO_SHOT_TASKS.get(key), zero_shot_dialect(key, sizes.get(key))
    return Column(heading, "zeroshot", key, f"zeroshot/{ours}" if ours else None, name, dialect)


def _probe(atlas: Path) -> Table:
    lines = read_csv(atlas / "clip_benchmark_probe.csv")
    keys = list(
        dict.fromkeys(
            (line["dataset"], int(line["shots"]), line["lr"], int(line["epochs"]), line["batch_size"]) for line in lines
        )
    )
    columns = []
    for dataset, shots, lr, epochs, batch in sorted(keys):
        key = dataset.removeprefix("vtab/").removeprefix("vtab_")
        ours = CLIP_BENCHMARK_TASKS.get(key)
        dialect = Dialect(
            data=dataset,
            split="test",
            resize="the model's own",
            layer="projected",
            probe=f"AdamW, lr {lr}, {epochs} epochs, batch {batch}",
            shots="all" if shots < 0 else shots,
            seeds=1,
        )
        for metric in PROBE:
            name = metric.removeprefix("lp_")
            task = f"linear_probe/{ours}" if ours else None
            known = dataset_of(task) if task else key
            columns.append(Column(f"{dataset} {name}", "linear_probe", known, task, name, dialect))
    place = {key: 3 * number for number, key in enumerate(sorted(keys))}
    rows: dict[str, Row] = {}
    for line in lines:
        name = f"{line['model']}/{line['pretrained']}"
        assert line["seed"] == "0"
        at = place[line["dataset"], int(line["shots"]), line["lr"], int(line["epochs"]), line["batch_size"]]
        row = rows.setdefault(name, Row(name, name, "linear probe", {}))
        row.values.update({at + step: number(line[metric]) for step, metric in enumerate(PROBE)})
    return Table(
        "clip_benchmark/probe",
        "clip_benchmark",
        "Linear probes of CLIP_benchmark: few-shot and full, by learning rate and epochs",
        "probe_benchmark/scaling_experiment_data2.json",
        "every point of the grid; which is the best is not marked",
        columns,
        [rows[name] for name in sorted(rows)],
        decimals=5,
    )
