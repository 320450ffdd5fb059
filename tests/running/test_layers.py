"""Layers inside a tower from the command line: a run, its record, what the plan says of the disk, and mistakes."""

import json

import numpy as np
import pytest
import torch

from mlcd_eval.cli import main
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint
from mlcd_eval.records import read_all


@pytest.fixture
def words(tmp_path):
    """--model, --tasks and folders for a ViT of two blocks on 40 images of each split."""
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 2, "heads": 2}
    preprocess = {"image_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"vision": vision, "preprocess": preprocess, "embed_dim": 8}
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "vit", DualEncoder(CheckpointConfig.model_validate(config)))
    folders = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    tasks = ["--tasks", "linear_probe/demo_clipart", "--limit", "40", "--device", "cpu"]
    return ["--model", str(tmp_path / "vit"), *tasks, *folders]


def test_all_layers_are_probed_kept_in_fp16_and_their_size_was_said(words, tmp_path, capsys):
    chosen = [*words, "--set", "layers=all"]
    assert main(["plan", *chosen]) == 0
    assert "train: blocks in fp16, of a size that is known once it is loaded" in capsys.readouterr().out
    assert main(["run", *chosen, "--workers", "0"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert record.task.settings["layers"] == "all" and record.details["features_in_fp16"] == ["blocks"]
    assert [line["layer"] for line in record.details["layers"]][5:] == ["block_2/cls+mean", "penultimate"]
    capsys.readouterr()
    assert main(["plan", *chosen]) == 0
    out = capsys.readouterr().out
    assert "vit  demo_clipart/train: blocks takes 0.1 KB per image of the disk in fp16, 0.0 MB in all\n" in out
    assert main(["plan", *chosen, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["features"]
    arrays = [np.load(path, mmap_mode="r") for path in tmp_path.rglob("features.npy")]
    assert sorted(each["bytes_per_image"] * each["images"] for each in said) == sorted(a.nbytes for a in arrays)
    assert sorted({each["layer"] for each in said}) == ["blocks", "penultimate", "projected"]


@pytest.mark.parametrize("layer", ["block_2/cls+mean", "last_2/cls+mean"])
def test_one_layer_of_a_tower(words, tmp_path, layer):
    assert main(["run", *words, "--set", f"layer={layer}", "--workers", "0"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert record.details["features_in_fp16"] == [layer] and 0 <= record.primary.value <= 1


def test_a_record_says_what_an_image_cost_when_its_features_were_made(words, tmp_path):
    """The second task encodes nothing and states the first one's figures."""
    assert main(["run", *words, "--workers", "0"]) == 0
    assert main(["run", *words, "--tasks", "knn/demo_clipart", "--embedding", "binary", "--workers", "0"]) == 0
    probe, knn = sorted(read_all([tmp_path / "out"]), key=lambda record: record.task.name, reverse=True)
    assert knn.timing.images_encoded == 0 and knn.efficiency.measured == probe.efficiency.measured
    assert (probe.efficiency.bytes_per_embedding, knn.efficiency.bytes_per_embedding) == (4 * 16, 2)
    tokens, width, patch = 5, 16, 3 * 8 * 8
    blocks = 2 * (12 * width * width * tokens + 2 * tokens * tokens * width)
    head = (tokens - 1) * patch * width + width * 8  # patches go in; the pooled feature is projected
    per_patch = (tokens - 1) * width * 8  # and so are the patches
    assert probe.efficiency.gflops in [2 * (blocks + head + more) / 1e9 for more in (0, per_patch)]
    assert probe.efficiency.num_params == probe.model.num_params


def test_a_layer_that_the_tower_lacks_is_one_sentence_with_its_layers(words, capsys):
    assert main(["run", *words, "--set", "layer=block_3/cls"]) == 2
    said = capsys.readouterr().err
    assert "linear_probe/demo_clipart needs layer 'block_3/cls': got model" in said
    assert "with penultimate, patches, projected, projected_patches; value_patches, blocks, " in said
    assert "block_1 to block_2 and last_1 to last_2 with /cls, /mean, /cls+mean" in said


@pytest.mark.parametrize("task", ["linear_probe/demo_clipart", "knn/demo_clipart", "clustering/demo_clipart"])
@pytest.mark.parametrize(("layer", "what"), [("blocks", "every block"), ("patches", "every patch")])
def test_a_layer_of_several_vectors_is_one_sentence(words, capsys, task, layer, what):
    assert main(["plan", *words, "--tasks", task, "--set", f"layer={layer}"]) == 2
    said = capsys.readouterr().out
    assert f"settings of {task}: 'layer' is '{layer}', expected a layer of one vector per image" in said
    assert what in said.splitlines()[0]


def test_a_model_without_blocks_has_no_best_layer(words, capsys):
    words = ["--model", "timm:resnet10t?init=random", *words[2:]]
    assert main(["run", *words, "--set", "layers=all"]) == 2
    assert "needs layer 'blocks': got model 'timm:resnet10t?init=random' with penultimate, patches" in (
        capsys.readouterr().err
    )


def test_a_plan_says_what_a_patch_takes(words, tmp_path, capsys):
    chosen = [*words, "--tasks", "depth_linear/demo", "--limit", "3"]
    assert main(["plan", *chosen]) == 0
    assert "densedemo_depth/test: patches in fp32, of a size that is known once it is loaded" in capsys.readouterr().out
    assert main(["run", *chosen, "--workers", "0", "--set", "lambda_=1.0"]) == 0
    capsys.readouterr()
    assert main(["plan", *chosen, "--set", "lambda_=1.0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["features"]
    grids = [
        each for path in tmp_path.rglob("features.npy") for each in [np.load(path, mmap_mode="r")] if each.ndim == 4
    ]
    per_patch = [each["bytes_per_patch"] * each["images"] for each in said]
    assert sorted(grid[:, 0, 0].nbytes for grid in grids) == sorted(per_patch) and len(said) == 2
    assert main(["plan", *chosen, "--set", "lambda_=1.0"]) == 0
    words_of = "vit  densedemo_depth/test: patches takes 0.1 KB per patch of the disk in fp32, 0.0 MB times patches\n"
    assert words_of in capsys.readouterr().out
