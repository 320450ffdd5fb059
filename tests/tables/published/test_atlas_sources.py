"""A tenth of the atlas beside the files that it was made of."""

import csv
import importlib.util
import json
import os
import random
import sys
from pathlib import Path

import pytest
from atlas_rows import ATLAS, ROOT

from mlcd_eval.tables.published import groups, published_numbers, tables
from mlcd_eval.tables.published.models import models
from mlcd_eval.tables.published.number import PublishedNumber

SHARED = Path(os.environ.get("MLCD_EVAL_ATLAS", ROOT.parent / "shared/atlas"))
needs_sources = pytest.mark.skipif(not SHARED.is_dir(), reason="the sources of the atlas are not on this machine")


@needs_sources
def test_the_files_are_made_again_byte_for_byte(monkeypatch):
    folder = ROOT / "benchmarks/atlas"
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    try:
        texts = importlib.import_module("make").files(SHARED)
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
    assert texts.keys() == {file.name for file in ATLAS.iterdir()}
    for name, text in texts.items():
        assert (ATLAS / name).read_text(encoding="utf-8") == text, f"stale: run benchmarks/atlas/make.py for {name}"


def source_rows(name: str) -> list[dict[str, str]]:
    with (SHARED / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tenth(cells: list) -> list:
    return random.Random(21).sample(cells, len(cells) // 10)


@needs_sources
@pytest.mark.parametrize(
    ("name", "group", "facts"),
    [
        ("openclip_zeroshot", "open_clip/zeroshot", 4),
        ("openclip_retrieval", "open_clip/retrieval", 4),
        ("openclip_multilingual", "open_clip/multilingual", 2),
    ],
)
def test_a_tenth_of_open_clips_values(name, group, facts):
    known = {(number.model, number.pretraining, number.column): number.value for number in published_numbers(group)}
    cells = []
    for line in source_rows(name):
        model, tag, *_ = line.values()
        cells += [((model, tag, column), text) for column, text in list(line.items())[facts:]]
    assert len(cells) == len(known)
    for key, text in tenth(cells):
        assert known[key] == float(text), key


@needs_sources
def test_a_tenth_of_open_clips_sizes():
    for line in tenth(source_rows("openclip_zeroshot") * 10):
        model = models()[f"{line['name']}/{line['pretrained']}"]
        assert (model.params_m, model.gflops) == (float(line["params (M)"]), float(line["FLOPs (B)"]))
    profile = {line["model"]: line for line in source_rows("openclip_profile")}
    for model in models().values():
        if model.architecture is not None:
            line = profile[model.architecture]
            sizes = model.image_params_m, model.image_gflops
            assert sizes == (float(line["image_mparams"]), float(line["image_gflops"]))


@needs_sources
def test_a_tenth_of_clip_benchmarks_values():
    known = {
        (number.table, f"{number.model} {number.pretraining}", number.column): number.value
        for group in ("clip_benchmark/benchmark", "clip_benchmark/scaling")
        for number in published_numbers(group)
    }
    lines = source_rows("clip_benchmark_zeroshot")
    assert len(lines) == len(known)
    for line in tenth(lines):
        assert known[line["file"], line["model"], f"{line['dataset']} {line['metric']}"] == float(line["value"])


@needs_sources
def test_a_tenth_of_clip_benchmarks_probes():
    known = {}
    for number in published_numbers("clip_benchmark/probe"):
        key = number.model, number.pretraining, number.dialect.probe, str(number.dialect.shots), number.column
        known[key] = number.value
    cells = [
        (line, metric)
        for line in source_rows("clip_benchmark_probe")
        for metric in ("acc1", "acc5", "mean_per_class_recall")
    ]
    missing = 0
    for line, metric in tenth(cells):
        probe = f"AdamW, lr {line['lr']}, {line['epochs']} epochs, batch {line['batch_size']}"
        shots = line["shots"].replace("-1", "all")
        key = line["model"], line["pretrained"], probe, shots, f"{line['dataset']} {metric}"
        if line[f"lp_{metric}"] == "nan":
            missing += 1
            assert key not in known
        else:
            assert known[key] == float(line[f"lp_{metric}"])
    assert 0 < missing < len(cells) // 100


@needs_sources
def test_a_tenth_of_mtebs_lines_with_every_score_and_experiment():
    known: dict[tuple, list[PublishedNumber]] = {}
    for group in groups("mteb"):
        for number in published_numbers(group):
            known.setdefault((number.model, number.source, number.column), []).append(number)
    for line in tenth(source_rows("mteb_image")):
        who = line["model"].replace("__", "/"), f"mteb {line['mteb_version']}, {line['revision']}"
        subset = "" if line["subset"] == "default" else f"{line['subset']} "
        scores = dict(part.split("=") for part in line["scores"].split(";")) if line["scores"] else {}
        values = {}
        for name, text in scores.items():
            several = [
                number
                for times in ("", ", result 2")
                for number in known.get((who[0], who[1] + times, f"{line['task']} {subset}{name}"), [])
                if number.dialect.split == line["split"]
            ]
            values[name] = [number.value for number in several]
            assert text == "nan" or float(text) in values[name], (line, name)
            if name == "accuracy" and line["accuracy_of_each_experiment"]:
                experiments = tuple(map(float, line["accuracy_of_each_experiment"].split(";")))
                assert experiments in [number.experiments for number in several]
        stated = [
            number.value
            for times in ("", ", result 2")
            for number in known.get((who[0], who[1] + times, f"{line['task']} {subset}main_score"), [])
        ]
        assert float(line["main_score"]) in stated or any(float(line["main_score"]) in each for each in values.values())


@needs_sources
def test_every_value_of_the_papers():
    contents = json.loads((SHARED / "papers.json").read_text(encoding="utf-8"))
    known = {}
    for group in groups():
        if tables()[group].source not in ("papers", "open_clip", "clip_benchmark", "mteb"):
            known |= {(tables()[group].title, n.model, n.column): n.value for n in published_numbers(group)}
    stated = {
        (content["title"], row["model"], column): value
        for content in contents
        for row in content["rows"]
        for column, value in row["values"].items()
        if value is not None
    }
    assert known == stated


@needs_sources
def test_sizes_and_chance_levels_of_datacomps_sets():
    columns = {number.column: number for number in published_numbers("open_clip/zeroshot")}
    for line in source_rows("datacomp_tasks"):
        number = columns[line["name"]]
        if line["num_classes"]:
            assert number.dialect.samples == int(line["size"])
        is_accuracy = line["main_metric"] in ("acc1", "mean_per_class_recall")
        assert number.chance == (float(line["random_score"]) if is_accuracy and line["random_score"] else None)
