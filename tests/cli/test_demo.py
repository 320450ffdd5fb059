"""`mlcd-eval demo`, and the model that it runs."""

import csv
import json
from pathlib import Path

import pytest
from conftest import make_result, metric
from safetensors import safe_open

import mlcd_train
from mlcd_eval.cli import demo, main
from mlcd_eval.records import read_all
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import demo_model_dir
from mlcd_eval.tables.comparison.chance import chance
from mlcd_train.config import load_config


def test_the_table_has_chance_beside_each_number():
    retrieval = make_result(task="retrieval/demo", metrics=[metric("text_to_image_recall@5", 0.25)])
    retrieval = retrieval.model_copy(update={"details": {"num_images": 100}})
    lines = demo.table([make_result(), retrieval]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:5]] == [
        "zeroshot/demo",
        "acc1",
        "45.25 [40.0, 50.1]",
        "25.00",
    ]
    assert [cell.strip() for cell in lines[3].split("|")[1:5]] == [
        "retrieval/demo",
        "text_to_image_recall@5",
        "25.00",
        "5.00",
    ]


def test_every_task_is_on_bundled_data():
    index = TaskIndex.load()
    assert {task.name for task in index.select([demo.SUITE])} < {task.name for task in index.select(["demo"])}


def test_the_model_is_small_and_its_record_is_beside_it():
    folder = demo_model_dir()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 20e6
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {"torch.float16"}  # noqa: SIM118
    provenance = json.loads((folder / "config.json").read_text())["provenance"]
    config = load_config(Path(mlcd_train.__file__).parent / "configs/demo_model.yaml")
    assert json.loads(provenance["config"])["model"] == config.model_dump(mode="json", exclude_none=True)["model"]
    losses = [float(row["loss"]) for row in csv.DictReader((folder / "losses.csv").open())]
    assert losses[0] > 4.5 > 3 > losses[-1]
    record = (folder / "README.md").read_text()
    assert all(word in record for word in ("public domain", "Apache-2.0", "CC-BY 4.0", "mlcd-train", "seed"))


@pytest.mark.slow
def test_it_is_better_than_chance_everywhere(tmp_path, capsys):
    out, cache = tmp_path / "out", tmp_path / "cache"
    assert main(["demo", "--output", str(out), "--cache", str(cache)]) == 0
    assert "linear_probe/demo_clipart" in capsys.readouterr().out
    results = read_all([out])
    assert len(results) == 4
    for result in results:
        assert result.primary.ci95[0] > 1.5 * chance(result, result.primary), result.task.name
