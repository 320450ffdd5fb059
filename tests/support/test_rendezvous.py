"""How ranks find each other: the attempt before a restart must not be mistaken for this one."""

from datetime import timedelta

import pytest
import torch
from torch.distributed import TCPStore

from mlcd_eval.errors import ConfigError
from mlcd_eval.support import distributed


@pytest.fixture
def store(monkeypatch, unused_port):
    """The store that torchrun keeps over its restarts, and this process as rank 0 of two in the second attempt."""
    monkeypatch.setattr(distributed, "ARRIVE", timedelta(seconds=1))
    variables = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": unused_port}
    variables |= {"TORCHELASTIC_RESTART_COUNT": 1, "TORCHELASTIC_USE_AGENT_STORE": True}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return TCPStore("127.0.0.1", unused_port, 2, is_master=True, wait_for_workers=False, multi_tenant=True)


def test_a_rank_of_the_attempt_before_has_not_arrived_in_this_one(store):
    store.set("attempt 0/rank 0", "here")
    store.set("attempt 0/rank 1", "here")
    with pytest.raises(ConfigError, match="torchrun: rank 1 did not start within 0:00:01, expected all 2 ranks"):
        distributed._arrived()
    store.set("attempt 1/rank 1", "here")
    arrived, rank, size = distributed._arrived()
    assert (rank, size) == (0, 2)
    arrived.set("address", "new")
    assert store.get("attempt 1/address") == b"new" and not store.check(["attempt 0/address"])


def test_an_address_at_which_nobody_listens_is_named(store, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(ConfigError, match=r"torchrun: the ranks did not meet at 127\.0\.0\.1:1 within 0:00:01"):
        distributed._arrived()


def test_two_ranks_that_see_one_gpu_are_refused(store):
    store.set("attempt 1/rank 1", "GPU 7 of node1")
    assert distributed._arrived("GPU 6 of node1")[1:] == (0, 2)
    sentence = "torchrun: rank 0 and rank 1 see only GPU 7 of node1, expected at most one process per GPU"
    with pytest.raises(ConfigError, match=sentence):
        distributed._arrived("GPU 7 of node1")


def test_a_gpu_is_known_by_its_machine_and_number(monkeypatch):
    properties = type("Properties", (), {"uuid": "abc"})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(distributed.socket, "gethostname", lambda: "node1")
    assert distributed._identity(torch.device("cuda", 0)) == "GPU abc of node1"
    assert distributed._identity(torch.device("cpu")) == ""
