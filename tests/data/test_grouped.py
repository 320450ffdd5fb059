"""Groups of a webdataset in DataComp's layout: a vector of numbers beside each label."""

import numpy as np
import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import groups_of
from mlcd_eval.data.grouped import MetadataDataset, WithGroups
from mlcd_eval.data.sources import wds
from mlcd_eval.errors import DataError


def shard(make, rows):
    """Files of samples with the metadata of WILDS' FMoW: region, year and class."""
    files = []
    for number, metadata in enumerate(rows):
        files += [(f"s{number}.png", make.image((number, 0, 0))), (f"s{number}.cls", b"%d" % (number % 2))]
        files += [(f"s{number}.npy", make.npy(metadata))]
    return files


def test_an_entry_is_the_group_and_is_read_once(tmp_path, make, monkeypatch):
    make.wds(tmp_path / "fmow", {"test": [shard(make, [[3, 14, 0], [5, 15, 1]])]}, classnames="a\nb\n")
    plain = open_dataset(f"wds:{tmp_path}/fmow", cache=tmp_path / "cache")
    assert isinstance(plain, MetadataDataset) and groups_of(plain, "test") == {}
    grouped = WithGroups(plain, 0)
    assert grouped.groups("test") == {"s0": "3", "s1": "5"}
    assert WithGroups(plain, 1).groups("test") == {"s0": "14", "s1": "15"}
    assert grouped.split("test").scan().num_samples == 2 and grouped.class_names == ("a", "b")
    monkeypatch.setattr(wds, "read_metadata", None)
    again = open_dataset(f"wds:{tmp_path}/fmow", cache=tmp_path / "cache")
    assert WithGroups(again, 0).groups("test") == {"s0": "3", "s1": "5"}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ([1], "no entry 1: got the shape (1,), expected a vector of at least 2"),
        ([[1, 2]], "no entry 1: got the shape (1, 2)"),
        ([1, 0.5], "is np.float64(0.5), expected a whole number"),
        ([1, np.nan], "expected a whole number"),
        (["a", "b"], "expected a whole number"),
    ],
)
def test_what_is_no_group_is_one_sentence(tmp_path, make, metadata, said):
    make.wds(tmp_path / "mine", {"test": [shard(make, [metadata])]})
    with pytest.raises(DataError, match="'s0' of") as error:
        WithGroups(open_dataset(f"wds:{tmp_path}/mine"), 1).groups("test")
    assert said in str(error.value)


def test_a_sample_without_metadata_is_one_sentence(tmp_path, make):
    make.wds(tmp_path / "mine", {"test": [make.classification(1, 1)]})
    with pytest.raises(DataError, match=r"has no metadata: got \['cls', 'png'\], expected .npy"):
        WithGroups(open_dataset(f"wds:{tmp_path}/mine"), 0).groups("test")


def test_pickled_metadata_is_refused(tmp_path, make):
    files = shard(make, [[1]])
    files[-1] = ("s0.npy", make.npy(np.array([{}], dtype=object), allow_pickle=True))
    make.wds(tmp_path / "mine", {"test": [files]})
    with pytest.raises(DataError, match=r"npy of sample 's0' of .* is not readable"):
        WithGroups(open_dataset(f"wds:{tmp_path}/mine"), 0).groups("test")
