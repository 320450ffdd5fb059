"""Layouts of instance retrieval, each in the smallest form that its own files have."""

import json
import pickle

import numpy as np
import pytest
from opened import samples
from search_files import write

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Search
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec


def labels(dataset, split):
    return {sample.key: sample.label for sample in samples(dataset, split)}


TRUTH = {
    "imlist": ["all_souls_000013", "all_souls_000026", "oxford_002985"],
    "qimlist": ["all_souls_000006"],
    "gnd": [{"bbx": [1.2, 0.6, 6.0, 5.4], "easy": [1], "hard": [0], "junk": [2]}],
}


def revisited(root, truth=TRUTH, suffix="pkl"):
    folder = root / "roxford5k"
    for image in (*TRUTH["imlist"], *TRUTH["qimlist"]):
        write(folder / "jpg" / f"{image}.jpg")
    file = folder / f"gnd_roxford5k.{suffix}"
    file.write_bytes(pickle.dumps(truth) if suffix == "pkl" else json.dumps(truth).encode())
    return file


@pytest.mark.parametrize("suffix", ["pkl", "json"])
def test_revisited_oxford(tmp_path, suffix):
    file = revisited(tmp_path, suffix=suffix)
    assert find_dataset(tmp_path, DatasetSpec(name="roxford5k", kind="instances")) == f"revisitop:{file}"
    assert ("roxford5k", f"revisitop:{file}") in discover(tmp_path)
    dataset = open_dataset(f"revisitop:{file}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("roxford5k", "instances", ("test", "gallery"))
    key = "all_souls_000006"
    assert dataset.annotations("test") == [
        Search(key, ("all_souls_000026",), ("all_souls_000013",), ("oxford_002985",))
    ]
    assert dataset.annotations("gallery") == ()
    (query,) = samples(dataset, "test")
    assert (query.key, query.image.size) == (key, (5, 4))  # cut as Pillow rounds the box
    assert [sample.key for sample in samples(dataset, "gallery")] == TRUTH["imlist"]
    assert dataset.split("test").scan().num_samples == 1 and dataset.split("gallery").scan().num_samples == 3


def test_distractors_join_the_gallery(tmp_path):
    file = revisited(tmp_path)
    write(tmp_path / "revisitop1m" / "0" / "a.jpg")
    dataset = open_dataset(f"revisitop:{file}?distractors={tmp_path / 'revisitop1m'}")
    assert [sample.key for sample in samples(dataset, "gallery")][-1] == "distractors/0/a.jpg"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gnd": []}, r"has 0 lists for 1 queries: expected one each"),
        (
            {"gnd": [{**TRUTH["gnd"][0], "junk": [3]}]},
            r"lists the image 3 for the query 'all_souls_000006': expected 0",
        ),
        ({"gnd": [{**TRUTH["gnd"][0], "bbx": [1]}]}, r"gnd\.0\.bbx"),
        ({"gnd": [{**TRUTH["gnd"][0], "bbx": [1.2, 0.6, 6.0, float("inf")]}]}, r"gnd\.0\.bbx\.3: .*finite"),
        ({"imlist": ["../../x"] * 3}, r"has the image '\.\./\.\./x\.jpg', which is outside"),
        ({"imlist": ["a", "b", "a"]}, r"the split 'gallery' of roxford5k lists 'a' again"),
        ({"imlist": np.array(["a"])}, r"is refused: its pickle asks for numpy"),
    ],
)
def test_what_is_wrong_with_revisited_ground_truth(tmp_path, change, says):
    with pytest.raises(DataError, match=says):
        open_dataset(f"revisitop:{revisited(tmp_path, {**TRUTH, **change})}")


def test_a_box_beyond_its_image_and_a_pickle_that_calls(tmp_path):
    truth = {**TRUTH, "gnd": [{**TRUTH["gnd"][0], "bbx": [0, 0, 9, 6]}]}
    with pytest.raises(
        DataError,
        match=r"gnd_roxford5k\.pkl: the box of the query 'all_souls_000006' is not in its image: .* 8 x 6 pixels",
    ):
        open_dataset(f"revisitop:{revisited(tmp_path, truth)}").split("test").scan()
    with pytest.raises(DataError, match="is refused: its pickle asks for"):
        open_dataset(f"revisitop:{revisited(tmp_path, print)}")


A, B, C, Q = "0a1b2c3d4e5f6071", "0b1b2c3d4e5f6071", "ff1b2c3d4e5f6071", "12ab2c3d4e5f6071"


def landmarks(root, solution=f"id,images,Usage\n{Q},{A} {C},Private\n{A},{B},Public\n{B},None,Ignored\n"):
    folder = root / "gldv2"
    write(folder / "retrieval_solution_v2.1.csv", solution)
    write(folder / "index_image_to_landmark.csv", f"id,landmark_id\n{A},1\n{B},2\n{C},1\n")
    for part, images in (("index", (A, B, C)), ("test", (Q, A))):
        for image in images:
            write(folder / part / image[0] / image[1] / image[2] / f"{image}.jpg")
    return folder


def test_google_landmarks(tmp_path):
    folder = landmarks(tmp_path)
    assert find_dataset(tmp_path, DatasetSpec(name="gldv2", kind="instances")) == f"gldv2:{folder}"
    dataset = open_dataset(f"gldv2:{folder}")
    assert dataset.annotations("test") == [Search(Q, (A, C))] and dataset.annotations("gallery") == ()
    with pytest.raises(DataError, match=r"gldv2 has no split 'train': got one of test, gallery$"):
        dataset.annotations("train")
    assert dataset.split("test").scan().num_samples == 1 and dataset.split("gallery").scan().num_samples == 3
    assert open_dataset(f"gldv2:{folder}?usage=Public").annotations("test") == [Search(A, (B,))]


@pytest.mark.parametrize(
    ("solution", "says"),
    [
        (f"id,images,Usage\n{Q},{Q},Private\n", f"lists '{Q}' for the query '{Q}': expected an image of"),
        (f"id,images,Usage\n../x,{A},Private\n", r"has the image '\.\./x': expected hexadecimal digits"),
        (f"id,images,Usage\n{Q},{A},Public\n", "has no query of Usage Private: expected some, see"),
        ("id,images\n", "lacks the columns Usage: got id, images"),
    ],
)
def test_what_is_wrong_with_a_solution(tmp_path, solution, says):
    with pytest.raises(DataError, match=says):
        open_dataset(f"gldv2:{landmarks(tmp_path, solution)}")


def test_google_landmarks_recognition(tmp_path):
    folder = landmarks(tmp_path)
    write(
        folder / "recognition_solution_v2.1.csv", f"id,landmarks,Usage\n{Q},7 9,Private\n{A},,Private\n{B},7,Public\n"
    )
    write(folder / "train.csv", f"id,url,landmark_id\n{A},http://x,7\n{B},http://y,8\n{C},http://z,7\n")
    for image in (A, B, C):
        write(folder / "train" / image[0] / image[1] / image[2] / f"{image}.jpg")
    write(folder / "test" / B[0] / B[1] / B[2] / f"{B}.jpg")
    folder = folder.rename(tmp_path / "gldv2_recognition")
    facts = DatasetSpec(name="gldv2_recognition", kind="instances")
    assert find_dataset(tmp_path, facts) == f"gldv2:{folder}?task=recognition"
    dataset = open_dataset(f"gldv2:{folder}?task=recognition")
    assert dataset.annotations("test") == [Search(Q, (A, C)), Search(A, ())]  # 9 is not in train
    assert [sample.key for sample in samples(dataset, "gallery")] == [A, C, B]
    assert dataset.split("gallery").scan().num_samples == 3 and dataset.split("test").scan().num_samples == 2
    write(folder / "train_clean.csv", f"landmark_id,images\n8,{B}\n")
    clean = open_dataset(f"gldv2:{folder}?task=recognition&usage=Public")
    assert clean.annotations("test") == [Search(B, ())] and [s.key for s in samples(clean, "gallery")] == [B]
    write(folder / "train_clean.csv", "landmark_id,images\n8,../x\n")
    with pytest.raises(DataError, match=r"train_clean\.csv has the image '\.\./x': expected hexadecimal digits"):
        open_dataset(f"gldv2:{folder}?task=recognition")


def test_met(tmp_path):
    folder, lists = tmp_path / "met", tmp_path / "met" / "ground_truth"
    write(lists / "MET_database.json", json.dumps([{"id": 7, "path": f"MET/7/{n}.jpg"} for n in (0, 1)]))
    write(lists / "testset.json", json.dumps([{"MET_id": 7, "path": "test_met/a.jpg"}, {"path": "test_other/b.jpg"}]))
    for image in ("MET/7/0.jpg", "MET/7/1.jpg", "test_met/a.jpg", "test_other/b.jpg"):
        write(folder / "images" / image)
    assert find_dataset(tmp_path, DatasetSpec(name="met", kind="instances")) == f"met:{folder}"
    dataset = open_dataset(f"met:{folder}")
    assert dataset.annotations("test") == [
        Search("test_met/a.jpg", ("MET/7/0.jpg", "MET/7/1.jpg")),
        Search("test_other/b.jpg", ()),
    ]
    assert dataset.split("test").scan().num_samples == 2 and dataset.split("gallery").scan().num_samples == 2
    with pytest.raises(DataError, match=r"has no file valset\.json: expected it there or in ground_truth"):
        open_dataset(f"met:{folder}?queries=val")
    with pytest.raises(DataError, match=r"has no file mini_MET_database\.json"):
        open_dataset(f"met:{folder}?database=mini")
    write(lists / "testset.json", '[{"MET_id": 7}]')
    with pytest.raises(DataError, match=r"testset\.json: 0\.path: Field required"):
        open_dataset(f"met:{folder}")


IN_SHOP = """3
image_name item_id evaluation_status
img/WOMEN/Dresses/id_00000002/02_1_front.jpg      id_00000002 train
img/WOMEN/Tees/id_00000007/01_1_front.jpg         id_00000007 query
img/WOMEN/Tees/id_00000007/01_2_side.jpg          id_00000007 gallery
"""


def test_in_shop(tmp_path):
    folder = tmp_path / "inshop"
    write(folder / "Eval" / "list_eval_partition.txt", IN_SHOP)
    for line in IN_SHOP.splitlines()[2:]:
        write(folder / "Img" / line.split()[0])
    assert find_dataset(tmp_path, DatasetSpec(name="inshop", kind="classification")) == f"inshop:{folder}"
    dataset = open_dataset(f"inshop:{folder}")
    assert (dataset.kind, dataset.splits) == ("classification", ("train", "test", "gallery"))
    assert labels(dataset, "test") == {"img/WOMEN/Tees/id_00000007/01_1_front.jpg": 1}
    assert labels(dataset, "gallery") == {"img/WOMEN/Tees/id_00000007/01_2_side.jpg": 1}
    assert labels(dataset, "train") == {"img/WOMEN/Dresses/id_00000002/02_1_front.jpg": 0}
    assert dataset.split("test").scan().num_classes == 2
    with pytest.raises(DataError, match=r"inshop has no split 'val': got one of train, test, gallery"):
        dataset.split("val")
    (folder / "Eval" / "list_eval_partition.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt is not UTF-8: .* byte 0xff"):
        open_dataset(f"inshop:{folder}")
    for wrong, says in (
        (IN_SHOP.replace("query", "val"), r"in the split 'val': expected train, query, gallery"),
        (IN_SHOP.replace("id_00000007 gallery", "gallery"), r"line 5 of .* has 2 words: .*, expected 3"),
        ("0\nimage_name item_id evaluation_status\n", "names no images: expected lines of 3 words"),
    ):
        write(folder / "Eval" / "list_eval_partition.txt", wrong)
        with pytest.raises(DataError, match=says):
            open_dataset(f"inshop:{folder}")


def test_cub(tmp_path):
    folder = tmp_path / "CUB_200_2011"
    names = [f"00{n}.Bird_{n}/{n}_{view}.jpg" for n in (1, 2, 3, 4) for view in "ab"]
    write(folder / "images.txt", "".join(f"{n} {name}\n" for n, name in enumerate(names, 1)))
    write(folder / "image_class_labels.txt", "".join(f"{n} {name[2]}\n" for n, name in enumerate(names, 1)))
    for name in names:
        write(folder / "images" / name)
    assert find_dataset(tmp_path, DatasetSpec(name="cub", kind="classification")) == f"cub:{folder}"
    dataset = open_dataset(f"cub:{folder}")
    assert labels(dataset, "train") == dict(zip(names[:4], (0, 0, 1, 1), strict=True))
    assert labels(dataset, "test") == dict(zip(names[4:], (2, 2, 3, 3), strict=True))
    assert dataset.split("test").scan().num_samples == 4
    write(folder / "image_class_labels.txt", "1 1\n")
    with pytest.raises(
        DataError, match=r"does not fit .*images\.txt: got 7 images that are in one of them only, first"
    ):
        open_dataset(f"cub:{folder}")


def test_stanford_online_products_are_a_table(tmp_path):
    rows = ["11319 1 bicycle_final/1.JPG", "11319 1 bicycle_final/2.JPG", "11320 1 bicycle_final/3.JPG"]
    lines = [f"{number} {row.split()[0]} {' '.join(row.split()[1:])}" for number, row in enumerate(rows, 59552)]
    file = write(tmp_path / "Ebay_test.txt", "\n".join(["image_id class_id super_class_id path", *lines]) + "\n")
    for row in rows:
        write(tmp_path / row.split()[2])
    dataset = open_dataset(f"csv:{file}?delimiter=space&image=path&label=class_id")
    assert (dataset.kind, dataset.splits) == ("classification", ("test",))
    expected = {"bicycle_final/1.JPG": 11319, "bicycle_final/2.JPG": 11319, "bicycle_final/3.JPG": 11320}
    assert labels(dataset, "test") == expected


def test_a_table_of_queries_and_a_gallery(tmp_path):
    file = write(tmp_path / "mine.csv", "image,label,split\na.png,cup,query\nb.png,cup,gallery\nc.png,hat,gallery\n")
    for name in "abc":
        write(tmp_path / f"{name}.png")
    dataset = open_dataset(f"csv:{file}")
    assert dataset.splits == ("test", "gallery")
    assert labels(dataset, "test") == {"a.png": 0} and labels(dataset, "gallery") == {"b.png": 0, "c.png": 1}
