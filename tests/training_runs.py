"""A whole training by its config, and whether two gave the same weights."""

import torch
from safetensors.torch import load_file

from mlcd_eval.support.progress import Progress
from mlcd_train import loop
from mlcd_train.stages import TrainingRun


def run(config):
    training = TrainingRun(config, torch.device("cpu"), Progress())
    training.run()
    return load_file(training.checkpoint / "model.safetensors")


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def stop_before(step, monkeypatch, error=KeyboardInterrupt):
    """Raise an error where a training would begin a step."""
    rate = loop.learning_rate

    def stopping(number, *rest):
        if number == step:
            raise error
        return rate(number, *rest)

    monkeypatch.setattr(loop, "learning_rate", stopping)
