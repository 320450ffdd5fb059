"""Fixtures of the checks that run on the pretend device."""

import pytest


@pytest.fixture
def gpu():
    """The ledger of a pretend device that is on during the test."""
    from pretend_gpu.device import PretendCuda

    with PretendCuda()() as ledger:
        yield ledger


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a checkpoint of two towers with random weights."""
    import torch

    from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
    from mlcd_eval.encoders.towers.preprocess import Preprocess
    from mlcd_train.fit import new_model

    tower = {"image_size": 32, "patch_size": 8, "width": 48, "depth": 2, "heads": 2}
    text = {"context_length": 16, "width": 48, "depth": 2, "heads": 2}
    shape = CheckpointConfig(vision=tower, text=text, embed_dim=32, preprocess=Preprocess(image_size=32))
    folder = tmp_path_factory.mktemp("model") / "two_towers"
    save_checkpoint(folder, new_model(shape, 0, torch.device("cpu")))
    return str(folder)
