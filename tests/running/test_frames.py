"""Images at another size than the model's own, from the command line to the record and the feature store."""

import json

import numpy as np
import pytest
import torch

from mlcd_eval.cli import main
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint
from mlcd_eval.records import read_all


@pytest.fixture
def words(tmp_path):
    """A command for a ViT of two blocks on some scenes."""
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 2, "heads": 2}
    config = {"vision": vision, "preprocess": {"image_size": 16}}
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "vit", DualEncoder(CheckpointConfig.model_validate(config)))
    folders = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    tasks = ["--tasks", "region_retrieval/demo", "--limit", "30", "--device", "cpu", "--workers", "0"]
    return ["run", "--model", str(tmp_path / "vit"), *tasks, *folders]


def grids(folder):
    """The grids of the feature store."""
    arrays = [np.load(path, mmap_mode="r") for path in folder.rglob("features.npy")]
    return sorted(array.shape[1:3] for array in arrays if array.ndim == 4)


def test_a_larger_grid_is_kept_beside_the_own_and_said(words, tmp_path):
    assert main(words) == 0
    [plain] = read_all([tmp_path / "out"])
    assert main([*words, "--set", "resolution=48"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert plain.details["grid"] == [2, 2] and record.details["grid"] == [6, 6]
    assert "resolution" not in {**plain.details, **plain.task.settings}
    assert record.details["resolution"] == record.task.settings["resolution"] == 48
    assert record.details["positions"] == "interpolated from 2 x 2 to 6 x 6"
    assert grids(tmp_path / "cache") == [(2, 2), (6, 6)]
    assert plain.model.fingerprint == record.model.fingerprint and plain.request_key() != record.request_key()


def test_the_own_size_encodes_nothing_again(words, tmp_path):
    assert main(words) == 0
    [plain] = read_all([tmp_path / "out"])
    assert main([*words, "--set", "resolution=16"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert record.timing.images_encoded == 0 and record.metrics == plain.metrics
    assert record.details["positions"] == "native"


def test_a_size_that_does_not_fit_is_one_sentence_before_the_encode(words, tmp_path, capsys):
    assert main([*words, "--set", "resolution=20"]) == 2
    error = capsys.readouterr().err
    assert "got resolution=20, expected a multiple of the 8 pixels of a patch" in error and "Traceback" not in error
    assert grids(tmp_path / "cache") == []


def test_windows_slide_and_are_said(words, tmp_path):
    assert main([*words, "--set", "resolution=48", "--set", "window=32"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert record.details["grid"] == [6, 6] and grids(tmp_path / "cache") == [(6, 6)]
    assert record.details["windows"] == {"side": 32, "stride": 16, "per_image": 4}
    assert record.details["positions"] == "interpolated from 2 x 2 to 4 x 4"


def test_an_oblong_frame_has_an_oblong_grid(words, tmp_path):
    assert main([*words, "--set", "resolution=16x48"]) == 0
    [record] = read_all([tmp_path / "out"])
    assert record.details["grid"] == [2, 6] and grids(tmp_path / "cache") == [(2, 6)]
    assert record.details["resolution"] == record.task.settings["resolution"] == "16x48"
    assert record.details["positions"] == "interpolated from 2 x 2 to 2 x 6"


def test_windows_without_a_size_are_one_sentence(words, capsys):
    assert main([*words, "--set", "window=16"]) == 2
    assert "window is 16 without resolution, expected both" in capsys.readouterr().err


def test_a_list_of_sizes_is_refused(words, capsys):
    assert main([*words, "--set", f"resolution={json.dumps([16, 32])}"]) == 2
    assert "resolution" in capsys.readouterr().err
