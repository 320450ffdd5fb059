"""Layouts of depth and surface normals, each in the smallest form that its own files have."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec

SIZE = (6, 8)  # rows, columns


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (len(path.name), 0, 0)).save(path)


def numbers(path, values):
    """A picture of numbers: grey of 16 bits, or RGB of 8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint16 if np.ndim(values) == 2 else np.uint8)).save(path)


def depths(first, rest):
    values = np.full(SIZE, rest)
    values[0, 0] = first
    return values


def nyu(root):
    folder = root / "nyu"
    for split, room in (("train", "/kitchen_0028b"), ("test", "kitchen")):
        for number in (45, 46):
            picture(folder / room.strip("/") / f"rgb_000{number}.jpg")
            numbers(folder / room.strip("/") / f"sync_depth_000{number}.png", depths(0, 1500))
        lines = [f"{room}/rgb_000{n}.jpg {room}/sync_depth_000{n}.png 518.8579" for n in (45, 46)]
        (folder / f"nyu_{split}.txt").write_text("\n".join(lines) + "\n")
    return folder, "depth", "nyuv2", [1.5], "kitchen/rgb_00045", "kitchen_0028b"


def bts_nyu(root):
    folder, *_ = nyu(root / "others")
    for split, place, room in (("train", "sync", "kitchen_0028b"), ("test", "official_splits/test", "kitchen")):
        (folder / place).mkdir(parents=True)
        (folder / room).rename(folder / place / room)
        (folder / f"nyu_{split}.txt").rename(folder / f"nyudepthv2_{split}_files_with_gt.txt")
    folder.rename(root / "nyu")
    return root / "nyu", "depth", "nyuv2", [1.5], "kitchen/rgb_00045", "kitchen_0028b"


def kitti(root):
    folder = root / "kitti"
    for split, drive in (("train", "2011_09_26_drive_0057_sync"), ("test", "2011_09_26_drive_0002_sync")):
        image = f"2011_09_26/{drive}/image_02/data/0000000069.png"
        depth = f"{drive}/proj_depth/groundtruth/image_02/0000000069.png"
        picture(folder / "input" / image)
        numbers(folder / "gt_depth" / depth, depths(0, 2560))
        lines = [f"{image} {depth} 721.5377", f"{image.replace('69', '70')} None 721.5377"]
        (folder / f"kitti_eigen_{split}.txt").write_text("\n".join(lines))
    key = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069"
    return folder, "depth", "kitti_depth", [10.0], key, "2011_09_26_drive_0057_sync"


def own_depth(root):
    folder = root / "rooms"
    for split in ("train", "test"):
        picture(folder / "images" / split / "a.jpg")
        picture(folder / "images" / split / "b.png")
        numbers(folder / "depth" / split / "a.png", depths(0, 1250))
        np.save(folder / "depth" / split / "b.npy", depths(np.nan, 1.25).astype(np.float32))
    return folder, "depth", "rooms", [1.25], "a", "a"


def dsine(root):
    folder = root / "dsine_eval" / "nyuv2"
    values = np.zeros((*SIZE, 3))
    values[1:] = values[0, 1:] = (128, 255, 128)
    for split in ("train", "test"):
        picture(folder / split / "000000_img.png")
        numbers(folder / split / "000000_normal.png", values)
    normal = np.array([1, 255, 1]) / np.sqrt(255**2 + 2)
    return folder, "normals", "nyuv2_normals", normal.tolist(), "test/000000", "train/000000"


def own_normals(root):
    folder = root / "rooms"
    values = np.full((*SIZE, 3), (0.0, 0.0, -2.0))
    values[0, 0] = np.nan
    for split in ("train", "test"):
        picture(folder / "images" / split / "a.jpg")
        (folder / "normals" / split).mkdir(parents=True)
        np.save(folder / "normals" / split / "a.npy", values)
    return folder, "normals", "rooms", [0, 0, -1], "a", "a"


def scenes(root, quantity="depth", lacking=""):
    folder = root / "densedemo"
    folder.mkdir(parents=True)
    rows = []
    for split in ("train", "val", "test"):
        with tarfile.open(folder / f"{split}.tar", "w") as tar:
            shown, depth, normal = io.BytesIO(), io.BytesIO(), io.BytesIO()
            Image.new("RGB", (2 * SIZE[1], 2 * SIZE[0])).save(shown, "WEBP")
            Image.fromarray(depths(0, 16384).astype(np.uint16)).save(depth, "PNG")
            values = np.full((*SIZE, 3), (128, 1, 128), np.uint8)
            values[0, 0] = 0
            Image.fromarray(values).save(normal, "WEBP", lossless=True, exact=True)
            for ending, file in (("webp", shown), ("depth.png", depth), ("normals.webp", normal)):
                member = tarfile.TarInfo(f"{split}1/0.{ending}")
                member.size = len(file.getvalue())
                if member.name != lacking:
                    tar.addfile(member, io.BytesIO(file.getvalue()))
        things = [{"class": 1, "object": "1/0", "texture": 0}]
        rows.append({"name": f"{split}1", "split": split, "things": things, "cameras": [np.eye(4).tolist()]})
    index = {"classes": ["background", "ball"], "fov": 35.0, "depth_scale": 65536.0, "scenes": rows}
    (folder / "scenes.json").write_text(json.dumps(index))
    value = [4.0] if quantity == "depth" else [0, -1, 0]
    return folder, quantity, f"densedemo_{quantity}", value, "test1/0", "train1"


def scenes_normals(root):
    return scenes(root, "normals")


@pytest.mark.parametrize("layout", [nyu, bts_nyu, kitti, own_depth, dsine, own_normals, scenes, scenes_normals])
def test_a_layout_is_found_and_read(layout, tmp_path):
    folder, kind, name, value, key, train_unit = layout(tmp_path)
    assert find_dataset(tmp_path, DatasetSpec(name=name, kind=kind)) == f"{kind}:{folder}"
    assert folder.parent != tmp_path or f"{kind}:{folder}" in [ref for _, ref in discover(tmp_path)]
    dataset = open_dataset(f"{kind}:{folder}", cache=tmp_path / "cache")
    assert dataset.kind == kind and dataset.splits == (
        ("train", "val", "test") if "scenes" in layout.__name__ else ("train", "test")
    )
    for each in dataset.annotations("test"):
        values = each.values()
        assert values.shape == (*SIZE, len(value)) and values.dtype == np.float32 and each.size == SIZE
        assert np.isnan(values[0, 0]).all() and each.known == 6 * 8 - 1  # 0, NaN, or black
        assert values.reshape(-1, len(value))[1:] == pytest.approx(np.tile(value, (47, 1)), abs=1e-6)
    first = dataset.annotations("test")[0]
    assert first.image == key and dataset.annotations("train")[0].unit == train_unit
    units = {kitti: "2011_09_26_drive_0002_sync", scenes: "test1", scenes_normals: "test1"}
    assert first.unit == units.get(layout, key)
    assert first.picture().size in [SIZE[::-1], (16, 12)]
    keys = [sample.key for shard in dataset.split("test").shards for sample in shard.samples()]
    assert keys == [each.image for each in dataset.annotations("test")]
    again = open_dataset(f"{kind}:{folder}", cache=tmp_path / "cache")
    assert fingerprint(again, "test") == fingerprint(dataset, "test")


def test_a_changed_depth_changes_the_fingerprint(tmp_path):
    folder, *_ = own_depth(tmp_path)
    before = fingerprint(open_dataset(f"depth:{folder}", cache=tmp_path / "cache"), "test")
    numbers(folder / "depth/test/a.png", depths(0, 1251))
    assert fingerprint(open_dataset(f"depth:{folder}", cache=tmp_path / "cache"), "test") != before


def saved(values):
    def spoil(folder):
        (folder / "depth/test/a.png").unlink()
        np.save(folder / "depth/test/a.npy", values)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda f: numbers(f / "depth/test/a.png", np.ones((5, 8))),
            r"the file of depth of image 'a' .* another size than its image: got 8 x 5 pixels, expected 8 x 6",
        ),
        (
            lambda f: numbers(f / "depth/test/a.png", np.zeros(SIZE)),
            "has no known pixel: got 48 unknown ones, expected some",
        ),
        (saved(depths(-1.5, 2.0)), r"has the depth -1\.5, expected finite ones, and 0 or NaN for unknown"),
        (saved(depths(np.inf, 2.0)), "has the depth inf, expected finite ones"),
        (saved(np.ones((6, 8, 3))), r"has the shape \(6, 8, 3\) of float64, expected numbers \(height, width\)"),
        (saved(np.array([{"a": 1}] * 48).reshape(SIZE)), r"a\.npy\) cannot be read: .*allow_pickle"),
        (lambda f: (f / "depth/test/a.png").unlink(), r"the file of depth of image 'a' .* is missing"),
        (lambda f: picture(f / "depth/test/a.png"), "is a picture of mode RGB, expected one number per pixel, grey"),
        (lambda f: (f / "depth/test/a.png").write_bytes(b"PNG"), "the file of depth of image 'a' .* cannot be read"),
    ],
)
def test_a_depth_that_does_not_fit_is_one_sentence(spoil, says, tmp_path):
    folder, *_ = own_depth(tmp_path)
    spoil(folder)
    with pytest.raises(DataError, match=says):
        open_dataset(f"depth:{folder}").annotations("test")


def test_other_folders_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no layout that is known here, .* kitti has kitti_eigen_train\.txt"):
        open_dataset(f"depth:{tmp_path}")
    (tmp_path / "depth" / "test").mkdir(parents=True)
    with pytest.raises(DataError, match="has no images of the splits train, val, test"):
        open_dataset(f"depth:{tmp_path}")
    with pytest.raises(DataError, match=r"lack val1/0.depth.png, which scenes.json says they have"):
        open_dataset(f"depth:{scenes(tmp_path / 'a', lacking='val1/0.depth.png')[0]}")
    folder, *_ = nyu(tmp_path / "b")
    with pytest.raises(DataError, match=r"has no split 'val': got one of train, test"):
        open_dataset(f"depth:{folder}").annotations("val")
    (folder / "nyu_test.txt").write_text("../../a.jpg ../../a.png 518.8579\n")
    with pytest.raises(DataError, match=r"nyu_test\.txt has the image '\.\./\.\./a.jpg', which is outside"):
        open_dataset(f"depth:{folder}")
    (folder / "nyu_test.txt").write_text("a.jpg a.png\n")
    with pytest.raises(DataError, match=r"line 1 of .*nyu_test\.txt has 2 words: .* expected 3"):
        open_dataset(f"depth:{folder}")
