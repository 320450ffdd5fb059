"""Figures in prose are those of the recorded results, of the code and of the data that they speak of."""

import json
import math
import re
import tarfile

import pytest
from documentation import ROOT
from safetensors import safe_open

from benchmarks import gpu_plan
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.spec import TaskIndex

RECORDED = {
    "centres": r"sampled: (\S+) s per step, peak (\S+) .*?dense: (\S+) s per step, peak (\S+) .*?ratio .*?: ([\d.]+)x",
    "clustering": r"ours: (\S+) s.*?faiss: (\S+) s",
    "decoders": r"\ntorch: \d+ images/s, (\S+) times.*?; (\S+)%.*?torchcodec: \d+ images/s, (\S+) times",
    "encode": r"end to end (\d+) images/s, from.*?slower part: (\S+),",
    "instance_retrieval": r"positives: \S+ s, (\S+) s of processors.*?100: \S+ s, (\S+) s of processors",
    "linear_probe": r"train \(1328.*?ours: (\S+) s.*?learn: (\S+) s.*?learn: (\S+) s.*?converged: (\S+) s"
    r".*?train \(20000.*?ours: (\S+) s.*?learn: (\S+) s.*?2 threads: ours (\S+) s",
    "oracles": r"(\d+) same, (\d+) explained, 0 DIFFERENT",
    "objectives": r"init +(\S+) \+- (\S+) over.*?mlcd +(\S+) \+- (\S+) over.*?cluster +(\S+) \+- (\S+) over"
    r".*?ratio 1\).*?init +(\S+) \+- (\S+)\n.*?mlcd +(\S+) \+- (\S+)\n.*?cluster +(\S+) \+- (\S+)\n"
    r".*?uses (\d+)% of the 700 classes for mlcd and (\d+)% for cluster",
    "pipeline": r"4 workers: (\S+) s.*?0 workers: (\S+) s.*?empty cache: (\S+) s.*?records: (\S+) s.*?again: (\S+) s",
    "probe_growth": r"1281167 .*? prepared in (\d+) s, (\S+) s per pass .*? peak (\S+) GiB",
    "reading": r"rapidocr_reader \(native\): anls (\S+).*?(\d+) questions: (\S+)",
}
"""A file of benchmarks/results -> where its numbers are."""
SAID = {
    "evidence": [
        ("linear_probe", "| {:.2f} s | scikit-learn {:.0f} s with its defaults, {:.1f} s at its best"),
        ("linear_probe", "; {3:.0f} s converged, with our lambda and accuracy"),
        ("linear_probe", "| {4:.1f} s | scikit-learn {5:.0f} s |"),
        ("pipeline", "| {2:.1f} s; {3:.1f} s from kept features; {4:.1f} s with records |"),
        ("pipeline", "| clip-benchmark {0:.0f} s with its defaults, {1:.0f} s without workers |"),
        ("clustering", "| {:.1f} s | faiss-cpu {:.1f} s |"),
        ("centres", "| {:.1f} s, {:.1f} GiB | dense {:.1f} s, {:.1f} GiB |"),
        ("oracles", "[{:.0f} are the same and {:.0f} differs]"),
    ],
    "scaling": [
        ("centres", "B = 256: {:.1f} s, {:.1f} GiB | dense step {:.1f} s, {:.1f} GiB |"),
        ("linear_probe", "30 classes: {0:.2f} s | scikit-learn {2:.1f} s on one thread, {1:.0f} s on two"),
        ("linear_probe", "{4:.1f} s on one thread, {6:.1f} s on two | scikit-learn {5:.0f} s on one thread"),
        ("pipeline", "| {2:.1f} s; {3:.1f} s with stored features; {4:.1f} s with records |"),
        ("pipeline", "| clip-benchmark {0:.0f} s with its default settings, {1:.0f} s without workers |"),
        ("instance_retrieval", "50 positives each: {0:.0f} s of processors on a busy machine"),
        ("instance_retrieval", "the nearest 100 alone, in float32: {1:.0f} s of processors"),
        ("probe_growth", "1,000 classes: {:.0f} s to prepare, {:.0f} s per pass, {:.1f} GiB"),
        ("encode", "{:.0f} images/s, {:.2f} times the forward pass"),
    ],
    "training": [
        ("centres", "{4:.1f} times as fast as the dense step"),
        ("objectives", "| {0:.1f} ± {1:.1f} | {4:.1f} ± {5:.1f} | **{2:.1f} ± {3:.1f}** |"),
        ("objectives", "| {6:.1f} ± {7:.1f} | {10:.1f} ± {11:.1f} | {8:.1f} ± {9:.1f} |"),
        ("objectives", "0.{12:.0f} with 700 classes, batch 128 and 8 labels; 0.{13:.0f} there with one label"),
    ],
    "encoding": [
        ("decoders", "| {:.1f} times, decoding included | {:.2f}% of values differ"),
        ("decoders", "| the same | {2:.1f} times | as `torch`"),
    ],
    "encoders": [
        ("reading", "{0:.0%} ANLS on the bundled pages, {2:.0%} on {1:.0f} questions"),
    ],
}
"""A page of docs -> the files whose figures it has, and the words in which it has them."""

DEFAULTS = [
    ["seg_linear", "patches", "Of more than {:,} train patches"],
    ["seg_knn", "patches", "Of more than {:,} train patches"],
    ["seg_knn", "k", "shares of the {} that are most like it"],
    ["seg_knn", "temperature", "(softmax at temperature {})"],
    ["region_classification", "regions", "Of more than {:,} train regions"],
    ["region_retrieval", "regions", "Of more than {:,} regions"],
    ["tracking", "k", "the labels of the {} patches most like it"],
    ["tracking", "temperature", "(softmax at temperature {})"],
    ["tracking", "frames", "in the {} frames before it"],
    ["knn", "temperature", "T = {}"],
]
"""A protocol, a setting, and the words in which docs/protocols.md has its default."""


def words(page):
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def results(name):
    return (ROOT / f"benchmarks/results/{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "name", "said"), [(page, *row) for page, rows in SAID.items() for row in rows])
def test_a_page_has_the_recorded_figures(page, name, said):
    numbers = re.search(RECORDED[name], results(name), flags=re.DOTALL).groups()
    figures = said.format(*map(float, numbers))
    assert figures in words(f"docs/{page}.md"), f"docs/{page}.md does not have {figures!r} of {name}.txt"


@pytest.mark.parametrize(("name", "setting", "said"), DEFAULTS)
def test_the_page_of_protocols_has_the_defaults(name, setting, said):
    sections = dict(part.split(" ", 1) for part in words("docs/protocols.md").split(" ## ")[1:])
    assert said.format(getattr(get_protocol(name).Settings(), setting)) in sections[name]


def test_masks_and_retrieval_are_compared_by_the_best_of_three():
    page, scaling = words("docs/evidence.md"), words("docs/scaling.md")
    measured = re.findall(
        r"5,000 x 25,010 x 512: ([\d., ]+) s\n +peak memory (\S+) MB, of which (\d+)", results("retrieval")
    )
    (ours, mine, before), (theirs, peers, loaded) = (
        (min(map(float, times.split(", "))), int(peak.replace(",", "")), int(start)) for times, peak, start in measured
    )
    assert f"| {ours:.1f} s, {mine / 1e3:.1f} GB | clip-benchmark {theirs:.0f} s, {peers / 1e3:.1f} GB |" in page
    assert f": {ours:.1f} s, {mine - before} MB beyond the data |" in scaling
    assert f"| clip-benchmark {theirs:.0f} s, {peers - loaded:,} MB beyond the data |" in scaling
    fast, slow = (
        min(map(float, times.split(", "))) for times in re.findall(r"640 x 480: ([\d., ]+) s", results("segmentation"))
    )
    assert f"| {fast:.2f} s | decoding both in numpy {slow:.1f} s |" in page
    assert f"640 x 480: {fast:.2f} s, no memory | decoding both in numpy {slow:.1f} s |" in scaling


def test_the_page_on_gpus_has_the_plans_table(capsys):
    gpu_plan.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    page = words("docs/gpu.md")
    assert [row for row in rows if row.partition(" | ")[2] not in page] == [] and len(rows) == 5
    assert f"| linear probe, {gpu_plan.LAMBDAS} candidates, " in page


def test_the_study_is_quoted_as_it_is():
    study, page = ROOT / "results/study", words("docs/training.md")
    tests = json.loads((study / "tests.json").read_text())["gradient"]
    found = {each["name"]: f"{100 * each['difference']:.1f}" for each in tests if each["adjusted"] < 0.05}
    assert set(found) == {"mlc, exact, scale 16", "unicom, exact, scale 64"}
    assert f"`mlc` at scale 16 by {found['mlc, exact, scale 16']} points of mAP" in page
    assert f"`cluster` at scale 64 by {found['unicom, exact, scale 64']})" in page
    (own,) = re.findall(r"\| mlc +\| exact +\| (-\S+) \|", (study / "README.md").read_text())
    assert f"`mlc` at scale 64 ends at mean cosines of {own}" in page


def test_how_many_data_sets_of_the_hub_are_pinned():
    remote = [each for each in TaskIndex.load().datasets.values() if each.hub or (each.ref or "").startswith("hf")]
    pinned = [each for each in remote if each.revision]
    said = f"Of the {len(remote)} data sets with a copy on the hub, {len(pinned)} have a pinned revision"
    assert said in words("README.md")


def test_the_bundled_model_and_pairs_have_the_stated_sizes():
    package = ROOT / "mlcd_eval"
    with safe_open(package / "demo_model/model.safetensors", "np") as weights:
        size = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    record, stored = words("mlcd_eval/demo_model/README.md"), (package / "demo_model/model.safetensors").stat().st_size
    assert f"A CLIP of {size / 1e6:.1f} million parameters" in record and f"{stored / 1e6:.1f} MB in half" in record
    assert f"a bundled CLIP of {size / 1e6:.0f} million parameters" in words("README.md")
    keys = set()
    for shard in (package / "demo_data/wds_demo_captions/train").glob("*.tar"):
        with tarfile.open(shard) as tar:
            keys |= {name.partition(".")[0] for name in tar.getnames()}
    assert f"trains twice on {len(keys):,} bundled image-text pairs" in words("README.md")


def test_the_sources_of_published_numbers_have_their_counts():
    atlas, page = ROOT / "results/published/atlas", words("docs/published.md")
    files = {each["group"]: each["file"] for each in json.loads((atlas / "index.json").read_text())["tables"]}
    tables = {group: json.loads((atlas / file).read_text(encoding="utf-8")) for group, file in files.items()}
    models = dict(re.findall(r"^\| (\w+) \| .* \| (\d+) \|$", (atlas / "README.md").read_text(), flags=re.MULTILINE))
    sets, languages = (len(tables[f"open_clip/{name}"]["columns"]) - 1 for name in ("zeroshot", "multilingual"))
    assert (
        f"| {models['open_clip']} models: {sets} zero-shot sets" in page and f"{languages} columns of retrieval" in page
    )
    probes = tables["clip_benchmark/probe"]
    fitted = len(probes["rows"]) * len(probes["columns"]) // len({column[4] for column in probes["columns"]})
    assert f"{fitted:,} linear probes by AdamW" in page
    tasks = {name.split()[0] for group in tables if group.startswith("mteb/") for name, *_ in tables[group]["columns"]}
    assert f"| {len(tasks)} image tasks by {models['mteb']} models;" in page


def test_one_table_of_comparability_is_quoted_as_it_is():
    rows = [
        [cell.strip() for cell in line.split("|")] for line in (ROOT / "docs/comparability.md").read_text().splitlines()
    ]
    (weights,) = [row for row in rows if row[1:2] == ["`ViT-B-32/laion2b_s34b_b79k`"]]
    (pair,) = [row for row in rows if row[1:4] == ["zeroshot/imagenet", "mteb", "open_clip"]]
    page = words("docs/published.md")
    assert f"has {weights[-2]} (80 prompts) and {weights[-3]} (MTEB, one prompt) on ImageNet" in page
    assert f"over the {pair[4]} models that both tables have" in page
    assert f"on average {pair[5].removeprefix('+')} points above MTEB's" in page
    (openai,) = [row for row in rows if row[1:2] == ["`ViT-L-14/openai`"]]
    three = "{5}, {4} and {3}".format(*openai)
    assert f"give {three} for the same weights on ImageNet" in words("README.md")
    assert f"give {three} for the same weights on ImageNet" in words("docs/tables.md")
