"""Records of every harness in one folder: a leaderboard of all in every format, in which no two share a key."""

import contextlib
import io
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.records import ResultStore, read_all
from mlcd_eval.tables.formats import ROWS, render
from mlcd_eval.tables.identity import identity
from mlcd_eval.tables.site import entries

SEGMENTS = {
    "dataset": "refcoco",
    "split_name": "val",
    "sample_id": "1",
    "intersection": [9.0, 30],
    "accuracy_iou": [0.9, 0.75],
    "union": [10.0, 40],
    "model_id": "runs/MLCD-Seg",
    "question_type": "seg_single",
}
FILES = {
    "clip-benchmark": ["clip_zeroshot.json", "clip_retrieval.json", "clip_probe.json"],
    "open_clip": ["openclip_results.csv", "openclip_retrieval_results.csv"],
    "lm-eval": ["results_2026-09-25T12-24-19.123456.json"],
    "lmms-eval": ["20260925_122419_results.json"],
    "vlmevalkit": ["InternVL-Chat_ChartQA_TEST_acc.json", "InternVL-Chat_DocVQA_VAL_acc.csv"],
    "mteb": ["mteb"],
    "dinov2": ["results_eval_linear.json"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of every harness, and ours of a task that one of them has too."""
    golden, root = Path(__file__).parent / "golden", tmp_path_factory.mktemp("kinds")
    (root / "result.jsonl").write_text(json.dumps(SEGMENTS) + "\n")
    files = {harness: [golden / name for name in names] for harness, names in FILES.items()}
    files["mlcd-seg"] = [root / "result.jsonl"]
    assert set(files) == set(HARNESSES.built_in)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for harness, paths in files.items():
            name = ["--name", "dino@dinov2"] if harness == "dinov2" else []
            output = ["--output", str(root / "runs")]
            assert main(["import", harness, *map(str, paths), *output, *name]) == 0
    ResultStore(root / "runs").write(
        make_result("tiny_clip_tiny@clip-benchmark", "zeroshot/cifar10", [metric("acc1", 0.5)])
    )
    return root / "runs"


@pytest.fixture(scope="module")
def results(folder):
    return read_all([folder])


def test_every_harness_is_there(results):
    harnesses = {result.task.settings.get("harness") for result in results}
    assert len(harnesses) == len(HARNESSES.built_in) + 1  # and ours, which names none
    assert len({(result.model.name, identity(result)) for result in results}) == len(results)


@pytest.mark.parametrize("form", [form for form, row in ROWS.items() if not row.one_model])
def test_one_leaderboard_of_all_in_every_format(form, results, folder):
    text = render(results, form, paths=[folder], allow_partial=True)
    named = {result.model.name for result in results}
    assert not [name for name in named if name not in text and name.replace("_", r"\_") not in text]


def test_no_two_numbers_share_a_key(results):
    numbers = sum(value.value is not None for result in results for value in result.metrics)
    rows = json.loads(render(results, "json"))
    tidy = Counter((row["model"], row["task"], row["variant"], row["metric"]) for row in rows)
    assert tidy.most_common(1)[0][1] == 1 and len(tidy) == len(rows)
    boards = json.loads(render(results, "pwc-submission", allow_partial=True))
    assert len({(board["task"], board["dataset"]) for board in boards}) == len(boards)
    listed = {
        (board["task"], board["dataset"], row["methodology"], name)
        for board in boards
        for row in board["results"]
        for name in row["metrics"]
    }
    places = [len(entry.tasks) for entry in entries(results)]
    assert (len(places), len(listed)) == (numbers, sum(places))
    for name in {result.model.name for result in results}:
        mine = [result for result in results if result.model.name == name]
        (entry,) = yaml.safe_load(render(mine, "model-index", allow_partial=True))["model-index"]
        blocks = [(block["dataset"]["config"], block["dataset"].get("split")) for block in entry["results"]]
        assert len(blocks) == len(set(blocks)) == len(mine)
