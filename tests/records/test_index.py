"""The index of a large folder: what comes from it, and what never does."""

import gc
import json
import os

import pytest
from conftest import make_result, metric

from mlcd_eval.records import ResultStore, index, read_all, store
from mlcd_eval.records.store import record_path

MODELS, TASKS = ("a", "b"), ("zeroshot/x", "knn/y", "zeroshot/é\udcff")

MACHINE = {
    "date": "2026-01-01T00:00:00+00:00", "device": "cpu", "device_name": "Z80", "cpus": 1, "threads": 1, "ranks": 1,
    "workers": 0, "batch_size": 8, "precision": "fp32", "layers": ("penultimate",),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six records, enough for an index, whose files count as settled."""
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "FEWEST", 6)
    monkeypatch.setattr(index, "SETTLED_NS", -(10**12))
    results = ResultStore(tmp_path / "records")
    for place, (model, task) in enumerate((model, task) for model in MODELS for task in TASKS):
        samples = {"key": ["x", "y"], "rank": [1, 2]} if model == "a" else None
        cost = {"images_per_s": 3.5, "images_timed": 7, "unknown": {"gflops": "no tower"}, "measured": MACHINE}
        more = {"efficiency": cost} if model == "a" else {}
        metrics = [metric("acc1", place / 10, (0.0, 1.0)), metric("acc5", None)]
        results.write(make_result(model, task, metrics, **more), samples)
    return tmp_path / "records"


@pytest.fixture
def opened(monkeypatch):
    """The record files that were read so far."""
    files, read = [], index._Index._row

    def counted(self, path, size):
        files.append(path)
        return read(self, path, size)

    monkeypatch.setattr(index._Index, "_row", counted)
    return files


def index_file(folder):
    (file,) = (folder.parent / "cache" / "records").iterdir()
    return file


def from_files(folder):
    return [store.read(path) for path in store.record_files(folder)]


def test_records_of_unchanged_files_come_from_the_index(folder, opened):
    first = read_all([folder])
    assert len(opened) == len(first) == 6
    second = read_all([folder])
    assert len(opened) == 6
    assert first == second == from_files(folder)
    assert [each.outcomes is not None for each in second] == [True] * 3 + [False] * 3
    assert [each.request_key() for each in second] == [each.request_key() for each in from_files(folder)]
    assert second[0].model_dump() == from_files(folder)[0].model_dump()
    assert second[0].model_copy(update={"seed": 1}).completed(limit=3).limit == 3


def test_records_share_what_they_have_alike(folder):
    read_all([folder])
    of_a, of_b = read_all([folder])[:3], read_all([folder])[3:]
    assert of_a[0].model is of_a[1].model and of_a[0].environment is of_a[2].environment
    assert of_a[0].model != of_b[0].model


def test_a_changed_file_is_read_even_with_its_old_size_and_time(folder, opened):
    path = record_path(folder, "a", "knn/y")
    values = json.loads(path.read_text())
    del values["checksum"]  # as of an earlier version
    path.write_text(json.dumps(values))
    before = read_all([folder])
    times = path.stat()
    path.write_text(path.read_text().replace(f"{before[0].metrics[0].value}", "0.9"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size and path.stat().st_mtime_ns == times.st_mtime_ns
    opened.clear()
    assert read_all([folder]) == from_files(folder) != before
    assert opened[0] == path


def test_new_and_removed_files_change_the_index(folder, opened):
    read_all([folder])
    ResultStore(folder).write(make_result("c", "zeroshot/x"))
    record_path(folder, "a", "knn/y").unlink()
    opened.clear()
    assert [result.model.name for result in read_all([folder])] == ["a", "a", "b", "b", "b", "c"]
    assert len(opened) == 1
    assert b"knn__y" in index_file(folder).read_bytes() and index_file(folder).read_bytes().count(b"a/knn__y") == 0


def test_a_file_that_was_just_written_is_read_again(folder, opened, monkeypatch):
    monkeypatch.setattr(index, "SETTLED_NS", 10**15)
    read_all([folder])
    read_all([folder])
    assert len(opened) == 12


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: text.replace(b"0.1", b"0.9"), lambda _: b"\xff"]
)
def test_a_damaged_index_is_not_used(folder, opened, damage):
    read_all([folder])
    file = index_file(folder)
    whole = file.read_bytes()
    assert damage(whole) != whole
    file.write_bytes(damage(whole))
    assert read_all([folder]) == from_files(folder)
    assert opened[6:12] == opened[:6]
    assert file.read_bytes() == whole  # and it is written anew


def test_an_index_of_other_fields_is_not_used(folder, opened, monkeypatch):
    read_all([folder])
    monkeypatch.setattr(index, "_header", lambda: b"0" * 64)
    read_all([folder])
    assert len(opened) == 12


def test_a_cache_that_cannot_be_written_to_costs_time_alone(folder, opened, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "file"))
    assert read_all([folder]) == read_all([folder])
    assert len(opened) == 12


def test_small_folders_have_no_index_and_no_folder_of_records_gets_a_file(folder, monkeypatch):
    before = sorted(folder.rglob("*"))
    read_all([folder])
    assert sorted(folder.rglob("*")) == before
    index_file(folder).unlink()
    monkeypatch.setattr(index, "FEWEST", 7)
    read_all([folder])
    assert not list((folder.parent / "cache" / "records").iterdir())


def test_reading_does_without_the_search_for_garbage_and_leaves_it_as_it_was(folder, monkeypatch):
    during, read = [], index._Index._row

    def watched(self, path, size):
        during.append(gc.isenabled())
        return read(self, path, size)

    monkeypatch.setattr(index._Index, "_row", watched)
    assert gc.isenabled()
    read_all([folder])
    assert gc.isenabled() and set(during) == {False}
    gc.disable()
    try:
        index_file(folder).unlink()
        read_all([folder])
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_index_without_news_is_not_written_again(folder, monkeypatch):
    read_all([folder])
    monkeypatch.setattr(index, "atomic_write", lambda _: pytest.fail("nothing is new"))
    assert len(read_all([folder])) == 6


def test_a_file_settles_by_its_newer_time(folder, opened, monkeypatch):
    """A file that was just written with an old time of modification may change again."""
    monkeypatch.setattr(index, "SETTLED_NS", 10**10)
    for path in store.record_files(folder):
        os.utime(path, ns=(0, 0))
    read_all([folder])
    read_all([folder])
    assert len(opened) == 12


def test_an_index_is_for_a_thousand_records(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "cache"))
    with index.indexed(tmp_path, [tmp_path / "x"] * 999, store.read) as read:
        assert read is store.read
    with index.indexed(tmp_path, [tmp_path / "x"] * 1000, store.read) as read:
        assert read is not store.read


@pytest.mark.parametrize(("after", "kept"), [(2_000_000_000, 0), (2_000_000_001, 1)])
def test_a_file_is_settled_two_seconds_after_its_last_change(folder, monkeypatch, after, kept):
    path = record_path(folder, "a", "knn/y")
    newest = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    monkeypatch.setattr(index, "SETTLED_NS", 2_000_000_000)
    monkeypatch.setattr(index.time, "time_ns", lambda: newest + after)
    of_folder = index._Index(folder, [], store.read)
    of_folder.read(path)
    assert len(of_folder._lines) == kept
