"""Stored features that were damaged or that others touch."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from levels import MeanEncoder, make_split, options

from mlcd_eval.errors import DataError
from mlcd_eval.features.encode import encode_split
from mlcd_eval.features.store import Entry, FeatureKey, Part


def flip(contents):
    contents[-3] ^= 4
    return contents


def nest(contents):
    return b"[" * 100_000


@pytest.mark.parametrize(
    ("name", "damage"), [("features.npy", flip), ("rows.json", flip), ("meta.json", flip), ("meta.json", nest)]
)
def test_damaged_features_are_detected_and_computed_again(tmp_path, name, damage):
    encoder, split = MeanEncoder(only="projected"), make_split()
    before = encode_split(encoder, split, ["projected"], options(tmp_path)).features["projected"]
    expected = np.array(before.array)
    (path,) = tmp_path.rglob(name)
    path.write_bytes(bytes(damage(bytearray(path.read_bytes()))))
    with pytest.warns(UserWarning, match="are damaged: they are computed again"):
        again = encode_split(encoder, split, ["projected"], options(tmp_path))
    assert again.images_encoded == len(expected)
    assert np.array_equal(again.features["projected"].array, expected)
    assert list(again.features["projected"].keys) == list(before.keys)


def test_a_damaged_part_is_computed_again(tmp_path, monkeypatch):
    encoder, split = MeanEncoder(only="projected"), make_split((3, 2))
    with monkeypatch.context() as patch:
        patch.setattr(Entry, "join_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encode_split(encoder, split, ["projected"], options(tmp_path))
    first, _ = sorted(tmp_path.rglob("parts/*.part"))
    contents = bytearray(first.read_bytes())
    contents[len(contents) // 2] ^= 255
    first.write_bytes(bytes(contents[:-9]))
    with pytest.warns(UserWarning, match="part are damaged: they are computed again"):
        again = encode_split(encoder, split, ["projected"], options(tmp_path))
    assert again.images_encoded == 3
    assert len(again.features["projected"].keys) == 5


def flipped(contents):
    """Yield the contents with each bit flipped in turn."""
    for bit in range(8 * len(contents)):
        changed = bytearray(contents)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@pytest.mark.filterwarnings("ignore:stored features")
@pytest.mark.parametrize("name", ["features.npy", "rows.json"])
def test_every_flipped_bit_of_stored_features_is_detected(tmp_path, name):
    encoder, split = MeanEncoder(only="projected"), make_split((2,))
    expected = encode_split(encoder, split, ["projected"], options(tmp_path)).features["projected"].array.tolist()
    [path] = tmp_path.rglob(name)
    for number, contents in enumerate(flipped(path.read_bytes())):
        if number % 7 == 0:
            path.write_bytes(contents)
            again = encode_split(encoder, split, ["projected"], options(tmp_path))
            assert (again.images_encoded, again.features["projected"].array.tolist()) == (2, expected)


def test_every_flipped_bit_of_a_part_is_detected(tmp_path):
    entry = Entry(tmp_path, FeatureKey("w", "p", "fp32", "projected", "image", "d"))
    entry.write_part((0, 0), Part(np.ones((2, 2), np.float32), ["a", "b"], [0, 1], [[], []], []))
    path = entry.part_path((0, 0))
    intact = path.read_bytes()
    entry.tidy()
    assert entry.read_part((0, 0)).array.tolist() == [[1, 1], [1, 1]]
    for contents in flipped(intact):
        path.write_bytes(contents)
        with pytest.warns(UserWarning, match="are damaged: they are computed again"):
            entry.tidy()
        assert not path.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("name", "touch", "advice"),
    [
        ("*.part", Path.unlink, "disappeared: expected the cache to stay"),
        ("*.part", cut, "changed while it was in use"),
        ("features.npy", cut, "changed while it was in use"),
        ("rows.json", cut, "changed while it was in use"),
        ("rows.json", Path.unlink, "disappeared: expected the cache to stay"),
    ],
)
def test_a_cache_that_others_touch_is_no_bug_and_the_advice_helps(tmp_path, monkeypatch, name, touch, advice):
    """Others touch a file between its check and its use."""
    split = make_split((3, 2))
    step = "join_parts" if name == "*.part" else "features"
    original = getattr(Entry, step)

    def touched(self, *rest):
        touch(sorted(self.folder.rglob(name))[0])
        return original(self, *rest)

    with monkeypatch.context() as patch, pytest.raises(DataError, match=f"{advice}.*run the same command again"):
        patch.setattr(Entry, step, touched)
        encode_split(MeanEncoder(), split, ["projected"], options(tmp_path))
    with contextlib.nullcontext() if name == "*.part" and touch is Path.unlink else pytest.warns(match="are damaged"):
        again = encode_split(MeanEncoder(), split, ["projected"], options(tmp_path)).features["projected"]
    assert again.array[:, 0].tolist() == [0, -1, -2, -3, -4]
