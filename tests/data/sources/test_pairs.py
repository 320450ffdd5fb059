"""Files of choices, and the bundled one: what is wrong with a line, and that its texts alone give nothing away."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.blind import BASELINES, Choice, expected
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

ITEM = {"id": "a", "images": ["x/0.png"], "texts": ["right", "wrong"]}


def write(folder, *changes):
    (folder / "x").mkdir(parents=True, exist_ok=True)
    for name in ("0", "1"):
        Image.new("RGB", (4, 6)).save(folder / "x" / f"{name}.png")
    file = folder / "mine.jsonl"
    file.write_text("\n\n".join(json.dumps({**ITEM, **change}) for change in changes or ({},)))
    return file


def test_items_and_their_images(tmp_path):
    file = write(tmp_path, {}, {"id": 3, "images": ["x/1.png", "x/0.png"], "category": "swap"})
    lines = file.read_text() + '\n{"images": ["x/1.png"], "texts": ["b", "c"]}'
    file.write_text(lines)
    dataset = open_dataset(f"pairs:{file}")
    assert (dataset.kind, dataset.name, dataset.splits) == ("pairs", "mine", ("test",))
    assert dataset.annotations("test") == [
        Pairs("a", ("x/0.png",), ("right", "wrong")),
        Pairs("3", ("x/1.png", "x/0.png"), ("right", "wrong"), "swap"),
        Pairs("4", ("x/1.png",), ("b", "c")),
    ]
    samples = [sample for shard in dataset.split("test").shards for sample in shard.samples()]
    assert [sample.key for sample in samples] == ["x/0.png", "x/1.png"]
    assert samples[1].image == tmp_path / "x" / "1.png"


def test_lines_end_at_line_feeds_only(tmp_path):
    file = write(tmp_path)
    item = json.dumps({**ITEM, "texts": ["a\u2028b\x85", "c"]}, ensure_ascii=False)
    file.write_bytes(f"\ufeff{item}\r\n\r\n".encode())
    assert open_dataset(f"pairs:{file}").annotations("test")[0].texts == ("a\u2028b\x85", "c")


def test_other_folders_and_splits(tmp_path):
    file = write(tmp_path / "a").rename(tmp_path / "mine.jsonl")
    dataset = open_dataset(f"pairs:{file}?images={tmp_path / 'a'}&split=val")
    assert dataset.split("val").scan().num_samples == 1
    with pytest.raises(DataError, match=r"mine has no split 'test': got one of val, see \?split="):
        dataset.split("test")


def test_files_are_found_by_name_and_by_their_first_line(tmp_path):
    file = write(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"loss": 1}\n')
    assert find_dataset(tmp_path, DatasetSpec(name="mine", kind="pairs")) == f"pairs:{file}"
    assert discover(tmp_path) == [("mine", f"pairs:{file}"), ("x", f"files:{tmp_path}/x")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", r"mine\.jsonl, line 1 is no JSON object: "),
        ("[1]", r"mine\.jsonl, line 1 is no JSON object: "),
        (json.dumps({**ITEM, "images": []}), r"line 1 of .*mine\.jsonl: images: List should have at least 1 item"),
        (json.dumps({**ITEM, "image": "x"}), r"line 1 of .*: image: Extra inputs are not permitted"),
        (json.dumps({**ITEM, "texts": ["a"]}), "holds no choice: got one image and one text, expected at least two"),
        (json.dumps({**ITEM, "images": ["../y.png"]}), r"line 1 of .* has the image '\.\./y\.png', which is outside"),
        (f"{json.dumps(ITEM)}\n{json.dumps(ITEM)}", r"line 2 of .* has the id 'a' again, expected each once"),
        ("\n", r"mine\.jsonl has no items: expected lines such as \{\"id\": \"a7\""),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, text, says):
    (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(DataError, match=says):
        open_dataset(f"pairs:{tmp_path}/mine.jsonl")


def test_an_image_or_a_file_that_is_missing(tmp_path):
    file = write(tmp_path, {"images": ["x/7.png"]})
    with pytest.raises(DataError, match=r"the image of sample 'x/7\.png' is missing"):
        open_dataset(f"pairs:{file}").split("test").scan()
    with pytest.raises(DataError, match=r"there is no file .*mina\.jsonl \(did you mean 'mine\.jsonl'\?\)"):
        open_dataset(f"pairs:{tmp_path}/mina.jsonl")
    (tmp_path / "mine.jsonl").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="is not UTF-8"):
        open_dataset(f"pairs:{file}")


def bundled(category):
    dataset = open_dataset(f"pairs:{demo_data_dir()}/pairdemo.jsonl")
    return [item for item in dataset.annotations("test") if item.category == category]


def test_what_sees_no_image_is_at_chance_on_the_bundled_items():
    for right, wrong in (item.texts for item in bundled("relation")):
        assert right != wrong and sorted(right.split(" to the left of ")) == sorted(wrong.split(" to the left of "))
    texts = [[text.split(" and ") for text in item.texts] for item in bundled("object")]
    assert all(right[0] == wrong[0] for right, wrong in texts)
    assert Counter(right[1] for right, _ in texts) == Counter(wrong[1] for _, wrong in texts)


def test_the_right_text_of_a_bundled_item_is_true_and_the_wrong_one_is_not():
    refer = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc")
    seen, columns = {}, {}
    for split in refer.splits:
        for each in refer.annotations(split):
            key = f"refer/images/refdemo/refdemo_{int(each.image):06d}.jpg"
            seen.setdefault(key, set()).add(each.text)
            columns[key, each.text] = mask_columns(each.truth)
    for item in bundled("relation"):
        left, right = item.texts[0].split(" to the left of ")
        assert columns[item.images[0], left].mean() + 24 <= columns[item.images[0], right].mean()
    for item in bundled("object"):
        (kept, own), (_, other) = (text.split(" and ") for text in item.texts)
        assert {kept, own} <= seen[item.images[0]] and other not in seen[item.images[0]]


def mask_columns(rle):
    from pycocotools import mask

    return mask.decode(rle).any(axis=0).nonzero()[0]


def shapes():
    return open_dataset(f"pairs:{demo_data_dir()}/shapedemo.jsonl")


def test_the_bundled_shapes_are_in_pairs_of_which_each_text_is_right_once():
    items = shapes().annotations("test")
    assert Counter(item.category for item in items) == dict.fromkeys(("relation", "attribute", "count", "negation"), 40)
    right, wrong = (Counter((item.category, item.texts[place]) for item in items) for place in (0, 1))
    assert right == wrong and all(item.texts[0] != item.texts[1] for item in items)
    assert len({item.images for item in items}) == 160 and shapes().split("test").scan().num_samples == 160


def test_every_baseline_that_sees_no_image_is_at_chance_on_the_bundled_shapes():
    choices = [Choice(item.texts, 1, item.images[0]) for item in shapes().annotations("test")]
    for baseline in BASELINES.values():
        right = [expected(scores, 1, 1)[0] for scores in baseline(choices)]
        for category in (None, "relation", "attribute", "count", "negation"):
            of = [category in (None, item.category) for item in shapes().annotations("test")]
            assert np.mean(np.array(right)[of]) == 0.5


def test_the_right_text_of_bundled_shapes_is_true():
    """By the colours of the pictures: which is left or above, and how many patches of a colour there are."""
    pictures = {sample.key: sample.image for shard in shapes().split("test").shards for sample in shard.samples()}
    colours = {"red": (214, 39, 40), "blue": (31, 90, 200), "green": (44, 140, 60)}
    colours |= {"yellow": (240, 200, 20), "purple": (140, 70, 180), "orange": (250, 120, 20)}
    checked = Counter()
    for item in shapes().annotations("test"):
        pixels = np.asarray(Image.open(pictures[item.images[0]]).convert("RGB")).astype(int)
        masks = {name: (abs(pixels - colour).sum(2) < 40) for name, colour in colours.items()}
        named = [word for word in item.texts[0].split() if word in colours]
        if item.category == "count":
            patches = ndimage.label(ndimage.binary_opening(masks[named[0]]))[1]
            assert ["two", "three", "four", "five"].index(item.texts[0].split()[0]) + 2 == patches
        elif item.category == "relation" and named[0] != named[1]:
            rows, columns = zip(*(np.nonzero(masks[name]) for name in named), strict=True)
            places = rows if " above " in item.texts[0] else columns
            assert places[0].mean() < places[1].mean()
        else:
            continue
        checked[item.category] += 1
    assert checked["count"] == 40 and checked["relation"] > 25
