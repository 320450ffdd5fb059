"""Layouts of correspondences, each in the smallest form that its own files have."""

import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import images_of
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.sources.point_layouts.part import FEWEST, POINTS, check_inside
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir


@pytest.fixture(scope="module")
def bundled():
    return open_dataset(f"keypoints:{demo_data_dir() / 'densedemo'}", name="densedemo_keypoints")


def test_the_bundled_scenes_are_found_and_read(bundled):
    spec = DatasetSpec(name="densedemo_keypoints", kind="keypoints")
    assert find_dataset(demo_data_dir(), spec) == f"keypoints:{demo_data_dir() / 'densedemo'}"
    assert not [ref for _, ref in discover(demo_data_dir()) if ref.startswith("keypoints:")]  # they are seg:'s
    assert bundled.kind == "keypoints" and bundled.splits == ("train", "val", "test")
    pairs = bundled.annotations("val")
    keys = {sample.key for shard in bundled.split("val").shards for sample in shard.samples()}
    assert {key for pair in pairs for key in images_of(pair)} == keys
    assert all(len(pair.source) == len(pair.target) == POINTS <= FEWEST for pair in pairs)
    assert len({pair.pair_id for pair in pairs}) == len(pairs) and {pair.unit for pair in pairs} < {
        key.split("/")[0] for key in keys
    } | {"none"}
    again = open_dataset(f"keypoints:{demo_data_dir() / 'densedemo'}")
    assert fingerprint(again, "val") == fingerprint(bundled, "val")


def test_points_of_the_bundled_scenes_have_one_colour_in_both_views(bundled):
    same, other = [], []
    for pair in bundled.annotations("val")[::3]:
        one, two = (np.asarray(picture(), float) for picture in pair.pictures)
        here, there = (
            np.array([image[min(round(y), 223), min(round(x), 223)] for x, y in points])
            for image, points in ((one, pair.source), (two, pair.target))
        )
        same.append(np.abs(here - there).mean())
        other.append(np.abs(here - there[::-1]).mean())
        left, top, right, bottom = pair.box
        assert all(left - 0.5 <= x <= right - 0.5 and top - 0.5 <= y <= bottom - 0.5 for x, y in pair.target)
    assert np.mean(same) < 0.5 * np.mean(other)


def scenes(root, spoil=lambda folder: None, **changes):
    """One of the bundled scenes, and what is wrong with it or with what is said of it."""
    source, folder = demo_data_dir() / "densedemo", root / "scenes"
    folder.mkdir(parents=True)
    index = json.loads((source / "scenes.json").read_text())
    first = next(scene for scene in index["scenes"] if scene["split"] == "val")
    (folder / "scenes.json").write_text(json.dumps({**index, "scenes": [{**first, **changes}]}))
    with tarfile.open(source / "val.tar") as every:
        every.extractall(folder, [each for each in every if each.name.startswith(first["name"])], filter="data")
    spoil(folder / first["name"])
    with tarfile.open(folder / "val.tar", "w") as tar:
        for path in sorted((folder / first["name"]).iterdir()):
            tar.add(path, f"{first['name']}/{path.name}")
    return folder


def moved(one, other):
    return lambda folder: shutil.copy(folder / one, folder / other)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "1.depth.png").unlink(), r"lack scene\d+/1\.depth\.png, which scenes\.json says they have"),
        (lambda f: (f / "1.depth.png").write_bytes(b"?"), r"scene\d+/1\.depth\.png of .* cannot be read"),
        (
            lambda f: Image.new("P", (9, 8)).save(f / "1.instances.png"),
            r"another size than its image: got 9 x 8 pixels, expected 224 x 224",
        ),
        (
            moved("1.instances.png", "1.depth.png"),
            r"1\.depth\.png of .* has other numbers: got a picture of mode P, expected",
        ),
        (
            moved("1.depth.png", "1.instances.png"),
            r"1\.instances\.png of .* has other numbers: got a picture of mode I;16",
        ),
    ],
)
def test_scenes_that_are_damaged_are_one_sentence(spoil, says, tmp_path):
    dataset = open_dataset(f"keypoints:{scenes(tmp_path, spoil)}")
    with pytest.raises(DataError, match=says):
        dataset.annotations("val")


@pytest.mark.parametrize("camera", [[[1.0, 0.0]], [[1.0] * 4] * 3 + [[1.0]], [[float("inf")] * 4] * 4])
def test_a_camera_that_is_no_matrix_is_one_sentence(camera, tmp_path):
    dataset = open_dataset(f"keypoints:{scenes(tmp_path, cameras=[camera] * 3)}")
    with pytest.raises(
        DataError, match=r"scenes\.json: the camera of scene\d+/0 is \[\[.*, expected 4 rows of 4 finite"
    ):
        dataset.annotations("val")


def test_other_folders_are_one_sentence(tmp_path):
    with pytest.raises(
        DataError, match=r"no layout that is known here, expected one of these: scenes has scenes\.json"
    ):
        open_dataset(f"keypoints:{tmp_path}")
    dataset = open_dataset(f"keypoints:{scenes(tmp_path)}")
    with pytest.raises(DataError, match="has no split 'test': got one of val"):
        dataset.annotations("test")


def test_points_outside_of_their_image_are_one_sentence():
    check_inside([(-0.5, 0), (9.5, 7.5)], (8, 10), "a", "pair 1")
    for point in ((-0.51, 0), (9.6, 0), (0, 7.6), (0, -1), (float("nan"), 0)):
        with pytest.raises(
            DataError, match=r"pair 1 has the point .*, which is outside of image 'a': expected x from 0"
        ):
            check_inside([point], (8, 10), "a", "pair 1")
    with pytest.raises(DataError, match="pair 1 has no points: got 0 in image 'a', expected at least 1"):
        check_inside([], (8, 10), "a", "pair 1")


def spair(root, spoil=lambda folder, pair: None):
    """SPair-71k of one pair, and what is wrong with it."""
    folder = root / "SPair-71k"
    pair = {
        "pair_id": 1,
        "filename": "000001-2007_000175-2008_006325:cat",
        "src_imname": "2007_000175.jpg",
        "trg_imname": "2008_006325.jpg",
        "src_imsize": [40, 30, 3],
        "trg_imsize": [20, 50, 3],
        "src_bndbox": [2, 3, 30, 28],
        "trg_bndbox": [1, 5, 19, 45],
        "category": "cat",
        "src_kps": [[0, 0], [39, 29]],
        "trg_kps": [[3, 7], [19, 49]],
        "kps_ids": ["0", "4"],
        "viewpoint_variation": 1,
    }
    for name, size in (("2007_000175", (40, 30)), ("2008_006325", (20, 50))):
        path = folder / "JPEGImages" / "cat" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)
    spoil(folder, pair)
    path = folder / "PairAnnotation" / "test" / f"{pair['filename']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pair))
    return folder


def test_spair_is_found_and_read(tmp_path):
    folder = spair(tmp_path)
    spec = DatasetSpec(name="spair71k", kind="keypoints")
    assert find_dataset(tmp_path, spec) == f"keypoints:{folder}"
    assert ("SPair-71k", f"keypoints:{folder}") in discover(tmp_path)
    dataset = open_dataset(f"keypoints:{folder}")
    assert dataset.splits == ("test",)
    [pair] = dataset.annotations("test")
    assert pair.images == ("cat/2007_000175", "cat/2008_006325") and pair.sizes == ((30, 40), (50, 20))
    assert pair.source == ((0, 0), (39, 29)) and pair.target == ((3, 7), (19, 49))
    assert (pair.box, pair.category, pair.unit) == ((1, 5, 19, 45), "cat", "cat/2007_000175")
    assert [picture().size for picture in pair.pictures] == [(40, 30), (20, 50)]
    assert [sample.key for shard in dataset.split("test").shards for sample in shard.samples()] == list(pair.images)


def changed(**changes):
    return lambda folder, pair: pair.update(changes)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (changed(src_kps=[[0, 0], [40, 3]]), r"cat\.json has the point \(40, 3\), which is outside of image 'cat/2007"),
        (changed(trg_kps=[[0, -1], [0, 0]]), r"the point \(0, -1\), .* expected x from 0 to 19 and y from 0 to 49"),
        (changed(src_kps=[[1, 1]]), "has 1 points in src_kps and 2 in trg_kps, expected as many"),
        (changed(src_kps=[], trg_kps=[]), "has no points: got 0 in image 'cat/2007_000175', expected at least 1"),
        (changed(trg_imsize=[21, 50, 3]), "another size than image .*: got 21 x 50 pixels, expected 20 x 50"),
        (changed(trg_bndbox=[5, 5, 5, 9]), r"has the empty trg_bndbox \[5\.0, 5\.0, 5\.0, 9\.0\]"),
        (changed(trg_imname="2007_000175.jpg"), "is of the images .*, expected cat/2007_000175 and cat/2008_006325"),
        (changed(trg_bndbox=None), r"cat\.json: trg_bndbox: "),
        (changed(src_kps=[[1, 1], [None, 2]]), r"cat\.json: src_kps\.1\.0: "),
        (
            lambda folder, pair: (folder / "JPEGImages/cat/2008_006325.jpg").unlink(),
            r"the image of sample 'cat/2008_006325' is missing: there is no file",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_one_sentence(spoil, says, tmp_path):
    dataset = open_dataset(f"keypoints:{spair(tmp_path, spoil)}")
    with pytest.raises(DataError, match=says):
        dataset.annotations("test")


def test_files_of_other_names_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="has another name than a pair's, expected NUMBER-SOURCE-TARGET:CATEGORY"):
        open_dataset(f"keypoints:{spair(tmp_path / 'a', changed(filename='000001-one'))}")
    (tmp_path / "b" / "PairAnnotation" / "val").mkdir(parents=True)
    with pytest.raises(DataError, match="has no pairs, expected NUMBER-SOURCE-TARGET"):
        open_dataset(f"keypoints:{tmp_path / 'b'}")
