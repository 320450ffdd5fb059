"""Servers and files that cannot be used."""

import socket

import pytest
from remote_shards import HUB_REPOSITORY

from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage import transfer
from mlcd_eval.errors import DataError


def test_missing_shard(server, pets):
    (pets / "test" / "nshards.txt").write_text("2")
    split = open_dataset(f"wds:{server.url}/plain").split("test")
    server.headers["ETag"] = '"v1"'
    with pytest.raises(DataError, match=r"cannot read .*/test/1.tar: got HTTP status 404, expected 200"):
        split.scan()
    with pytest.raises(DataError, match="got HTTP status 404"):
        list(split.shards[1].samples())


def test_unidentified_contents(server):
    with pytest.raises(DataError, match="cannot be identified: its server gives neither ETag nor Last-Modified"):
        open_dataset(f"wds:{server.url}/plain").split("test").scan()


def test_refused(server):
    server.status = 401
    with pytest.raises(DataError, match=r"got HTTP status 401, expected 200 \(private data needs HF_TOKEN\)"):
        open_dataset(f"wds:{server.url}{HUB_REPOSITORY}")


def test_nothing_there(server):
    with pytest.raises(DataError, match=r"/nowhere is not in clip-benchmark's layout"):
        open_dataset(f"wds:{server.url}/nowhere")
    with pytest.raises(DataError, match=r"is not a dataset of the hub: expected http://.*/datasets/ORG/NAME"):
        open_dataset(f"wds:{server.url}/datasets/pets")


def test_unreachable(monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(DataError, match=rf"cannot reach http://127\.0\.0\.1:{port}/x/dataset_type\.txt: .*refused"):
            open_dataset(f"wds:http://127.0.0.1:{port}/x")


def test_offline():
    with pytest.raises(
        DataError, match="https://host/x is on the network, and this run is offline: expected a local folder"
    ):
        open_dataset("wds:https://host/x", offline=True)
