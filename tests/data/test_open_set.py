"""Images of another data set as a split, and hashes of contents."""

import numpy as np
import pytest
from own_data import items, write_wds
from PIL import Image

from mlcd_eval.data import contents
from mlcd_eval.data.base import LabelledDataset, Sample, ShardScan, Split
from mlcd_eval.data.contents import content_hashes
from mlcd_eval.data.open import open_dataset
from mlcd_eval.data.open_set import OPEN_SET, WithOpenSet
from mlcd_eval.errors import DataError


class OneShard:
    name = "one"

    def __init__(self, samples, fingerprint="f"):
        self._samples, self._fingerprint = samples, fingerprint

    def scan(self):
        return ShardScan(self._fingerprint, len(self._samples), num_classes=9)

    def samples(self):
        return iter(self._samples)


def split_of(samples, fingerprint="f"):
    return Split("some", "test", [OneShard(samples, fingerprint)])


def test_the_other_data_set_is_a_split_without_classes(tmp_path):
    mine = open_dataset(f"wds:{write_wds(tmp_path / 'mine', {'train': items(4), 'test': items(3)})}")
    other = open_dataset(f"wds:{write_wds(tmp_path / 'other', {'train': items(9), 'test': items(5)})}")
    both = WithOpenSet(mine, other)
    assert both.splits == (*mine.splits, OPEN_SET) and both.class_names == mine.class_names
    assert isinstance(both, LabelledDataset)
    scan = both.split(OPEN_SET).scan()
    assert (scan.num_samples, scan.num_classes) == (5, None)
    assert scan.fingerprint == other.split("test").scan().fingerprint  # so that its features are kept once
    assert both.split("test").scan() == mine.split("test").scan()
    with pytest.raises(DataError, match="has a split 'ood' of its own"):
        WithOpenSet(both, other)


def test_contents_are_the_same_whatever_holds_the_image(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    pixels = Image.open(path)
    pixels.load()
    samples = [Sample("path", path), Sample("bytes", path.read_bytes()), Sample("gone", tmp_path / "no.png")]
    hashes = content_hashes(split_of([*samples, Sample("pixels", pixels)]), tmp_path)
    assert hashes["path"] == hashes["bytes"] != hashes["pixels"] and "gone" not in hashes
    again = content_hashes(split_of([Sample("pixels", pixels.copy())], "g"), tmp_path)
    assert again == {"pixels": hashes["pixels"]}


def test_contents_are_read_once(tmp_path, monkeypatch):
    split = split_of([Sample("a", b"x")])
    first = content_hashes(split, tmp_path)
    monkeypatch.setattr(contents, "_hash", None)
    assert content_hashes(split, tmp_path) == first
