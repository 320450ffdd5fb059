"""Tar files from a server that cuts connections, and from a bucket: read through a bounded cache."""

import os
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from types import SimpleNamespace

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from mlcd_eval.data.storage import transfer
from mlcd_eval.data.storage.location import ForbiddenError
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.progress import Progress
from mlcd_train.data.batches import Share
from mlcd_train.data.pixels import pixel_batches
from mlcd_train.data.shard_cache import ShardCache
from mlcd_train.data.source import open_training_data
from mlcd_train.data.storage import Bucket
from mlcd_train.runlog import read_log
from mlcd_train.sections import DataConfig
from mlcd_train.stages import TrainingRun

PREPROCESS = Preprocess(image_size=16)


def keys_and_pixels(train, cache, count=6, workers=0):
    config = DataConfig(train=train, shuffle=7, shard_cache=0.001, workers=workers)
    split = open_training_data(config, cache, captions=True)
    with closing(pixel_batches(split, config, PREPROCESS, Share(8), 0)) as stream:
        return [(list(batch.keys), batch.images) for batch in islice(stream, count)]


def same(first, second):
    for (keys, pixels), (others, other_pixels) in zip(first, second, strict=True):
        assert keys == others and torch.equal(pixels, other_pixels)


@pytest.fixture
def server(pairs, monkeypatch):
    """Serves the pairs; every answer but each third is cut after some bytes. cuts: how many were. version: the ETag."""
    state = SimpleNamespace(cuts=0, asked=0, version="1", missing=(), forbidden="no such name")
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = pairs / self.path.lstrip("/")
            if not path.is_file() or path.name in state.missing or state.forbidden in path.name:
                self.send_response(403 if state.forbidden in path.name else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            contents, start = path.read_bytes(), 0
            if self.headers["Range"]:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{state.version}"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
            self.send_header("Content-Length", str(len(contents) - start))
            self.end_headers()
            if self.command == "GET":
                state.asked += 1
                state.cuts += (is_cut := state.asked % 3 != 0)
                self.wfile.write(contents[start : start + 5000] if is_cut else contents[start:])
                self.close_connection = True

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{httpd.server_port}"
        yield state
        httpd.shutdown()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_that_cuts_connections_changes_nothing(pairs, server, tmp_path, workers):
    remote = keys_and_pixels(f"tars:{server.url}/train/{{0..3}}.tar", tmp_path, workers=workers)
    same(remote, keys_and_pixels(f"tars:{pairs}/train/{{0..3}}.tar", None))
    assert server.cuts > 4


def test_a_run_over_a_server_that_cuts_connections_is_that_over_a_folder(pairs, server, make_config):
    losses = {}
    for name, place in (("local", pairs), ("remote", server.url)):
        changes = (f"data.train=tars:{place}/train/{{0..3}}.tar", "data.shard_cache=0.001")
        config = make_config(*changes, "data.workers=2", "fit.steps=6", objective="clip", name=name)
        TrainingRun(config, torch.device("cpu"), Progress()).run()
        losses[name] = [line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")]
    assert losses["remote"] == losses["local"] and len(losses["local"]) == 6 and server.cuts > 4


def test_a_download_begins_once_before_its_file_is_read(server, tmp_path):
    config = DataConfig(train=f"tars:{server.url}/train/{{0..1}}.tar", shard_cache=0.001)
    split = open_training_data(config, tmp_path, captions=True)
    split.scan()
    shard = split.shards[1].shard
    shard.prefetch()
    coming = shard._coming
    shard.prefetch()
    assert coming is not None and shard._coming is coming
    coming.result(timeout=60)
    asked = server.asked
    with closing(shard.opened()):
        assert server.asked == asked and shard._coming is None


def test_a_remote_file_that_changed_or_went_since_the_scan(server, tmp_path):
    train = f"tars:{server.url}/train/{{0..3}}.tar"
    config = DataConfig(train=train, shuffle=1, shard_cache=0.001, allow_bad=0.25)
    split = open_training_data(config, tmp_path, captions=False)
    for path in (tmp_path / "shards").glob("*.tar"):
        path.unlink()
    server.missing = ("2.tar",)
    batches = list(islice(pixel_batches(split, config, PREPROCESS, Share(8), 0), 5))
    assert sum(bad.reason == "missing shard" for batch in batches for bad in batch.bad) == 10
    for path in (tmp_path / "shards").glob("*.tar"):
        path.unlink()
    server.missing, server.version = (), "2"
    with pytest.raises(DataError, match="tar changed since it was scanned: run the same command again"):
        next(pixel_batches(split, config, PREPROCESS, Share(8), 0))


def test_a_server_that_forbids_says_which_key_is_missing(server, tmp_path):
    train = f"tars:{server.url}/train/{{0..3}}.tar"
    server.forbidden = ".json"  # as S3 answers for files that are not there, to whom may not list
    assert open_training_data(DataConfig(train=train), tmp_path, False).size == 40
    server.forbidden = ".tar"
    with pytest.raises(
        DataError, match=r"0.tar: got HTTP status 403, expected 200 \(private data needs an address with"
    ):
        open_training_data(DataConfig(train=train), tmp_path / "other", False)


def test_keys_that_end_during_training_stop_it_with_a_sentence(server, tmp_path):
    """What was trained is in the last state; with the keys again, the same command goes on."""
    config = DataConfig(train=f"tars:{server.url}/train/{{0..3}}.tar", shuffle=1, shard_cache=1e-6, workers=1)
    split = open_training_data(config, tmp_path, captions=False)
    for path in (tmp_path / "shards").glob("*.tar"):
        path.unlink()
    server.forbidden = ".tar"
    stopped = closing(pixel_batches(split, config, PREPROCESS, Share(8), 0))
    with stopped as stream, pytest.raises(DataError, match="got HTTP status 403"):
        next(stream)
    server.forbidden = "no such name"
    with closing(pixel_batches(split, config, PREPROCESS, Share(8), 0)) as stream:
        assert len(next(stream).keys) == 8


class KeylessBucket(MemoryFileSystem):
    """Answers as s3fs does without credentials."""

    protocol = "keyless"

    def info(self, path, **options):
        raise RuntimeError("Unable to locate credentials")


def test_a_bucket_without_credentials(tmp_path):
    fsspec.register_implementation("keyless", KeylessBucket, clobber=True)
    message = (
        r"keyless://bucket/0.tar cannot be read: got RuntimeError: Unable to locate credentials \(credentials are loo"
    )
    with pytest.raises(DataError, match=message):
        open_training_data(DataConfig(train="tars:keyless://bucket/0.tar"), tmp_path, False)


def test_a_bucket_is_read_like_a_folder(pairs, tmp_path):
    bucket = fsspec.filesystem("memory")
    for number in range(4):
        bucket.pipe(f"memory://bucket/{number}.tar", (pairs / "train" / f"{number}.tar").read_bytes())
    local = keys_and_pixels(f"tars:{pairs}/train/*.tar", None)
    same(keys_and_pixels("tars:memory://bucket/*.tar", tmp_path), local)
    same(keys_and_pixels("tars:memory://bucket/{0..3}.tar", tmp_path), local)
    bucket.pipe("memory://bucket/0_stats.json", b'{"successes": 10}')
    assert open_training_data(DataConfig(train="tars:memory://bucket/0.tar"), tmp_path, False).size == 10
    with pytest.raises(DataError, match=r"there is no file memory://bucket/9.tar"):
        open_training_data(DataConfig(train="tars:memory://bucket/9.tar"), tmp_path, False)


def test_commands_are_read_like_a_folder(pairs, tmp_path):
    local = keys_and_pixels(f"tars:{pairs}/train/*.tar", None)
    same(keys_and_pixels(f"tars:pipe:cat {pairs}/train/{{0..3}}.tar", tmp_path), local)
    with pytest.raises(ConfigError, match="remote tar files are read through copies"):
        open_training_data(DataConfig(train=f"tars:pipe:cat {pairs}/train/0.tar"), None, False)


def test_a_command_that_fails_at_the_end_leaves_no_copy(pairs, tmp_path):
    script = tmp_path / "half.sh"
    script.write_text(f"cat {pairs}/train/0.tar; echo the bucket is gone >&2; exit 3")
    with pytest.raises(DataError, match=r"half.sh failed with exit code 3: the bucket is gone$"):
        open_training_data(DataConfig(train=f"tars:pipe:sh {script}"), tmp_path / "cache", False)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_cache_is_bounded_and_what_is_open_is_read_on(pairs, tmp_path):
    bucket = fsspec.filesystem("memory")
    size = 0
    for number in range(4):
        contents = (pairs / "train" / f"{number}.tar").read_bytes()
        bucket.pipe(f"memory://few/{number}.tar", contents)
        size = max(size, len(contents))
    split = open_training_data(DataConfig(train="tars:memory://few/*.tar"), tmp_path / "scan", captions=False)
    cache = ShardCache(tmp_path / "copies", 2 * size)
    files = [cache.copy_of(shard.shard.folder, shard.name, shard.result.fingerprint) for shard in split.shards]
    kept = {path.stat().st_ino for path in (tmp_path / "copies").glob("*.tar")}
    inodes = [os.fstat(file.fileno()).st_ino for file in files]
    assert len(kept) < 4 and inodes[-1] in kept and inodes[0] not in kept
    for number, file in enumerate(files):
        assert file.read() == (pairs / "train" / f"{number}.tar").read_bytes()


@pytest.mark.parametrize("method", ["matching", "has", "read_text", "digest", "open"])
def test_what_storage_answers_badly_is_a_sentence(monkeypatch, method):
    bucket = Bucket("memory://bad/")
    for name in ("glob", "exists", "cat_file", "info", "open"):
        monkeypatch.setattr(bucket._files, name, _forbidden)
    with pytest.raises(ForbiddenError, match=r"^memory://bad/x cannot be read: got PermissionError: not you \("):
        getattr(bucket, method)("memory://bad/x" if method == "matching" else "x")


def _forbidden(*_):
    raise PermissionError("not you\nnor others")


def test_a_text_of_a_bucket_that_is_not_there_or_no_text():
    bucket = Bucket("memory://texts")
    assert bucket.read_text("x.json") is None and not bucket.has("x.json")
    fsspec.filesystem("memory").pipe("memory://texts/x.json", b"\xff")
    with pytest.raises(DataError, match=r"memory://texts/x\.json.* UTF-8"):
        bucket.read_text("x.json")


def test_storage_that_cannot_be_set_up_is_a_sentence(monkeypatch):
    monkeypatch.setattr(fsspec, "filesystem", _forbidden)
    with pytest.raises(ForbiddenError, match=r"^memory://texts cannot be read: got PermissionError: not you"):
        Bucket("memory://texts")


def test_a_copy_that_is_deleted_or_cut_each_time(pairs, tmp_path, monkeypatch):
    files = fsspec.filesystem("memory")
    files.pipe("memory://copies/0.tar", (pairs / "train" / "0.tar").read_bytes())
    digest = Bucket("memory://copies").digest("0.tar").value
    downloads = []
    with monkeypatch.context() as patch:
        patch.setattr(ShardCache, "_download", lambda self, *of: downloads.append(of[1]))
        with pytest.raises(
            DataError, match=r"copies are deleted before they are read, expected a larger data.shard_cache"
        ):
            ShardCache(tmp_path, 1).copy_of("memory://copies", "0.tar", digest)
    assert downloads == ["0.tar"] * 3
    monkeypatch.setattr("mlcd_train.data.shard_cache.shutil.copyfileobj", _cut)
    with pytest.raises(DataError, match=r"^memory://copies/0\.tar was cut short: TimeoutError: no answer$"):
        ShardCache(tmp_path, 1 << 30).copy_of("memory://copies", "0.tar", digest)
    assert list(tmp_path.glob("*.tar")) == []


def _cut(*_):
    raise TimeoutError("no answer")
