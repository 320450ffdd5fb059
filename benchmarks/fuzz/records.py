"""Readers of task files, configs, records, samples, and results of other harnesses."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import openpyxl
import torch
import yaml
from reader import TOWER, Reader

import mlcd_eval
from mlcd_eval.cli import build_parser
from mlcd_eval.cli.config import merged
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.imports.importing import import_results
from mlcd_eval.records import read, read_outcomes
from mlcd_eval.records.packing import unpacked
from mlcd_eval.spec import TaskIndex, read_spec
from mlcd_eval.support.bundled import tasks_dir
from mlcd_train.fit import new_model

GOLDEN = Path(__file__).parents[2] / "tests" / "imports" / "golden"
HARNESSES = {
    "clip": "clip-benchmark",
    "openclip": "open_clip",
    "2026": "lmms-eval",
    "results_20": "lm-eval",
    "results_lmms": "lmms-eval",
    "Inte": "vlmevalkit",
    "VLM_": "vlmevalkit",
    "vila": "vlmevalkit",
}
"""How a file's name begins -> the harness that writes such files."""
NOT_READ = ("vila_8b_COCO_VAL_score.json", "vila_8b_HallusionBench_score.csv")
"""Files of values that no task of ours has, which are refused as they are."""


INDEX = TaskIndex.load()
TaskIndex.load = lambda *_: INDEX  # the task files are not under attack here


def import_into_a_new_folder(harness: str, path: Path) -> None:
    """Import as `mlcd-eval import` does."""
    with tempfile.TemporaryDirectory() as output:
        import_results(harness, [path], Path(output))


def read_flags(path: Path) -> None:
    """Read --config as `mlcd-eval run` does, whose parser prints its own sentence with the file's name."""
    with contextlib.suppress(SystemExit):
        merged(build_parser("run").parse_args(["run", "--config", str(path)]))


def record_readers(folder: Path) -> Iterator[Reader]:
    """Readers of task files, records, samples, outcomes, and results of other harnesses."""
    datasets = TaskIndex.load().datasets
    for name in ("linear_probe/pets.yaml", "suites/demo.yaml"):
        path = folder / name.replace("/", "_")
        shutil.copy(tasks_dir() / name, path)
        yield Reader(f"task {path.name}", path, lambda path: read_spec(path, datasets))

    path = folder / "run.yaml"
    flags = {"model": ["open_clip:ViT-B-32/openai"], "tasks": "demo", "limit": 5, "output": "out", "log_samples": True}
    path.write_text(yaml.safe_dump(flags))
    yield Reader("--config", path, read_flags)

    model = new_model(CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16)), 0, torch.device("cpu"))
    save_checkpoint(folder / "model", model)
    folders = {"output": folder / "out", "cache": folder / "cache"}
    mlcd_eval.evaluate(str(folder / "model"), "knn/demo_clipart", limit=20, log_samples=True, **folders)
    (record,) = (folder / "out" / "model").glob("*.json")
    yield Reader("record", record, read)
    earlier = read(record).completed(outcomes=None)
    (path,) = (folder / "out" / "model" / "samples").glob("*.jsonl")
    yield Reader("samples", path, lambda path: read_outcomes(record, earlier))
    (path,) = (folder / "out" / "model" / "outcomes").glob("*.npz")
    yield Reader("outcomes", path, lambda path: unpacked(path.read_bytes(), path))

    book = openpyxl.Workbook()
    for row in (("index", "question", "answer", "prediction"), (0, "q", "['a', 'b']", "a"), (1, "q", "c", None)):
        book.active.append(row)
    book.save(folder / "VLM_DocVQA_VAL.xlsx")
    for source in [*sorted(GOLDEN.iterdir()), folder / "VLM_DocVQA_VAL.xlsx"]:
        harness = next((harness for start, harness in HARNESSES.items() if source.name.startswith(start)), None)
        if harness is None or source.suffix == ".jsonl" or source.name in NOT_READ:
            continue
        path = folder / source.name
        if path != source:
            shutil.copy(source, path)
        yield Reader(f"import {source.name[-30:]}", path, partial(import_into_a_new_folder, harness))
