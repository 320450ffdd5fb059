"""Which GPU and how many cores a rank takes."""

import os

import pytest
import torch

from mlcd_eval.errors import ConfigError
from mlcd_eval.features.workers import default_workers
from mlcd_eval.support.device import rank_device, usable_cores


@pytest.mark.parametrize(("local", "visible", "expected"), [(0, 8, 0), (3, 8, 3), (3, 1, 0)])
def test_a_rank_takes_the_gpu_that_it_sees(local, visible, expected, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    assert rank_device() == torch.device("cuda", expected)


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"LOCAL_RANK: got 2, .* sees 2 GPUs, expected at most one process per GPU"):
        rank_device()


def test_ranks_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(32)), raising=False)
    assert usable_cores() == 32 and default_workers(torch.device("cuda")) == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert usable_cores() == 4 and default_workers(torch.device("cuda")) == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert usable_cores() == 1 and default_workers(torch.device("cuda")) == 1
