"""Choices by `datasets`, in the columns of mteb's copies of Winoground and SugarCrepe, saved and read locally."""

import numpy as np
import pytest
from PIL import Image as PILImage

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import ConfigError, DataError

datasets = pytest.importorskip("datasets")
from datasets import Dataset, DatasetDict, Features, Image, Value  # noqa: E402

WINOGROUND = "images=image_0,image_1&texts=caption_0,caption_1"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf_cache"))
    datasets.disable_progress_bars()


def save(folder, split="test", **columns):
    """Columns of grey levels, which become images, and of texts."""
    kinds = {name: Image() if isinstance(values[0], int) else Value("string") for name, values in columns.items()}
    shown = {
        name: [PILImage.fromarray(np.full((4, 5, 3), grey, np.uint8)) for grey in values]
        if isinstance(values[0], int)
        else values
        for name, values in columns.items()
    }
    DatasetDict({split: Dataset.from_dict(shown, features=Features(kinds))}).save_to_disk(folder)
    return folder


def winoground(tmp_path, **changes):
    columns = {"image_0": [10, 20], "image_1": [20, 30], "caption_0": ["a", "b"], "caption_1": ["c", "d"]}
    return save(tmp_path / "w", **{**columns, **changes})


def test_images_of_equal_contents_are_one(tmp_path):
    dataset = open_dataset(f"hf-pairs:{winoground(tmp_path)}?{WINOGROUND}", offline=True)
    assert (dataset.kind, dataset.splits) == ("pairs", ("test",))
    samples = [sample for shard in dataset.split("test").shards for sample in shard.samples()]
    greys = {sample.key: decode(sample.image, sample.key).getpixel((0, 0))[0] for sample in samples}
    assert sorted(greys.values()) == [10, 20, 30] and dataset.split("test").scan().num_samples == 3
    key = {grey: name for name, grey in greys.items()}
    assert dataset.annotations("test") == [
        Pairs("0", (key[10], key[20]), ("a", "c")),
        Pairs("1", (key[20], key[30]), ("b", "d")),
    ]


def test_sugarcrepes_columns_and_split(tmp_path):
    folder = save(tmp_path / "s", "train", images=[1, 1], caption=["x", "y"], negative_caption=["not x", "not y"])
    ref = f"hf-pairs:{folder}?images=images&texts=caption,negative_caption&split_test=train"
    items = open_dataset(ref, offline=True).annotations("test")
    assert [item.texts for item in items] == [("x", "not x"), ("y", "not y")]
    assert items[0].images == items[1].images


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "images=image_0,image_2&texts=caption_0",
            r"no column 'image_2' for images: got .* \(did you mean 'image_[01]'",
        ),
        ("images=image_0&texts=image_1,caption_0", r"column 'image_1' of .* holds no texts: got Image"),
        ("images=caption_0&texts=caption_1", r"column 'caption_0' of .* holds no images: got Value"),
        ("images=image_0&texts=caption_0", "holds no choice: got one column of images and one of texts"),
        ("images=image_0", r"lacks the option texts, the columns of texts"),
    ],
)
def test_wrong_columns(tmp_path, options, says):
    folder = winoground(tmp_path)
    with pytest.raises(ConfigError, match=says):
        open_dataset(f"hf-pairs:{folder}?{options}", offline=True)


def test_cells_that_are_empty(tmp_path):
    dataset = open_dataset(f"hf-pairs:{winoground(tmp_path, caption_0=['a', None])}?{WINOGROUND}", offline=True)
    with pytest.raises(DataError, match=r"row 1 of w test has the texts \(None, 'd'\), expected strings"):
        dataset.annotations("test")
    with pytest.raises(DataError, match="w has no split 'val': got one of test"):
        dataset.annotations("val")


def test_an_item_without_its_image(tmp_path):
    folder = tmp_path / "w"
    dataset = Dataset.from_dict(
        {
            "image_0": [PILImage.new("RGB", (4, 5)), None],
            "image_1": [PILImage.new("RGB", (4, 5), "red")] * 2,
            "caption_0": ["a", "b"],
            "caption_1": ["c", "d"],
        },
        features=Features(
            {
                name: Image() if "image" in name else Value("string")
                for name in ("image_0", "image_1", "caption_0", "caption_1")
            }
        ),
    )
    DatasetDict({"test": dataset}).save_to_disk(folder)
    with pytest.raises(DataError, match="an item has no image: got an empty cell, expected an image"):
        open_dataset(f"hf-pairs:{folder}?{WINOGROUND}", offline=True).split("test").scan()
