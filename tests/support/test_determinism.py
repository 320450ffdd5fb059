"""--deterministic switches PyTorch, the record says so, and afterwards everything is as before."""

import os

import torch

from mlcd_eval.records.environment import environment
from mlcd_eval.support.determinism import deterministic


def state():
    return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic


def test_only_when_wanted_and_only_within_the_block(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = state()
    with deterministic(False):
        assert state() == before and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
        assert "deterministic" not in environment("cpu")
    with deterministic(True):
        assert state() == (True, True) and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert environment("cpu")["deterministic"] == "true"
        with deterministic(False):  # as an evaluation during training
            assert state() == (True, True)
    assert state() == before


def test_what_the_user_set_for_cublas_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
