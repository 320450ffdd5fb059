import struct

import numpy as np
import pytest
from opened import samples

from mlcd_eval.data import open_dataset
from mlcd_eval.errors import ConfigError, DataError

torchvision = pytest.importorskip("torchvision")


@pytest.fixture
def mnist(tmp_path):
    """Files in MNIST's format: train of 1,030 images of noise, test of 3."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 1030), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, *images.shape) + images.tobytes())
        labels = np.arange(count, dtype=np.uint8) % 10
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, count) + labels.tobytes())
    return tmp_path


@pytest.fixture
def country211(tmp_path, make):
    for split, name in (("train", "AD/1.jpg"), ("train", "AE/2.jpg"), ("valid", "AE/3.jpg"), ("test", "AD/4.jpg")):
        path = tmp_path / "country211" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make.image(kind="JPEG"))
    for split in ("valid", "test"):
        for name in ("AD", "AE"):
            (tmp_path / "country211" / split / name).mkdir(exist_ok=True)
            (tmp_path / "country211" / split / name / "0.jpg").write_bytes(make.image(kind="JPEG"))
    return tmp_path


def test_decoded_images(mnist):
    dataset = open_dataset(f"torchvision:MNIST?root={mnist}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("MNIST", "classification", ("train", "test"))
    assert dataset.class_names[:2] == ("0 - zero", "1 - one")
    oracle = torchvision.datasets.MNIST(mnist, train=False)
    for sample, (image, label) in zip(samples(dataset, "test"), oracle, strict=True):
        assert (sample.image.tobytes(), sample.label) == (image.tobytes(), label)
    train = dataset.split("train")
    assert [shard.scan().num_samples for shard in train.shards] == [1024, 6]
    assert [sample.key for sample in train.shards[1].samples()] == [str(row) for row in range(1024, 1030)]
    assert train.scan() == open_dataset(f"torchvision:MNIST?root={mnist}").split("train").scan()
    with pytest.raises(
        DataError,
        match=r"MNIST has no split 'val' \(torchvision's MNIST has train and test only\): got one of",
    ):
        dataset.split("val")


def test_images_that_are_files(country211, tmp_path):
    cache = tmp_path / "cache"
    dataset = open_dataset(f"torchvision:Country211?root={country211}", cache=cache)
    assert dataset.splits == ("train", "val", "test")
    assert dataset.class_names == ("AD", "AE")
    read = samples(dataset, "val")
    assert [sample.image.relative_to(country211).as_posix() for sample in read] == [
        "country211/valid/AD/0.jpg",
        "country211/valid/AE/0.jpg",
        "country211/valid/AE/3.jpg",
    ]
    assert [sample.label for sample in read] == [0, 1, 1]
    assert dataset.split("val").scan().num_samples == 3
    assert len(list((cache / "scans").iterdir())) == 1


def test_reason_why_a_split_is_absent(country211):
    (country211 / "country211" / "train").rename(country211 / "elsewhere")
    dataset = open_dataset(f"torchvision:Country211?root={country211}")
    assert dataset.splits == ("val", "test")
    with pytest.raises(DataError, match=r"no split 'train' \(.*country211/train.*\): got one of val, test"):
        dataset.split("train")


@pytest.mark.parametrize(
    ("class_name", "error", "message"),
    [
        ("CIFA10", ConfigError, r"torchvision.datasets has no class 'CIFA10' \(did you mean 'CIFAR10'\?\)"),
        ("SUN397", ConfigError, "torchvision's SUN397 has no splits"),
        ("CIFAR10", DataError, "torchvision's CIFAR10 cannot be read from .*: Dataset not found or corrupted"),
        ("DTD", DataError, "torchvision's DTD cannot be read from .*: Dataset not found"),
    ],
)
def test_not_there(class_name, error, message, tmp_path):
    with pytest.raises(error, match=message):
        open_dataset(f"torchvision:{class_name}?root={tmp_path}")


def test_other_than_classification(tmp_path, make):
    for part in ("training", "testing"):
        (tmp_path / "Kitti" / "raw" / part / "image_2").mkdir(parents=True)
        (tmp_path / "Kitti" / "raw" / part / "image_2" / "0.png").write_bytes(make.image())
    (tmp_path / "Kitti" / "raw" / "training" / "label_2").mkdir()
    (tmp_path / "Kitti" / "raw" / "training" / "label_2" / "0.txt").touch()
    split = open_dataset(f"torchvision:Kitti?root={tmp_path}").split("train")
    message = (
        r"row 0 of Kitti train is not a sample to classify: got \(\w+, list\), expected an image and a class index"
    )
    with pytest.raises(DataError, match=message):
        split.scan()
