import subprocess
import sys

import pytest

from mlcd_eval.data import discover, find, open_dataset
from mlcd_eval.data.open import default_name
from mlcd_eval.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("wsd:x", r"dataset 'wsd:x' cannot be opened, unknown kind 'wsd' \(did you mean 'wds'\?\): expected KIND:PATH"),
        (
            "/data/pets",
            "kind or path is missing: expected KIND:PATH with KIND one of wds, imagefolder, hf, torchvision",
        ),
        ("wds:", "kind or path is missing"),
        ("hf:a/b?lable=x", r"has the option 'lable' \(did you mean 'label'\?\): expected NAME=VALUE with NAME one of"),
        ("hf:a/b?label", "has no value of label"),
        ("torchvision:CIFAR10", r"does not say where its files are: expected torchvision:CIFAR10\?root=DIR"),
        ("torchvision:CIFAR10?root=x&download=yes", "has download=yes: expected true or false"),
    ],
)
def test_bad_reference(ref, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(ref)


def test_download_offline():
    with pytest.raises(DataError, match="asks for a download, and this run is offline"):
        open_dataset("torchvision:CIFAR10?root=x&download=true", offline=True)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("/data/wds_pets/", "pets"),
        ("/data/vtab/cifar10", "cifar10"),
        ("https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd", "vtab-dtd"),
        ("https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd/tree/main", "vtab-dtd"),
        ("org/name?config=x/y", "name"),
        ("CIFAR10?root=/data/c", "CIFAR10"),
    ],
)
def test_default_name(where, name):
    assert default_name(f"wds:{where}") == name


def test_name_of_the_folder_one_is_in(pets, monkeypatch):
    monkeypatch.chdir(pets)
    assert open_dataset("wds:.").name == "pets"
    assert open_dataset("wds:.", name="animals").name == "animals"


def test_discover(pets, make):
    root = pets.parent
    make.wds(root / "a_first", {"test": [make.classification(1, 1)]})
    make.wds(root / "deeper" / "wds_x", {"test": [make.classification(1, 1)]})
    (root / "empty").mkdir()
    assert discover(root) == [("a_first", f"wds:{root}/a_first"), ("pets", f"wds:{pets}")]
    assert discover(root / "nowhere") == []


def test_find(pets, make):
    root = pets.parent
    for name in ("wds_vtab-dtd", "vtab/svhn", "imagenet-a"):
        make.wds(root / name, {"test": [make.classification(1, 1)]})
    (root / "pets").mkdir()  # not in this layout
    assert find(root, ["pets"]) == f"wds:{pets}"
    assert find(root, ["cats", "vtab/dtd"]) == f"wds:{root}/wds_vtab-dtd"
    assert find(root, ["vtab/svhn"]) == f"wds:{root}/vtab/svhn"
    assert find(root, ["imagenet-a", "pets"]) == f"wds:{root}/imagenet-a"
    assert find(root, ["dtd"]) is None


def test_importing_is_light():
    code = (
        "import sys, mlcd_eval.data; print([m for m in ('torch', 'datasets', 'requests', 'numpy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
