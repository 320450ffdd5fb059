"""SugarCrepe and VL-CheckList in their own layouts, and the former as clip-benchmark scores it."""

import json

import numpy as np
import pytest
import torch
from clip_benchmark.datasets.sugar_crepe import SugarCrepe
from clip_benchmark.metrics.image_caption_selection import evaluate
from letters_model import LettersModel, letters, pixels
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.compositionality import Compositionality, CompositionalitySettings
from mlcd_eval.spec import DatasetSpec, TaskIndex


def picture(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(256, size=(8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


def sugarcrepe(folder, count=12):
    """Two of its files, whose numbers have gaps."""
    for sort, first in (("add_att", 0), ("swap_obj", 5)):
        items = {}
        for number in range(count):
            image = f"{first + number:012d}.jpg"
            picture(folder / "images" / image, first + number)
            right = f"a dog {number} beside a cat {sort}"
            items[str(2 * number)] = {"filename": image, "caption": right, "negative_caption": f"wrong {right}"}
        (folder / f"{sort}.json").write_text(json.dumps(items))
    return folder


def test_sugarcrepe(tmp_path):
    folder = sugarcrepe(tmp_path / "sugarcrepe")
    assert find_dataset(tmp_path, TaskIndex.load().datasets["sugarcrepe"]) == f"sugarcrepe:{folder}"
    assert discover(tmp_path) == [("sugarcrepe", f"sugarcrepe:{folder}")]
    dataset = open_dataset(f"sugarcrepe:{folder}")
    items = dataset.annotations("test")
    right = "a dog 1 beside a cat add_att"
    assert items[1] == Pairs("add_att/2", ("000000000001.jpg",), (right, f"wrong {right}"), "add_att")
    assert len(items) == 24 and dataset.split("test").scan().num_samples == 17  # of which seven are in both files
    assert len(open_dataset(f"sugarcrepe:{folder}?sort=swap_obj").annotations("test")) == 12
    with pytest.raises(DataError, match=r"has no replace_obj\.json: expected a file for each sort of captions"):
        open_dataset(f"sugarcrepe:{folder}?sort=replace_obj")
    with pytest.raises(DataError, match="sugarcrepe has no split 'val': got one of test"):
        dataset.split("val")
    (folder / "add_obj.json").write_text('{"0": {"filename": "x.jpg", "caption": "a"}}')
    with pytest.raises(DataError, match=r"add_obj\.json: 0\.negative_caption: Field required"):
        open_dataset(f"sugarcrepe:{folder}")
    (folder / "add_obj.json").write_text('{"0": {"filename": "../x", "caption": "a", "negative_caption": "b"}}')
    with pytest.raises(DataError, match="outside"):
        open_dataset(f"sugarcrepe:{folder}")


def ours(images, items):
    model = LettersModel(0.5)
    array = model.encode_image(torch.stack([pixels(image) for image in images.values()])).numpy()
    inputs = Inputs(
        {"test": Features(array, list(images), None)},
        lambda texts: model.encode_text(letters(texts)).numpy(),
        annotations={"test": items},
    )
    scores = Compositionality().score(CompositionalitySettings(dialect="clip-benchmark"), inputs)
    return {metric.name: metric.value for metric in scores.metrics}


def theirs(items):
    """clip-benchmark's own metric of images (one or several stacked) and texts."""
    loader = torch.utils.data.DataLoader(items, batch_size=6, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))
    batches = [(torch.stack(images), list(texts)) for images, texts in loader]
    return evaluate(LettersModel(0.5), batches, letters, "cpu", amp=False)


def test_clip_benchmark_has_the_same_of_sugarcrepe(tmp_path):
    folder = sugarcrepe(tmp_path / "sugarcrepe")
    expected = theirs(SugarCrepe(str(folder / "images"), str(folder / "swap_obj.json"), transform=pixels))
    dataset = open_dataset(f"sugarcrepe:{folder}?sort=swap_obj")
    images = {
        sample.key: decode(sample.image, sample.key)
        for shard in dataset.split("test").shards
        for sample in shard.samples()
    }
    found = ours(images, dataset.annotations("test"))
    assert found == {"text_accuracy": pytest.approx(expected["text_acc"])} and 0 < found["text_accuracy"] < 1
    assert expected["acc"] == pytest.approx(found["text_accuracy"]) and expected["image_acc"] == 1


def test_clip_benchmark_has_the_same_of_winoground():
    images, items, rows = {}, [], []
    for number in range(40):
        keys = (f"{number}a", f"{number}b")
        for place, key in enumerate(keys):
            noise = np.random.default_rng([number, place]).integers(256, size=(8, 8, 3), dtype=np.uint8)
            images[key] = Image.fromarray(noise)
        texts = (f"{'a' * number} dog sees cat", f"cat sees {'q' * number} dog")
        items.append(Pairs(str(number), keys, texts))
        rows.append((torch.stack([pixels(images[key]) for key in keys]), list(texts)))
    expected = theirs(rows)
    found = ours(images, items)
    assert found == pytest.approx(
        {
            "text_accuracy": expected["text_acc"],
            "image_accuracy": expected["image_acc"],
            "group_accuracy": expected["acc"],
        }
    )
    assert 0 < found["group_accuracy"] < found["text_accuracy"]


def checklist(folder):
    for place, rows in {
        "Attribute/vaw/color": [["VG_100K/1.jpg", {"POS": ["red car"], "NEG": ["blue car"]}]],
        "Object/Location/swig_location/swig_agent/swig_agent_mid": [
            ["a_8.jpg", {"POS": ["an adult dials", "a man dials"], "NEG": ["a bird dials", "a cat dials"]}],
        ],
        "Relation/hake_action": [["pic/2.jpg", {"POS": ["person hold cup"], "NEG": ["person wash cup"]}]] * 2,
    }.items():
        file = folder / "data" / f"{place}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rows))
    for image in ("vg/VG_100K/1.jpg", "swig/a_8.jpg", "hake/pic/2.jpg"):
        picture(folder / image)
    return folder


def test_vl_checklist(tmp_path):
    folder = checklist(tmp_path / "vl_checklist")
    assert find_dataset(tmp_path, DatasetSpec(name="vl_checklist", kind="pairs")) == f"vl-checklist:{folder}"
    dataset = open_dataset(f"vl-checklist:{folder}")
    agent = "Object/Location/swig_location/swig_agent/swig_agent_mid"
    assert dataset.annotations("test")[:3] == [
        Pairs("Attribute/vaw/color/0", ("vg/VG_100K/1.jpg",), ("red car", "blue car"), "Attribute/vaw/color"),
        Pairs(f"{agent}/0", ("swig/a_8.jpg",), ("an adult dials", "a bird dials"), agent),
        Pairs(
            "Relation/hake_action/0",
            ("hake/pic/2.jpg",),
            ("person hold cup", "person wash cup"),
            "Relation/hake_action",
        ),
    ]
    assert dataset.split("test").scan().num_samples == 3
    assert len(open_dataset(f"vl-checklist:{folder}?type=Relation").annotations("test")) == 2
    (folder / "data/Attribute/color.json").write_text("[]")
    with pytest.raises(DataError, match="does not say whose images it is of: expected hake, swig, vg, vaw in its path"):
        open_dataset(f"vl-checklist:{folder}")
    with pytest.raises(DataError, match="has no items: expected images with texts to choose from"):
        open_dataset(f"vl-checklist:{tmp_path}")
    (folder / "data/Attribute/color.json").unlink()
    (folder / "data/Attribute/vaw/color.json").write_text('[["1.jpg", {"POS": ["a"]}]]')
    with pytest.raises(DataError, match=r"color\.json: 0\.1\.NEG: Field required"):
        open_dataset(f"vl-checklist:{folder}")
