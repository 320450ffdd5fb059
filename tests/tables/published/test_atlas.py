"""The atlas: that its files are whole, that they are the sources' values, and that its averages come out."""

import csv
import hashlib
import importlib.util
import json
import os
import random
import sys
from pathlib import Path
from statistics import fmean

import pytest

from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import published_dir
from mlcd_eval.tables.published import groups, published_numbers, tables
from mlcd_eval.tables.published.atlas import index
from mlcd_eval.tables.published.models import models, of_spec
from mlcd_eval.tables.published.number import PublishedNumber

ATLAS = published_dir() / "atlas"
ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("MLCD_EVAL_ATLAS", ROOT.parent / "shared/atlas"))
needs_sources = pytest.mark.skipif(not SHARED.is_dir(), reason="the sources of the atlas are not on this machine")


def rows(group: str) -> dict[str, dict[str, PublishedNumber]]:
    """Label -> column -> number."""
    by_label: dict[str, dict[str, PublishedNumber]] = {}
    for number in published_numbers(group):
        by_label.setdefault(number.label, {})[number.column] = number
    return by_label


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_file_is_the_one_that_the_index_names():
    for entry in index()["tables"]:
        assert sha256(ATLAS / entry["file"]) == entry["sha256"]
    assert sha256(ATLAS / "models.json") == index()["models_sha256"]
    known = {entry["file"] for entry in index()["tables"]} | {"index.json", "models.json", "README.md"}
    assert {file.name for file in ATLAS.iterdir()} == known
    assert sum(file.stat().st_size for file in ATLAS.iterdir()) < 3e6


def test_the_index_counts_what_the_files_hold():
    for entry in index()["tables"]:
        content = json.loads((ATLAS / entry["file"]).read_text(encoding="utf-8"))
        values = [value for *_, runs in content["rows"] for _, *run in runs for value in run]
        assert sum(value is not None for value in values) == entry["numbers"]
        assert {task or f"{protocol}/{data}" for _, protocol, data, task, *_ in content["columns"]} == set(
            entry["places"]
        )
    assert sum(entry["numbers"] for entry in index()["tables"]) == index()["numbers"] > 45_000
    of_papers = sum(tables()[group].size for group in groups("papers"))
    every = sum(table.size for table in tables().values())
    assert every == index()["numbers"] + of_papers
    for page in ("README.md", "docs/published.md"):
        assert f"{every:,}" in (ROOT / page).read_text(encoding="utf-8")


def test_every_number_says_where_it_is_from():
    tasks = set(TaskIndex.load().tasks)
    for group in (
        "mteb/zeroshot",
        "mteb/linear_probe",
        "open_clip/zeroshot",
        "clip_benchmark/benchmark",
        "rice/table2",
    ):
        for number in published_numbers(group):
            assert number.paper_url.startswith("https://") and number.licence and number.identity is not None
            assert number.task is None or number.task in tasks
    assert {number.commit for number in published_numbers("open_clip/zeroshot")} == {"89fb801f"}


def test_open_clips_averages_come_out():
    for row in rows("open_clip/zeroshot").values():
        average = row.pop("Average perf. on 38 datasets")
        assert len(row) == 38
        assert average.value == pytest.approx(fmean(number.value for number in row.values()), abs=6e-5)
    for row in rows("open_clip/retrieval").values():
        average = row.pop("Average score")
        assert average.value == pytest.approx(fmean(number.value for number in row.values()), abs=6e-5)
    for row in rows("open_clip/multilingual").values():
        average = row.pop("avg")
        means = {column: row.pop(column) for column in list(row) if column.endswith(" avg")}
        assert len(row) == 282
        assert average.value == pytest.approx(fmean(number.value for number in row.values()), abs=6e-5)
        for column, mean in means.items():
            members = [number.value for name, number in row.items() if name.startswith(column.removesuffix("avg"))]
            assert mean.value == pytest.approx(fmean(members), abs=6e-5)


def test_flickr_and_coco_are_the_means_of_both_directions():
    recalls = rows("open_clip/retrieval")
    for label, row in rows("open_clip/zeroshot").items():
        for heading in ("Flickr", "MSCOCO"):
            both = [recalls[label][f"{heading} {side} retr. R@1"].value for side in ("image", "text")]
            assert row[heading].value == pytest.approx(fmean(both), abs=6e-5)


def test_rices_averages_come_out():
    ocr = ("InfoVQA", "DocVQA", "ChartQA", "TextVQA", "OCRBenchV2", "LiveXivVQA")
    plain = ("AI2D", "MMBench-EN", "POPE", "RealWorldQA", "MMStar")
    assert len(rows("rice/table1")) == 14
    for row in rows("rice/table1").values():
        value = {column: number.value for column, number in row.items()}
        assert round(fmean([*(value[name] for name in ocr), value["OCRBench"] / 10]), 2) == value["OCR avg"]
        other = [*(value[name] for name in plain), value["MME-Cog"] / 6, value["MME-Per"] / 20]
        assert fmean(other) == pytest.approx(value["other avg"], abs=0.021)


@pytest.mark.parametrize("group", ["onevision/table4_8_frames", "onevision/table4_16_frames"])
def test_onevisions_averages_come_out(group):
    for row in rows(group).values():
        average = row.pop("avg").value
        assert average == pytest.approx(fmean(number.value for number in row.values()), abs=0.0501)


def test_mtebs_probes_are_the_means_of_their_experiments():
    probes = [number for number in published_numbers("mteb/linear_probe") if number.experiments]
    assert len(probes) == 1_112
    assert {len(number.experiments) for number in probes} == {1, 5, 10}
    for number in probes:
        assert number.value == pytest.approx(fmean(number.experiments), abs=2e-6)


def test_mtebs_scores_have_our_names_where_both_mean_the_same():
    """Its F1 is over classes; of items of one image it scores texts only, and its other two scores are 0."""
    metrics = {}
    for number in published_numbers("mteb/linear_probe") + published_numbers("mteb/others"):
        metrics.setdefault(number.place, {}).setdefault(number.metric, []).append(number.value)
    assert set(metrics["linear_probe/dtd"]) == {"acc1", "macro_f1"}
    assert {"accuracy", "f1"} <= set(metrics["linear_probe/voc2007"])  # of several labels
    assert set(metrics["compositionality/winoground"]) == {"text_accuracy", "image_accuracy", "group_accuracy"}
    for name in ("sugarcrepe", "aro_vg_relation", "aro_vg_attribution", "aro_coco_order", "aro_flickr_order"):
        of_task = metrics[f"compositionality/{name}"]
        assert set(of_task) == {"text_accuracy", "image_acc", "accuracy"}
        assert {*of_task["image_acc"], *of_task["accuracy"]} == {0.0} and min(of_task["text_accuracy"]) > 0


def test_models_are_joined_by_their_weights():
    clip = models()["ViT-B-32/openai"]
    assert (clip.hub, clip.params_m, clip.gflops, clip.image_gflops) == (
        "openai/clip-vit-base-patch32",
        151.28,
        14.78,
        8.82,
    )
    assert set(clip.names) == {"open_clip", "clip_benchmark", "mteb", "papers"}
    assert of_spec("open_clip:ViT-B-32/openai", "mine") == of_spec("hf:openai/clip-vit-base-patch32", "x") == clip
    own = of_spec("open_clip:ViT-B-32/mine.pt", "mine")
    assert (own.gflops, own.key) == (14.78, "open_clip:ViT-B-32/mine.pt")
    assert of_spec("checkpoints/mine", "mine") is None
    keys = [model.open_clip for model in models().values() if model.open_clip]
    assert len(keys) == len(set(keys)) == 123


def test_the_number_of_prompts_is_clip_benchmarks():
    spec = importlib.util.find_spec("clip_benchmark")
    folder = Path(spec.origin).parent / "datasets"
    templates = json.loads((folder / "en_zeroshot_classification_templates.json").read_text())
    numbers = [*published_numbers("open_clip/zeroshot"), *published_numbers("clip_benchmark/scaling")]
    dialects = {number.dialect for number in numbers if number.dialect.prompts not in (None, "folder")}
    stated = {dialect.prompts.removeprefix("clip-benchmark:"): dialect.num_prompts for dialect in dialects}
    assert len(stated) > 25
    assert stated == {key: len(templates[key]) for key in stated}


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
