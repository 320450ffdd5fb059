"""Too little shared memory is reported before NCCL fails for lack of it."""

import shutil
from types import SimpleNamespace

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.support import shared_memory
from mlcd_eval.support.shared_memory import check_for_nccl, check_shared_memory


@pytest.fixture
def docker(monkeypatch, tmp_path):
    """The 64 MB that Docker gives."""
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=64 << 20))


def test_one_sentence_says_what_to_do(docker):
    expected = (
        r"got 64 MB of free shared memory, expected 132 MB for NCCL between 4 ranks \(start the container with `docker"
    )
    with pytest.raises(ConfigError, match=expected):
        check_for_nccl(4)


def test_enough_is_enough(docker, monkeypatch):
    check_for_nccl(1)
    check_shared_memory(64 << 20, "batches")
    monkeypatch.setenv("NCCL_SHM_DISABLE", "1")
    check_for_nccl(8)


def test_a_machine_without_the_folder_has_no_such_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "none")
    check_for_nccl(8)
