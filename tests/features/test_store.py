"""The feature store: what killed runs leave behind is removed, and nothing else."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from tiny_encoder import TinyEncoder

from mlcd_eval.errors import DataError
from mlcd_eval.features.store import Entry, FeatureKey, Part, entry_lock, in_use

KEY = FeatureKey("w", "p", "fp32", "penultimate", "image", "d")


def part(begin, count, bad=()):
    rows = np.arange(begin, begin + count, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    names = [f"k{row}" for row in range(begin, begin + count)]
    return Part(rows, names, [row % 2 for row in range(count)], [[name] for name in names], list(bad))


@pytest.fixture
def entry(tmp_path):
    """A finished entry of five rows, from two chunks."""
    entry = Entry(tmp_path, KEY)
    entry.write_part((1, 0), part(3, 2, bad=["broken"]))
    entry.write_part((0, 0), part(0, 3))
    entry.join_parts([(0, 0), (1, 0)])
    return entry


def files(entry):
    return sorted(str(path.relative_to(entry.folder)) for path in entry.folder.rglob("*") if path.is_file())


FINISHED = ["features.npy", "meta.json", "rows.json"]


def test_parts_are_joined_in_the_order_asked_for_and_are_gone(entry):
    features = entry.features()
    assert features.array[:, 0].tolist() == [0, 1, 2, 3, 4] and features.array.shape == (5, 3)
    assert list(features.keys) == ["k0", "k1", "k2", "k3", "k4"] and list(features.bad) == ["broken"]
    assert features.labels.tolist() == [0, 1, 0, 0, 1] and features.texts[4] == ("k4",)
    assert entry.settled and files(entry) == FINISHED


def test_leftover_parts_of_a_finished_entry_are_removed(entry):
    """A run that is killed between the last file of an entry and the removal of its parts leaves them."""
    before = {name: (entry.folder / name).read_bytes() for name in FINISHED}
    entry.write_part((0, 0), part(0, 3))
    assert entry.complete and not entry.settled
    entry.tidy()
    assert entry.settled and not (entry.folder / "parts").exists()
    assert {name: (entry.folder / name).read_bytes() for name in files(entry)} == before


def test_temporary_files_of_killed_runs_are_removed_and_good_parts_of_an_unfinished_entry_stay(tmp_path):
    entry = Entry(tmp_path, KEY)
    entry.write_part((0, 0), part(0, 3))
    entry.write_part((0, 1), part(3, 2))
    (entry.folder / ".meta.json.1.tmp").write_text("{")
    (entry.folder / "parts" / ".0.part.1.tmp").write_text("x")
    damaged = entry.part_path((0, 1))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert not entry.complete and not entry.settled
    with pytest.warns(UserWarning, match=f"stored features in {damaged} are damaged: they are computed again"):
        entry.tidy()
    assert files(entry) == [f"parts/{entry.part_path((0, 0)).name}"]
    assert entry.read_part((0, 0)).keys == ["k0", "k1", "k2"]


def test_a_damaged_entry_is_removed_with_all_its_files(entry):
    (entry.folder / "rows.json").write_text("{}")
    assert entry.complete and not entry.settled
    with pytest.warns(UserWarning, match=f"stored features in {entry.folder} are damaged: they are computed again"):
        entry.tidy()
    assert not entry.folder.exists() and not entry.complete


def test_keys_differ_in_everything_that_features_depend_on():
    changes = {"weights": "x", "preprocessing": "x", "precision": "bf16", "layer": "x", "tower": "text", "data": "x",
               "format_version": 99}  # fmt: skip
    digests = [FeatureKey(**{**vars(KEY), name: value}).digest for name, value in changes.items()]
    assert len({KEY.digest, *digests}) == 1 + len(changes) and all(len(digest) == 32 for digest in digests)


def test_a_key_of_texts_leaves_out_how_images_are_prepared():
    info = TinyEncoder().info
    assert FeatureKey.of(info, "fp16", "projected", "text", "d") == FeatureKey(
        "t" * 64, "", "fp16", "projected", "text", "d"
    )
    assert FeatureKey.of(info, "fp16", "patches", "image", "d").preprocessing == info.preprocessing


def test_chunks_without_rows_join_to_the_shape_of_the_others(tmp_path):
    empty = Part(np.empty((0, 0), np.float32), [], [], [], ["bad"])
    entry = Entry(tmp_path, KEY)
    entry.write_part((0, 0), empty)
    entry.write_part((0, 1), Part(np.ones((2, 4, 3), np.float64), ["a", "b"], [None, 1], [[], ["x", "y"]], []))
    entry.join_parts([(0, 0), (0, 1)])
    features = entry.features()
    assert features.array.shape == (2, 4, 3) and features.array.dtype == np.float32 and features.bad == ["bad"]
    assert features.labels is None and list(features.texts) == [(), ("x", "y")]
    nothing = Entry(tmp_path / "nothing", KEY)
    nothing.write_part((0, 0), empty)
    nothing.join_parts([(0, 0)])
    assert nothing.features().array.shape == (0, 0)


def test_an_entry_says_what_it_is_of_and_is_intact_only_with_all_its_files(entry):
    meta = json.loads((entry.folder / "meta.json").read_text())
    assert {name: meta[name] for name in vars(KEY)} == vars(KEY) and set(meta["crc32"]) == {"features.npy", "rows.json"}
    assert {name: zlib.crc32((entry.folder / name).read_bytes()) for name in meta["crc32"]} == meta["crc32"]
    text = Entry(entry.folder / "texts", KEY)
    text.write_array(np.ones((2, 3)))
    assert text.settled and text.array().tolist() == [[1.0] * 3] * 2
    for damage in ("[]", "{", "3"):
        (text.folder / "meta.json").write_text(damage)
        assert text.complete and not text.settled
    (entry.folder / "features.npy").unlink()
    assert not entry.settled


def test_a_file_that_changes_while_it_is_used_is_named(entry):
    entry.write_part((0, 0), part(0, 3))
    for path, read in (
        (entry.folder / "rows.json", entry.features),
        (entry.folder / "features.npy", entry.array),
        (entry.part_path((0, 0)), lambda: entry.read_part((0, 0))),
    ):
        path.write_bytes(b"{}")
        with pytest.raises(DataError, match=f"^{path} changed while it was in use .*: expected the cache to be left"):
            read()


def test_only_files_of_the_cache_that_disappear_are_told(tmp_path):
    with pytest.raises(DataError, match=f"^{tmp_path}/a/b disappeared: expected the cache to stay"), in_use(tmp_path):
        (tmp_path / "a" / "b").read_text()
    with pytest.raises(FileNotFoundError), in_use(tmp_path / "cache"):
        (tmp_path / "other").read_text()
    with pytest.raises(FileNotFoundError, match=r"^$"), in_use(tmp_path):
        raise FileNotFoundError


def test_a_lock_is_of_a_models_features_of_some_data_at_every_layer(tmp_path):
    def lock(**changes):
        return Path(entry_lock(tmp_path, FeatureKey(**{**vars(KEY), **changes})).lock_file)

    assert lock().parent == tmp_path / "locks" and lock(layer="x") == lock(precision="x") == lock()
    assert len({lock(), lock(weights="x"), lock(tower="text"), lock(data="x")}) == 4
