from types import SimpleNamespace

import pytest
from fresh_python import imported

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import (
    default_name,
    discover,
    find_dataset,
    is_copy_of,
    is_on_network,
    is_slow_to_open,
    parse_reference,
    split_reference,
    with_option,
    with_root,
)
from mlcd_eval.errors import ConfigError, DataError


def facts(name, kind="classification", hub=None, split_by=None):
    return SimpleNamespace(name=name, kind=kind, hub=hub, split_by=split_by)


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (
            "wsd:x",
            r"^dataset 'wsd:x' has the unknown scheme 'wsd' \(did you mean 'wds'\?\): expected one of wds:DIR\|URL",
        ),
        ("/data/pets", r"^dataset '/data/pets' has no scheme: expected one of wds:.*, docvqa:FILE.*, hf-vqa:"),
        ("wds:", r"does not say where the data is: expected wds:DIR\|URL"),
        ("hf:a/b?lable=x", r"has the option 'lable' \(did you mean 'label'\?\): expected NAME=VALUE with NAME one of"),
        ("hf:a/b?label", "has label=: expected the column of labels"),
        (
            "torchvision:CIFAR10",
            r"lacks the option root, the folder of its files: expected torchvision:CLASS\?root=DIR",
        ),
        ("torchvision:CIFAR10?root=x&download=yes", "has download=yes: expected true or false"),
        ("refer:unc", "refer:unc is too short: expected refer:ROOT/NAME/SPLIT_BY"),
        ("refer:data/unc", "refer:data/unc is too short: expected refer:ROOT/NAME/SPLIT_BY"),
    ],
)
def test_bad_reference(ref, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(ref)


def test_a_reference_is_taken_apart():
    reference = parse_reference("hf:org/name?config=a%2Fb&revision=v1")
    assert (reference.scheme.name, reference.address) == ("hf", "org/name")
    assert reference.options == {"config": "a/b", "revision": "v1"}
    assert parse_reference("wds:https://host/x?token=1").address == "https://host/x?token=1"  # it has no options


def test_download_offline():
    with pytest.raises(DataError, match="asks for a download, and this run is offline"):
        open_dataset("torchvision:CIFAR10?root=x&download=true", offline=True)


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("wds:/data/wds_pets/", "pets"),
        ("wds:/data/vtab/cifar10", "cifar10"),
        ("wds:https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd", "vtab-dtd"),
        ("wds:https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd/tree/main", "vtab-dtd"),
        ("hf:org/name?config=x/y", "name"),
        ("torchvision:CIFAR10?root=/data/c", "CIFAR10"),
        ("refer:/data/refcoco/unc/testA", "refcoco_testA"),
        ("refer:/data/refcoco/google/val", "refcoco_google_val"),
        ("refer:/data/refcocog/umd/val", "refcocog_val"),
        ("refer:/data/refcocog/google/val", "refcocog_google_val"),
        ("refer:/data/grefcoco/unc/val", "grefcoco_val"),
        ("docvqa:/data/spdocvqa_qas/val_v1.0_withQT.json?images=/x", "spdocvqa_qas_val"),
    ],
)
def test_default_name(ref, name):
    assert default_name(ref) == name


def test_name_of_the_working_folder(pets, monkeypatch):
    monkeypatch.chdir(pets)
    assert open_dataset("wds:.").name == "pets"
    assert open_dataset("wds:.", name="animals").name == "animals"


@pytest.mark.parametrize(
    ("ref", "on_network", "slow"),
    [
        ("wds:/data/x", False, False),
        ("wds:http_data/x", False, False),
        ("wds:https://host/x", True, True),
        ("hf:org/name", True, True),
        ("hf:{tmp}", False, True),
        ("hf-vqa:org/name?config=c", True, True),
        ("torchvision:MNIST?root=/data", False, True),
        ("docvqa:/data/val_v1.0.json", False, False),
    ],
)
def test_what_a_plan_may_open(ref, on_network, slow, tmp_path):
    ref = ref.format(tmp=tmp_path)
    assert (is_on_network(ref), is_slow_to_open(ref)) == (on_network, slow)


def test_an_option_is_added_once():
    assert with_option("hf:o/n", "revision", "v1") == "hf:o/n?revision=v1"
    assert with_option("hf:o/n?config=c", "revision", "a b") == "hf:o/n?config=c&revision=a+b"
    assert with_option("hf:o/n?revision=v2", "revision", "v1") == "hf:o/n?revision=v2"


def test_docvqa_takes_its_images_from_the_data_root(tmp_path):
    ref = with_root("docvqa:/data/val_v1.0.json", tmp_path)
    assert parse_reference(ref).options == {"images": str(tmp_path)}
    assert with_root("docvqa:/data/val_v1.0.json?images=/x", tmp_path) == "docvqa:/data/val_v1.0.json?images=/x"
    assert with_root("wds:/data/x", tmp_path) == "wds:/data/x"


def test_each_split_of_a_refer_data_set_is_a_task():
    assert split_reference("refer:/data/refcoco/unc", "testA") == "refer:/data/refcoco/unc/testA"
    assert split_reference("wds:/data/x", "test") is None


def test_a_path_shows_a_known_refer_data_set():
    known = facts("refcoco", "refer", split_by="unc")
    assert is_copy_of("refer:/data/refcoco/unc/val", known)
    assert not is_copy_of("refer:/data/refcoco/google/val", known)
    assert not is_copy_of("refer:/data/refcoco+/unc/val", known)
    assert not is_copy_of("wds:/data/refcoco", known)


def test_discover(pets, make):
    root = pets.parent
    make.wds(root / "a_first", {"test": [make.classification(1, 1)]})
    make.wds(root / "deeper" / "wds_x", {"test": [make.classification(1, 1)]})
    (root / "empty").mkdir()
    touch(root / "refer" / "refcoco" / "refs(unc).p", root / "qas" / "val_v1.0.json")
    assert discover(root) == [
        ("a_first", f"wds:{root}/a_first"),
        ("pets", f"wds:{pets}"),
        ("qas_val", f"docvqa:{root}/qas/val_v1.0.json"),
        ("refcoco", f"refer:{root}/refer/refcoco/unc"),
    ]
    assert discover(root / "nowhere") == []


def test_find_a_folder_in_clip_benchmarks_layout(pets, make):
    root = pets.parent
    for name in ("wds_vtab-dtd", "vtab/svhn", "imagenet-a"):
        make.wds(root / name, {"test": [make.classification(1, 1)]})
    (root / "pets").mkdir()  # not in this layout
    assert find_dataset(root, facts("pets")) == f"wds:{pets}"
    assert find_dataset(root, facts("textures", hub="org/vtab-dtd")) == f"wds:{root}/wds_vtab-dtd"
    assert find_dataset(root, facts("vtab/dtd")) == f"wds:{root}/wds_vtab-dtd"
    assert find_dataset(root, facts("vtab/svhn")) == f"wds:{root}/vtab/svhn"
    assert find_dataset(root, facts("imagenet-a", hub="org/pets")) == f"wds:{root}/imagenet-a"
    assert find_dataset(root, facts("pets", kind=None)) == f"wds:{pets}"
    assert find_dataset(root, facts("dtd")) is None
    make.wds(root / "Food101", {"test": [make.classification(1, 1)]})
    assert find_dataset(root, facts("food101")) == f"wds:{root}/Food101"
    assert find_dataset(root, facts("pets", kind="docvqa")) is None  # that layout cannot hold questions


COCO = '{"images": [], "annotations": []}'


@pytest.mark.parametrize(
    ("files", "kind", "found"),
    [
        ({"mine.csv": "path,label\na.png,cat\n"}, "classification", "csv:{root}/mine.csv"),
        ({"mine.tsv": "path\tcaption\na.png\ta cat\n"}, "retrieval", "csv:{root}/mine.tsv"),
        ({"mine.json": COCO}, "retrieval", "coco:{root}/mine.json"),
        ({"mine/annotations.json": COCO}, "refer", "coco:{root}/mine/annotations.json"),
        ({"mine/annotations.json": "[]"}, "retrieval", None),
        ({"mine/test/cat/a.png": "x", "mine/test/dog/b.png": "x"}, "classification", "imagefolder:{root}/mine"),
        ({"mine/00000.tar": "x"}, "retrieval", "tars:{root}/mine/*.tar"),
        ({"mine.views.json": "{{}}"}, "classification", "views:{root}/mine.views.json"),
    ],
)
def test_find_plain_files_and_folders(tmp_path, files, kind, found):
    for name, text in files.items():
        touch(tmp_path / name)
        (tmp_path / name).write_text(text)
    assert find_dataset(tmp_path, facts("mine", kind)) == (found and found.format(root=tmp_path))
    assert find_dataset(tmp_path, facts("other", kind)) is None


def test_find_a_refer_data_set_by_the_author_of_its_splits(tmp_path):
    touch(tmp_path / "refer" / "refcocog" / "refs(umd).p")
    assert find_dataset(tmp_path, facts("refcocog", "refer", split_by="umd")) == f"refer:{tmp_path}/refer/refcocog/umd"
    assert find_dataset(tmp_path, facts("refcocog", "refer", split_by="google")) is None
    assert find_dataset(tmp_path, facts("refcocog", "refer")) is None
    touch(tmp_path / "grefcoco" / "grefs(unc).json")
    assert find_dataset(tmp_path, facts("grefcoco", "refer", split_by="unc")) == f"refer:{tmp_path}/grefcoco/unc"


def test_find_the_annotations_of_a_split(tmp_path):
    qas = tmp_path / "spdocvqa_qas"
    touch(qas / "val_v1.0.json", qas / "val_v1.0_withQT.json", qas / "test_v1.0.json")
    touch(tmp_path / "infographicsVQA_val_v1.0_withQT.json")
    assert find_dataset(tmp_path, facts("docvqa", "docvqa"), "test") == f"docvqa:{qas}/test_v1.0.json"
    assert find_dataset(tmp_path, facts("docvqa", "docvqa")) == f"docvqa:{qas}/val_v1.0_withQT.json"
    infographics = f"docvqa:{tmp_path}/infographicsVQA_val_v1.0_withQT.json"
    assert find_dataset(tmp_path, facts("infovqa", "docvqa"), "val") == infographics
    assert find_dataset(tmp_path, facts("docvqa", "docvqa"), "train") is None


def test_importing_is_light():
    assert not imported("import mlcd_eval.data") & {"PIL", "datasets", "numpy", "pydantic"}
