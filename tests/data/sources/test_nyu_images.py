"""NYU Depth v2 in its own MATLAB files."""

import importlib.util

import numpy as np
import pytest
from nyu_file import contents, write

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.spec import DatasetSpec

needs_h5py = pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="h5py is not installed")


@needs_h5py
def test_the_labelled_images_are_found_and_read(tmp_path):
    folder = write(tmp_path / "nyuv2")
    spec = DatasetSpec(name="nyuv2_labelled", kind="depth")
    assert find_dataset(tmp_path, spec) == f"depth:{folder}"
    assert ("nyuv2", f"depth:{folder}") in discover(tmp_path)
    dataset = open_dataset(f"depth:{folder}", cache=tmp_path / "cache")
    assert dataset.splits == ("train", "test") and dataset.kind == "depth"
    images, depths = contents()
    for split, numbers, scenes in (
        ("train", (1, 3), ("office_0001", "den_0002")),
        ("test", (0, 2), ("kitchen_0004",) * 2),
    ):
        samples = [sample for shard in dataset.split(split).shards for sample in shard.samples()]
        values = dataset.annotations(split)
        assert [sample.key for sample in samples] == [each.image for each in values] == [f"{n:05}" for n in numbers]
        assert tuple(each.unit for each in values) == scenes
        for number, sample, each in zip(numbers, samples, values, strict=True):
            assert np.array_equal(np.asarray(sample.image), images[number])
            assert np.array_equal(np.asarray(each.picture()), images[number])
            known = np.where(depths[number] > 0, depths[number], np.nan)
            assert np.array_equal(each.values()[..., 0], known, equal_nan=True)
            assert each.size == (6, 8) and each.known == 45
    again = open_dataset(f"depth:{folder}", cache=tmp_path / "cache")
    assert fingerprint(again, "test") == fingerprint(dataset, "test") != fingerprint(dataset, "train")
    assert list(again.annotations("test")) == list(dataset.annotations("test"))
    with pytest.raises(DataError, match="has no split 'val': got one of train, test"):
        dataset.annotations("val")


def arrays(**changes):
    return lambda there: there.update(changes)


@needs_h5py
@pytest.mark.parametrize(
    ("spoil", "lists", "says"),
    [
        (lambda there: there.pop("rawDepths"), None, r"labeled\.mat has no array 'rawDepths', expected one"),
        (
            arrays(images=np.zeros((4, 8, 6), np.uint8)),
            None,
            r"has images of \(4, 8, 6\) uint8 and rawDepths of \(4, 8, 6",
        ),
        (
            arrays(rawDepths=np.zeros((4, 6, 8), np.float32)),
            None,
            r"rawDepths of \(4, 6, 8\) float32, expected \(N, 3, w",
        ),
        (arrays(rawDepths=np.float32(1)), None, r"and rawDepths of \(\) float32, expected"),
        (arrays(images=np.uint8(1)), None, r"has images of \(\) uint8"),
        (arrays(), {"trainNdxs": [[1]]}, r"splits\.mat has no numbers testNdxs, expected those of the test images"),
        (arrays(), {"trainNdxs": [[1]], "testNdxs": "a"}, r"splits\.mat has no numbers testNdxs"),
        (
            arrays(),
            {"trainNdxs": [[0]], "testNdxs": [[1]]},
            r"splits\.mat has wrong trainNdxs: expected each image once, by",
        ),
        (arrays(), {"trainNdxs": [[1]], "testNdxs": [[5]]}, r"wrong testNdxs: .* by numbers from 1 to 4"),
        (
            arrays(),
            {"trainNdxs": [[2], [2]], "testNdxs": [[1]]},
            r"splits\.mat has wrong trainNdxs: expected each image once",
        ),
    ],
)
def test_files_of_other_contents_are_one_sentence(spoil, lists, says, tmp_path):
    with pytest.raises(DataError, match=says):
        open_dataset(f"depth:{write(tmp_path / 'nyu', spoil, lists)}")


@needs_h5py
def test_arrays_that_are_elsewhere_are_not_read(tmp_path):
    import h5py

    folder = write(tmp_path / "nyu")
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file["rawDepths"]
        file["rawDepths"] = h5py.ExternalLink("/etc/other.h5", "secret")
    with pytest.raises(DataError, match="has no array 'rawDepths', expected one"):
        open_dataset(f"depth:{folder}")
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file["rawDepths"]
        file.create_dataset("rawDepths", (4, 8, 6), "f4", external=[("/etc/passwd", 0, 768)])
    with pytest.raises(DataError, match="does not hold 'rawDepths' itself, expected an array in the file"):
        open_dataset(f"depth:{folder}")


@needs_h5py
@pytest.mark.parametrize(
    ("wrong", "says"), [(-1.0, "has the depth -1, expected"), (np.inf, "has the depth inf, expected")]
)
def test_depths_that_are_none_are_one_sentence(wrong, says, tmp_path):
    def spoil(there):
        there["rawDepths"] = there["rawDepths"].copy()
        there["rawDepths"][2, 4, 4] = wrong

    dataset = open_dataset(f"depth:{write(tmp_path / 'nyu', spoil)}")
    with pytest.raises(DataError, match=f"the depth of image '00002' of .*labeled.mat {says}"):
        dataset.annotations("test")
    unknown = open_dataset(f"depth:{write(tmp_path / 'other', lambda there: there['rawDepths'].fill(0))}")
    with pytest.raises(DataError, match="has no known pixel: got 48 unknown ones"):
        unknown.annotations("train")


@needs_h5py
def test_files_that_are_missing_or_damaged_are_one_sentence(tmp_path):
    folder = write(tmp_path / "nyu")
    (folder / "splits.mat").unlink()
    with pytest.raises(DataError, match=r"splits\.mat is missing, expected the numbers of train and test images"):
        open_dataset(f"depth:{folder}")
    (folder / "splits.mat").write_bytes(b"MATLAB")
    with pytest.raises(DataError, match=r"splits\.mat is no MATLAB file of version 5"):
        open_dataset(f"depth:{folder}")
    (folder / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB")
    with pytest.raises(DataError, match=r"labeled\.mat is no HDF5 file: "):
        open_dataset(f"depth:{folder}")


def test_without_h5py_it_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "nyu_depth_v2_labeled.mat").touch()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "h5py" else find(name))
    with pytest.raises(
        ConfigError, match=r"labeled\.mat is an HDF5 file, which needs h5py: pip install 'mlcd-eval\[hdf5\]'"
    ):
        open_dataset(f"depth:{tmp_path}")
