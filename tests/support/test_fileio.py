import errno
import fcntl
import json
import os

import pytest

from mlcd_eval.support.fileio import atomic_write, clear_leftovers, naming, write_text


def test_names_that_are_not_utf8_are_written_escaped(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")  # as Python reads such a file name
    write_text(tmp_path / "x.json", json.dumps({"key": name}, ensure_ascii=False))
    assert (tmp_path / "x.json").read_bytes() == b'{"key": "caf\\udce9.png"}'
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"key": name}


def test_a_full_disk_is_reported_with_the_file(tmp_path, monkeypatch):
    """The system's error names no file; the temporary name would say nothing either."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_text(tmp_path / "folder" / "x.json", "{}")
    assert caught.value.filename == str(tmp_path / "folder" / "x.json")


def test_another_error_keeps_its_name(tmp_path):
    with pytest.raises(OSError) as caught, naming(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere")
    assert caught.value.filename == "/elsewhere"
    with pytest.raises(TimeoutError) as caught, naming(tmp_path / "x"):
        raise TimeoutError(errno.ETIMEDOUT, "of a server")
    assert caught.value.filename is None


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_stays(tmp_path):
    path = tmp_path / "x.json"
    left, young, other = (
        tmp_path / f".{name}.{'0' * 31}{number}.tmp" for number, name in enumerate(["x.json"] * 2 + ["y"])
    )
    for file in (left, young, other):
        file.write_text("half")
    for file in (left, other):
        os.utime(file, (0, 0))
    with atomic_write(path) as file:
        file.write(b"whole")
        file.flush()
        (writing,) = (each for each in tmp_path.glob(".x*") if each not in (left, young))
        os.utime(writing, (0, 0))
        clear_leftovers(path)
        assert not left.exists() and young.exists() and other.exists() and writing.exists()
    assert path.read_bytes() == b"whole" and not writing.exists()
    clear_leftovers(tmp_path / "no" / "x.json")
    with young.open("rb+") as held:  # by another process that works for long
        os.utime(young, (0, 0))
        fcntl.flock(held, fcntl.LOCK_EX)
        clear_leftovers(path)
        assert young.exists()
