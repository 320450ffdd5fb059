"""The feature store: what killed runs leave behind is removed, and nothing else."""

import numpy as np
import pytest

from mlcd_eval.features.store import Entry, FeatureKey, Part

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
