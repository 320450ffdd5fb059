import base64

import pytest
from remote_shards import HUB_REPOSITORY

from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage import remote, transfer
from mlcd_eval.errors import DataError


def read(dataset):
    return {split: [s for shard in dataset.split(split).shards for s in shard.samples()] for split in dataset.splits}


def test_same_as_the_local_folder(server, pets):
    server.headers["ETag"] = '"an etag"'
    local, plain = open_dataset(f"wds:{pets}"), open_dataset(f"wds:{server.url}/plain/", name="pets")
    assert vars(plain).keys() == vars(local).keys()
    assert (plain.kind, plain.splits, plain.class_names, plain.templates) == (
        local.kind,
        local.splits,
        local.class_names,
        local.templates,
    )
    assert read(plain) == read(local)
    scan = plain.split("train").scan()
    assert scan.num_samples is None
    server.headers["ETag"] = f'"{"e" * 64}"'  # looks like a sha256 and is none
    changed = open_dataset(f"wds:{server.url}/plain")
    assert changed.split("train").scan().fingerprint != scan.fingerprint
    assert read(changed) == read(local)


@pytest.mark.parametrize("host", ["https://huggingface.co", "HF_ENDPOINT"])
def test_hub_layout_gives_the_local_fingerprint(server, pets, monkeypatch, host):
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub = open_dataset(f"wds:{host.replace('HF_ENDPOINT', server.url)}{HUB_REPOSITORY}")
    local = open_dataset(f"wds:{pets}")
    assert hub.name == "pets"
    for split in ("train", "test"):
        assert hub.split(split).scan().fingerprint == local.split(split).scan().fingerprint
    assert read(hub) == read(local)
    small = [path for method, path, *_ in server.log if "/raw/main/" in path]
    assert f"{HUB_REPOSITORY}/raw/main/classnames.txt" in small
    assert not any(path.endswith(".tar") for path in small)
    for _, path, authorization, _ in server.log:  # the token stays with the hub
        assert authorization == (None if path.startswith("/storage/") else "Bearer secret")


def test_revision(server):
    dataset = open_dataset(f"wds:{server.url}{HUB_REPOSITORY}/tree/v2")
    assert dataset.name == "pets"
    assert "/resolve/v2/test/0.tar" in dataset.split("test").shards[0]._location.path("test/0.tar")


def test_token_is_for_the_hub_only(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    open_dataset(f"wds:{server.url}/plain")
    assert {authorization for _, _, authorization, _ in server.log} == {None}


def test_contents_are_held_against_the_hub_sha256(server, pets):
    shard = open_dataset(f"wds:{server.url}{HUB_REPOSITORY}").split("test").shards[0]
    shard.scan()
    contents = bytearray((pets / "test" / "0.tar").read_bytes())
    contents[-1] = 1  # behind the end of the archive
    (pets / "test" / "0.tar").write_bytes(contents)
    with pytest.raises(DataError, match=r"/resolve/main/test/0\.tar changed since it was scanned: got sha256"):
        list(shard.samples())


def test_busy_server_is_asked_again(server):
    server.failures = 2
    assert open_dataset(f"wds:{server.url}/plain").splits == ("train", "test")
    server.failures = 99
    with pytest.raises(DataError, match=r"cannot read .*/plain/dataset_type.txt: got HTTP status 503, expected 200$"):
        open_dataset(f"wds:{server.url}/plain")


def test_broken_transfer_goes_on(server, pets):
    server.headers["ETag"] = '"v1"'
    server.cut, server.ranges = 3000, True
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    assert [sample.key for sample in shard.samples()] == ["s000", "s001", "s002", "s003"]
    assert [byte_range for *_, byte_range in server.log if byte_range] == ["bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_a_transfer_that_breaks_more_often_than_it_may_fail_goes_on_while_bytes_come(server):
    server.headers["ETag"] = '"v1"'
    server.cut, server.ranges = 1000, True
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    assert len(list(shard.samples())) == 4
    assert len([1 for *_, byte_range in server.log if byte_range]) > transfer.RETRIES


@pytest.mark.parametrize("shift", [-512, 512])
def test_a_part_from_another_place_is_refused(server, shift):
    server.headers["ETag"] = '"v1"'
    server.cut, server.ranges, server.shift = 3000, True, shift
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    with pytest.raises(DataError, match=f"asked for the bytes from 3000 on, the server sent bytes {3000 + shift}-"):
        list(shard.samples())


def test_a_part_of_another_file_is_refused(server):
    server.headers["ETag"] = '"v1"'
    server.cut, server.ranges, server.etag_of_rest = 3000, True, '"v2"'
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    with pytest.raises(DataError, match=r'was replaced while it was read: got "v2", expected "v1"'):
        list(shard.samples())


def test_a_file_replaced_after_its_scan_is_refused(server):
    server.headers["ETag"] = '"v1"'
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    shard.scan()
    server.headers["ETag"] = 'W/"v1"'  # as proxies weaken it: the same file
    assert len(list(shard.samples())) == 4
    server.headers["ETag"] = '"v2"'
    with pytest.raises(DataError, match=r'0\.tar changed since it was scanned: the server says "v2", expected "v1"'):
        list(shard.samples())


def test_a_server_that_asks_for_a_long_wait_is_not_obeyed(server):
    server.failures, server.headers_of_failures = 99, {"Retry-After": "100000"}
    with pytest.raises(DataError, match=r"HTTP status 503 and Retry-After: 100000, expected at most 60 seconds"):
        open_dataset(f"wds:{server.url}/plain")


def test_a_trickle_is_a_fault(server, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.2)
    server.drip = 0.01
    shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
    with pytest.raises(DataError, match=r"0\.tar is sent at \d+ bytes per second over .*, expected at least 1,000"):
        list(shard.samples())


def test_texts_and_numbers_of_shards_are_bounded(server, pets, monkeypatch):
    (pets / "train" / "nshards.txt").write_text("999999999999")
    with pytest.raises(DataError, match=r"train/nshards\.txt holds 999999999999, expected at most 1,000,000"):
        open_dataset(f"wds:{server.url}/plain")
    monkeypatch.setattr(remote, "LARGEST_TEXT", 10)
    (pets / "dataset_type.txt").write_text("classification")
    with pytest.raises(DataError, match=r"dataset_type\.txt is longer than 10 bytes"):
        open_dataset(f"wds:{server.url}/plain")


def test_a_password_is_sent_and_never_shown(server):
    address = server.url.replace("://", "://me:s%40cret@")
    dataset = open_dataset(f"wds:{address}/plain")
    assert {authorization for _, _, authorization, _ in server.log} == {
        "Basic " + base64.b64encode(b"me:s@cret").decode()
    }
    server.status = 500
    with pytest.raises(DataError) as caught:
        list(dataset.split("train").shards[0].samples())
    assert "cret" not in str(caught.value) and "127.0.0.1" in str(caught.value)


def test_a_signed_address_is_refused_without_its_signature():
    with pytest.raises(DataError, match=r"https://host/x: got an address with a query") as caught:
        open_dataset("wds:https://host/x?X-Signature=abc123")
    assert "abc123" not in str(caught.value)


def test_cut_transfer_is_an_error(server):
    server.headers["ETag"] = '"v1"'
    for cut in (3000, 10239):  # the latter misses a byte of padding only
        server.cut = cut
        shard = open_dataset(f"wds:{server.url}/plain").split("train").shards[0]
        with pytest.raises(DataError, match=rf"train/0\.tar was cut short after {cut} bytes"):
            list(shard.samples())


def test_labels_are_checked_while_streaming(server, pets, make):
    files = [*make.classification(2, 3), ("s002.png", make.image()), ("s002.cls", b"-1")]
    (pets / "test" / "0.tar").write_bytes(make.tar(files))
    shard = open_dataset(f"wds:{server.url}/plain").split("test").shards[0]
    with pytest.raises(
        DataError, match=r"sample 's002' of http://.*/test/0.tar is out of range: got -1, expected 0 to"
    ):
        list(shard.samples())
