"""NAVI's layout, against a ball whose rays are traced one by one."""

import numpy as np
import pytest
from navi_folder import CAMERAS, FOCAL, RADIUS, hit, shown, write
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.sources.point_layouts.part import POINTS
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec

KEY = "ball/wild_set/images/{}.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("navi"))


@pytest.fixture(scope="module")
def pairs(folder):
    return open_dataset(f"keypoints:{folder}").annotations("wild_set")


def test_navi_is_found_and_read(folder, pairs):
    assert find_dataset(folder.parent, DatasetSpec(name="navi", kind="keypoints")) == f"keypoints:{folder}"
    assert ("navi_v1", f"keypoints:{folder}") in discover(folder.parent)
    dataset = open_dataset(f"keypoints:{folder}")
    assert dataset.splits == ("wild_set",)
    keys = [sample.key for shard in dataset.split("wild_set").shards for sample in shard.samples()]
    assert keys == [KEY.format(name) for name in CAMERAS]
    assert [pair.images for pair in pairs] == [(keys[2], keys[0]), (keys[0], keys[1])]  # by their targets
    assert [pair.degrees for pair in pairs] == [45.3, 22.6] and {pair.category for pair in pairs} == {"ball"}
    assert [pair.is_turned for pair in pairs] == [True, False]
    for pair in pairs:
        assert pair.sizes == ((72, 96), (72, 96)) and [each().size for each in pair.pictures] == [(96, 72)] * 2


def test_points_are_where_rays_and_the_other_camera_put_them(pairs):
    for pair in pairs:
        one, other = (key[-7:-4] for key in pair.images)
        assert len(pair.source) == len(pair.target) == POINTS
        left, top, right, bottom = pair.box
        across = 2 * RADIUS / CAMERAS[other][1][2] * FOCAL
        assert right - left == pytest.approx(across, abs=3) and bottom - top == pytest.approx(across, abs=3)
        for source, target in zip(pair.source, pair.target, strict=True):
            point, _ = hit(one, *source)
            there = shown(other, point)
            assert np.abs(there - target).max() < 0.1  # a file of depth has 16 bits
            assert np.linalg.norm(hit(other, *there)[0] - point) < 1e-6  # it faces both cameras


def test_distances_are_those_on_the_ball(pairs):
    pair = pairs[1]
    places = np.rint(np.array(pair.target)) + np.array([3.0, -2.0])
    points = [hit("000", *source)[0] for source in pair.source]
    found = [hit("001", *place) for place in places]
    expected = [
        np.inf if each is None else np.linalg.norm(each[0] - point) / 1000
        for each, point in zip(found, points, strict=True)
    ]
    assert pair.metres(places) == pytest.approx(expected, abs=3e-4)
    assert pair.metres(np.array(pair.target)).max() < 0.002
    assert np.isinf(pair.metres(np.zeros((POINTS, 2)))).all()


def test_what_is_found_is_kept(folder, pairs, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = open_dataset(f"keypoints:{folder}", cache=cache).annotations("wild_set")
    monkeypatch.setattr("mlcd_eval.data.sources.point_layouts.navi._seen", None)
    again = open_dataset(f"keypoints:{folder}", cache=cache).annotations("wild_set")
    assert list(first) == list(again) == list(pairs)
    places = np.array(again[0].target)
    assert again[0].metres(places).tolist() == first[0].metres(places).tolist()


def entry(**changes):
    return lambda scene, entries: entries[0].update(changes)


def camera(**changes):
    return lambda scene, entries: entries[0]["camera"].update(changes)


def depth(values):
    return lambda scene, entries: Image.fromarray(values).save(scene / "depth" / "000.png")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (entry(filename="009.jpg"), r"annotations\.json has no entry of 000\.jpg, which .*pairs-wild_set\.txt names"),
        (
            entry(image_size=[96, 72]),
            r"another size than image 'ball.*000\.jpg' has: got 72 x 96 pixels, expected 96 x 72",
        ),
        (camera(q=[0, 0, 0, 0]), r"has no rotation for 000\.jpg: got the quaternion \[0\.0, 0\.0, 0\.0, 0\.0\]"),
        (camera(q=[1, 0, 0]), r"annotations\.json: 0\.camera\.q"),
        (camera(t=[float("nan"), 0, 0]), r"annotations\.json: 0\.camera\.t\.0: "),
        (camera(focal_length=0), r"annotations\.json: 0\.camera\.focal_length: "),
        (depth(np.zeros((72, 96), np.uint16)), r"000\.png\) shows no object: got 0 in all pixels"),
        (depth(np.ones((9, 8), np.uint16)), r"another size than its image: got 8 x 9 pixels, expected 96 x 72"),
        (depth(np.ones((72, 96, 3), np.uint8)), r"000\.png\) has other numbers: got a picture of mode RGB"),
        (lambda scene, _: (scene / "depth" / "000.png").unlink(), r"000\.png\) is missing: there is no such file"),
        (
            lambda scene, _: (scene / "images" / "000.jpg").unlink(),
            r"image of sample '.*000\.jpg' is missing: there is no",
        ),
        (camera(t=[0.0, 500.0, 300.0]), "split 'wild_set' of navi_v1 has no pairs: got 0, expected at least 1"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(spoil, says, tmp_path):
    dataset = open_dataset(f"keypoints:{write(tmp_path, spoil)}")
    with pytest.raises(DataError, match=says):
        dataset.annotations("wild_set")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a/wild_set/images/1.jpg 30", r"line 1 of .*pairs-wild_set\.txt has 2 words"),
        ("a/wild_set/images/1.jpg ../images/2.jpg 3", "outside|below"),
        ("a/images/1.jpg a/images/2.jpg 3", r"names the image 'a/images/1\.jpg', expected OBJECT/SCENE/images/NAME"),
        ("a/s/images/1.jpg b/s/images/2.jpg 3", "has a pair of two objects: got a/s/images/1.jpg and b/s/images/2.jpg"),
        ("a/s/images/1.jpg a/s/images/2.jpg x", "has the angle 'x' for .*, expected 0 to 180 degrees"),
        ("a/s/images/1.jpg a/s/images/2.jpg 181", "has the angle '181' for .*, expected 0 to 180 degrees"),
    ],
)
def test_lists_that_are_wrong_are_one_sentence(line, says, tmp_path):
    with pytest.raises(DataError, match=says):
        open_dataset(f"keypoints:{write(tmp_path, lines=[line])}")


def test_a_folder_without_lists_is_one_sentence(folder, tmp_path):
    (tmp_path / "custom_splits" / "pairwise_pixel_correspondences").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no pairs, expected pairs-wild_set\.txt or pairs-multiview\.txt"):
        open_dataset(f"keypoints:{tmp_path}")
