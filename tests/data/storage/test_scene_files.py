"""Folders of scenes: what is missing or damaged in them is one sentence."""

import json

import pytest

from mlcd_eval.data.storage import scene_files
from mlcd_eval.data.storage.scene_files import SceneFiles
from mlcd_eval.errors import DataError


@pytest.fixture
def folder(tmp_path, make):
    scenes = [
        {"name": name, "split": split, "things": [{"class": 1, "object": "cup", "texture": 0}], "cameras": []}
        for name, split in (("s0", "train"), ("s1", "test"), ("s2", "train"))
    ]
    index = {"classes": ["cup", "hat"], "fov": 1.0, "depth_scale": 1.0, "scenes": scenes}
    (tmp_path / "scenes.json").write_text(json.dumps(index))
    (tmp_path / "train.tar").write_bytes(make.tar([("s0/0.png", b"one"), ("s2/0.png", b"two")]))
    return tmp_path


def test_splits_and_contents(folder):
    scenes = SceneFiles(folder)
    assert {split: [scene.name for scene in each] for split, each in scenes.splits.items()} == {
        "train": ["s0", "s2"],
        "test": ["s1"],
    }
    assert scenes.contents("train") == {"s0/0.png": b"one", "s2/0.png": b"two"}


def test_what_is_missing_or_too_large(folder, monkeypatch):
    scenes = SceneFiles(folder)
    with pytest.raises(DataError, match=r"test\.tar is missing, expected the files of the split 'test'"):
        scenes.contents("test")
    size = (folder / "train.tar").stat().st_size
    monkeypatch.setattr(scene_files, "LARGEST", size)
    assert len(scenes.contents("train")) == 2
    monkeypatch.setattr(scene_files, "LARGEST", size - 1)
    with pytest.raises(DataError, match=rf"train\.tar is too large: got {size:,} bytes, expected at most {size - 1:,}"):
        scenes.contents("train")
    (folder / "scenes.json").unlink()
    with pytest.raises(DataError, match=r"scenes\.json is missing, expected the list of the scenes"):
        SceneFiles(folder)


def test_a_class_that_the_index_has_not(folder):
    text = (folder / "scenes.json").read_text()
    (folder / "scenes.json").write_text(text.replace('"class": 1', '"class": 2', 1))
    with pytest.raises(DataError, match=r"scenes\.json: s0 has an object of class 2, expected 0 to 1"):
        SceneFiles(folder)


def test_members_that_say_more_than_the_file_holds(folder, make):
    """A sparse member of a few bytes, which would be read as gigabytes of zeros."""
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("s0/0.png")
        member.size = 4
        member.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.map": "0,4",
            "GNU.sparse.size": str(1 << 40),
        }
        archive.addfile(member, io.BytesIO(b"tiny"))
    (folder / "train.tar").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=r"train\.tar is damaged: its members are larger than the file"):
        SceneFiles(folder).contents("train")
