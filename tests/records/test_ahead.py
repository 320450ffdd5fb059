"""Records that several processes read are those that one reads."""

import os
import signal

import pytest
from conftest import make_result, metric

from mlcd_eval.records import ResultStore, ahead, index, read_all, store
from mlcd_eval.records.ahead import Ahead, stamp
from mlcd_eval.records.layout import Layout
from mlcd_eval.records.parts import Parts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve records, enough for an index and for two processes."""
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "FEWEST", 1)
    monkeypatch.setattr(index, "SETTLED_NS", -(10**12))
    monkeypatch.setattr(ahead, "FEWEST", 12)
    monkeypatch.setattr(ahead, "_cores", lambda: 2)
    results = ResultStore(tmp_path / "records")
    for place in range(12):
        results.write(make_result(f"m{place % 3}", f"knn/d{place // 3}", [metric("acc1", place / 100)]))
    return tmp_path / "records"


def from_files(folder):
    return [store.read(path) for path in store.record_files(folder)]


@pytest.fixture
def here(monkeypatch):
    """The files that this process reads itself."""
    files, read = [], index._Index._row
    monkeypatch.setattr(
        index._Index, "_row", lambda self, path, size: files.append(path.name) or read(self, path, size)
    )
    return files


def test_two_processes_read_what_one_does_and_their_index_serves(folder, here):
    first = read_all([folder])
    assert first == from_files(folder) and here == []
    assert first[0].task is first[4].task and first[0].environment is first[11].environment
    assert read_all([folder]) == first and here == []


def test_what_they_cannot_read_is_read_here_and_named(folder, here):
    damaged, *_, other = store.record_files(folder)
    damaged.write_text(damaged.read_text().replace('"acc1"', '"acc2"', 1))
    other.write_text(" " + other.read_text())
    with pytest.warns(UserWarning, match="m0/knn__d0.json is damaged"):
        assert len(read_all([folder])) == 11
    assert here == [damaged.name, other.name]


def test_a_file_that_changed_after_they_read_it_is_not_theirs(folder):
    files = store.record_files(folder)
    parts = Parts([])
    read = Ahead(files, parts)
    of_files = [stamp(path.stat()) for path in files]
    assert read.row(files[0], of_files[0] + b"0") is None
    assert parts.result(read.row(files[1], of_files[1])) == store.read(files[1])
    assert read.row(files[1], of_files[1]) is None  # it was handed out


def test_a_large_or_missing_file_has_no_row(folder, monkeypatch):
    file, layout = store.record_files(folder)[0], Layout(Parts([]))
    size = file.stat().st_size
    monkeypatch.setattr(ahead, "LARGEST", size)
    assert ahead.row_of(layout, file, size) is not None and ahead._line(layout, file)[0] == stamp(file.stat())
    assert ahead.row_of(layout, file, size + 1) is None
    file.write_bytes(b"\xff")
    assert ahead.row_of(layout, file, 1) is None
    file.unlink()
    assert ahead.row_of(layout, file, 1) is None and ahead._line(layout, file) is None


def test_a_system_that_copies_no_process_reads_with_one(monkeypatch):
    monkeypatch.setattr(ahead.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert ahead._cores() == 1
    monkeypatch.undo()
    assert ahead._cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert ahead._cores() == 1


@pytest.mark.parametrize(("few", "cores"), [(13, 2), (12, 1)])
def test_few_files_or_one_core_are_read_here(folder, here, monkeypatch, few, cores):
    monkeypatch.setattr(ahead, "FEWEST", few)
    monkeypatch.setattr(ahead, "_cores", lambda: cores)
    read_all([folder])
    assert len(here) == 12


def test_a_killed_process_costs_time_alone(folder, here, monkeypatch):
    monkeypatch.setattr(ahead, "_line", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert read_all([folder]) == from_files(folder)
    assert len(here) == 12
