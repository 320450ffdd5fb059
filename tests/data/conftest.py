"""Tiny datasets made on the spot; `make` holds the functions that make them."""

import io
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image


def image(color=(1, 2, 3), kind="PNG"):
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), color).save(stream, kind)
    return stream.getvalue()


def npy(values, **options):
    stream = io.BytesIO()
    np.save(stream, np.asarray(values), **options)
    return stream.getvalue()


def tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, contents in files:
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return stream.getvalue()


def classification(count, num_classes, first=0):
    """The files of one shard."""
    numbers = range(first, first + count)
    pairs = [((f"s{i:03d}.png", image((i, 0, 0))), (f"s{i:03d}.cls", b"%d" % (i % num_classes))) for i in numbers]
    return [file for pair in pairs for file in pair]


def wds(root, splits, **texts):
    """splits: {split: [files of a shard, ...]}; texts: {"classnames": ...} and so on."""
    for split, shards in splits.items():
        folder = root / split
        folder.mkdir(parents=True)
        (folder / "nshards.txt").write_text(f"{len(shards)}\n")
        for number, files in enumerate(shards):
            (folder / f"{number}.tar").write_bytes(tar(files))
    for name, text in texts.items():
        (root / f"{name}.txt").write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def make():
    return SimpleNamespace(image=image, npy=npy, tar=tar, classification=classification, wds=wds)


@pytest.fixture
def pets(tmp_path):
    """A classification dataset of three classes; train has two shards."""
    return wds(
        tmp_path / "wds_pets",
        {"train": [classification(4, 3), classification(3, 3, 4)], "test": [classification(5, 3)]},
        classnames="cat\ndog \nsea horse\n",
        zeroshot_classification_templates="a photo of a {c}.\n{c}\n\n",
    )
