"""The atlas: that its files are whole, that they are the sources' values, and that its averages come out."""

import hashlib
import importlib.util
import json
from pathlib import Path
from statistics import fmean

import pytest
from atlas_rows import ATLAS, ROOT, rows

from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.published import groups, published_numbers, tables
from mlcd_eval.tables.published.atlas import index
from mlcd_eval.tables.published.models import models, of_spec


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


def test_mtebs_images_by_images_stand_beside_instance_retrieval():
    """Its cv_recall is the share of queries with a right image among the first k; levels are tasks of their own."""
    places = {}
    for number in published_numbers("mteb/retrieval"):
        places.setdefault(number.place, set()).add(number.metric)
    for name in ("roxford5k", "rparis6k"):
        of_task = places[f"instance_retrieval/{name}"]
        assert {f"{level}_recall@{k}" for level in ("easy", "medium", "hard") for k in (1, 5, 10)} <= of_task
    for name in ("cub", "sop", "met", "gldv2"):
        assert "instance_recall@1" in places[f"instance_retrieval/{name}"]


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
