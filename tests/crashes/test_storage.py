"""Nothing is lost to a full or read-only disk, or a cache that disappears."""

import itertools
import os
import shutil
import subprocess

import pytest
from disturbed import after_images, before_step, evaluate, records, temporary_files
from tiny_encoder import RedFinder, TinyEncoder

from mlcd_eval.features.store import Entry
from mlcd_train.cli import main as train_main


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB, and a function that fills it until `free` bytes are left."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")

    def fill(free):
        (folder / "filler").unlink(missing_ok=True)
        status = os.statvfs(folder)
        (folder / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - free)))

    yield folder, fill
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_reported_in_one_sentence_and_nothing_is_half_written(
    disk, tmp_path, capsys, monkeypatch, expected, train
):
    folder, fill = disk
    failures = 0
    for free in (4 << 10, 40 << 10, 160 << 10, 400 << 10, 700 << 10):
        fill(free)
        code, errors = evaluate(folder), capsys.readouterr().err.splitlines()
        assert not temporary_files(folder)
        assert code in (0, 2)
        if code == 2:
            failures += 1
            assert errors[-1].startswith("mlcd-eval: error: no space left on the device: ")
            assert "Traceback" not in "".join(errors)
    assert failures >= 3
    (folder / "filler").unlink()
    assert evaluate(folder) == 0 and records(folder) == expected
    shutil.rmtree(folder / "out"), shutil.rmtree(folder / "cache")

    fill(100 << 10)
    assert train(folder, "lit=null") == 2 and "disk of" in capsys.readouterr().err
    monkeypatch.setattr("mlcd_train.checks.check_disk", lambda *_: None)  # others may fill the disk after the check
    failures = 0
    for free in (4 << 10, 40 << 10, 100 << 10, 160 << 10, 250 << 10, 330 << 10, 450 << 10):
        fill(free)
        code, error = train(folder, "lit=null"), capsys.readouterr().err
        assert code in (0, 2) and not temporary_files(folder)
        if code == 2:
            failures += 1
            assert error.splitlines()[-1].startswith("mlcd-train: error: no space left on the device")
            assert "Traceback" not in error
    assert failures >= 4
    (folder / "filler").unlink()
    assert train(folder, "lit=null") == train(tmp_path, "lit=null") == 0
    assert train.weights(folder) == train.weights(tmp_path)


def test_an_export_to_a_full_disk(disk, train, tmp_path, capsys):
    pytest.importorskip("transformers")
    folder, fill = disk
    train(tmp_path)
    fill(20 << 10)
    for kind in ("hf", "open_clip"):
        assert train_main(["export", str(train.config), "--format", kind, "--to", str(folder / kind)]) == 2
        assert "no space left on the device" in capsys.readouterr().err.splitlines()[-1]
        assert [path.name for path in folder.iterdir()] == ["filler"]


def test_a_read_only_output_is_reported_before_any_work(disk, train, capsys):
    folder, _ = disk
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    TinyEncoder.images_seen = 0
    for name, code in (("mlcd-eval", evaluate(folder)), ("mlcd-train", train(folder))):
        assert code == 2 and TinyEncoder.images_seen == 0, name
    eval_error, train_error = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert eval_error == f"mlcd-eval: error: the file system is read-only: {folder}/out"
    assert train_error == f"mlcd-train: error: the file system is read-only: {folder}/cache"


@pytest.mark.parametrize("moment", ["encoding", "joined", "texts"])
def test_a_cache_removed_while_running(tmp_path, monkeypatch, capsys, expected, moment):
    """Features that were encoded before are missing: the rest must not be mistaken for all of them."""
    with monkeypatch.context() as patch:
        if moment == "encoding":
            after_images(patch, 300, lambda: shutil.rmtree(tmp_path / "cache"))
        else:
            name = "features" if moment == "joined" else "array"
            original, first = getattr(Entry, name), itertools.count()

            def removed(self):
                if next(first) == 0:
                    shutil.rmtree(tmp_path / "cache")
                return original(self)

            patch.setattr(Entry, name, removed)
        assert evaluate(tmp_path) == 2
    error = capsys.readouterr().err
    assert "disappeared: expected the cache to stay while a run uses it" in error and "Traceback" not in error
    assert evaluate(tmp_path) == 0
    assert records(tmp_path) == expected


def test_a_cache_removed_while_a_model_predicts(tmp_path, monkeypatch, capsys):
    original, RedFinder.asked = RedFinder.segment, 0

    def removed(self, image, expression):
        if RedFinder.asked == 50:
            shutil.rmtree(tmp_path / "cache")
        return original(self, image, expression)

    with monkeypatch.context() as patch:
        patch.setattr(RedFinder, "segment", removed)
        assert evaluate(tmp_path, tasks="refcoco/demo", model="red_finder") == 2
    error = capsys.readouterr().err
    assert "disappeared" in error and "Traceback" not in error
    assert evaluate(tmp_path, tasks="refcoco/demo", model="red_finder") == 0


def test_a_cache_removed_while_training(tmp_path, monkeypatch, capsys, train):
    with monkeypatch.context() as patch:
        after_images(patch, 16, lambda: shutil.rmtree(tmp_path / "cache"))
        assert train(tmp_path) == 2
    assert "disappeared" in capsys.readouterr().err.splitlines()[-1]
    with monkeypatch.context() as patch:
        before_step(patch, 3, lambda: shutil.rmtree(tmp_path / "cache", ignore_errors=True))
        assert train(tmp_path) == 0  # neither stage of training needs it any more
    assert train.weights(tmp_path) == train.expected
