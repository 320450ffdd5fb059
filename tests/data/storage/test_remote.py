import base64
import contextlib
import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage import remote, transfer
from mlcd_eval.errors import DataError

HUB_REPOSITORY = "/datasets/org/wds_pets"


@pytest.fixture
def server(pets, monkeypatch):
    """Serves `pets` at /plain/ and, as the hub does, below HUB_REPOSITORY; misbehaves as its attributes say.

    failures: answers that are 503 first. cut: tar bodies end after so many bytes. ranges: whether Range is honoured.
    headers: on tar files. status: of everything. shift: by how much an answer to Range is off; etag_of_rest: its ETag.
    drip: seconds per byte of a tar file. log: (method, path, Authorization, Range) of each request.
    """
    state = SimpleNamespace(failures=0, cut=None, ranges=False, headers={}, status=200, log=[])
    state.shift, state.etag_of_rest, state.drip, state.headers_of_failures = 0, None, 0, {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.log.append((self.command, self.path, self.headers["Authorization"], self.headers["Range"]))
            if state.failures:
                state.failures -= 1
                return self.answer(503, **state.headers_of_failures)
            if state.status != 200:
                return self.answer(state.status)
            for prefix in ("/plain/", f"{HUB_REPOSITORY}/raw/main/", "/storage/", f"{HUB_REPOSITORY}/raw/v2/"):
                if self.path.startswith(prefix):
                    return self.send_path(pets / self.path.removeprefix(prefix))
            if self.path.startswith(f"{HUB_REPOSITORY}/resolve/"):
                name = self.path.removeprefix(f"{HUB_REPOSITORY}/resolve/").partition("/")[2]
                sha256 = hashlib.sha256((pets / name).read_bytes()).hexdigest()
                location = state.storage + f"/storage/{name}"
                return self.answer(
                    302, **{"Location": location, "X-Linked-ETag": f'"{sha256}"', "ETag": '"of the hub"'}
                )
            return self.answer(404)

        do_HEAD = do_GET

        def send_path(self, path):
            if not path.is_file():
                return self.answer(404)
            contents, status, start = path.read_bytes(), 200, 0
            headers = dict(state.headers) if path.suffix == ".tar" else {}
            if state.ranges and self.headers["Range"] and self.headers["If-Range"] == headers.get("ETag"):
                start, status = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")), 206
            if status == 206:
                first = start + state.shift
                headers["Content-Range"] = f"bytes {first}-{len(contents) - 1}/{len(contents)}"
                headers["ETag"] = state.etag_of_rest or headers["ETag"]
                start = first
            return self.answer(status, contents[start:], **headers)

        def answer(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET" and self.path.endswith(".tar") and state.drip:
                with contextlib.suppress(OSError):
                    for position in range(len(body)):
                        time.sleep(state.drip)
                        self.wfile.write(body[position : position + 1])
            elif self.command == "GET":
                self.wfile.write(body[: state.cut] if self.path.endswith(".tar") else body)

        def log_message(self, *args):
            pass

    monkeypatch.setattr(transfer, "BACKOFF", 0.001)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        state.storage = f"http://localhost:{http.server_port}"  # another host, as the hub's storage is
        monkeypatch.setenv("HF_ENDPOINT", state.url)
        yield state
        http.shutdown()


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
