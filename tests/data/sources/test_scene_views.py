"""Objects cut out of the views of rendered scenes."""

import io
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.sources.scene_views import GREY
from mlcd_eval.data.storage.scene_files import SceneFiles
from mlcd_eval.errors import DataError
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import demo_data_dir

FILE = demo_data_dir() / "scene_objects.scene_views.json"


def test_bundled_objects_are_those_of_the_scenes_from_other_sides():
    facts = TaskIndex.load().datasets["scene_objects"]
    ref = find_dataset(demo_data_dir(), facts)
    assert ref == f"scene-views:{FILE}" and ("scene_objects", ref) in discover(demo_data_dir())
    dataset = open_dataset(ref)
    (shard,) = dataset.split("test").shards
    samples = list(shard.samples())
    assert (dataset.num_classes, len(samples), facts.sizes) == (198, 591, {"test": 591})
    assert Counter(Counter(sample.label for sample in samples).values()) == {3: 195, 2: 3}
    scan = dataset.split("test").scan()
    assert (scan.num_samples, scan.num_classes) == (591, 198)
    files = SceneFiles(demo_data_dir() / "densedemo")
    contents = files.contents("test")
    for sample in samples[::20]:
        scene, thing, view = sample.key.split("/")
        mask = np.asarray(Image.open(io.BytesIO(contents[f"{scene}/{view}.instances.png"]))) == int(thing)
        picture = np.asarray(Image.open(io.BytesIO(contents[f"{scene}/{view}.webp"])).convert("RGB"))
        shown = np.asarray(Image.open(io.BytesIO(sample.image)))
        assert shown.shape == (96, 96, 3) and mask.sum() >= 300
        assert (shown[0, 0] == GREY).all()
        seen = abs(shown.astype(int) - GREY).max(axis=2) > 8
        rows, columns = np.nonzero(mask)
        share = mask.sum() / np.ceil(1.15 * max(np.ptp(rows) + 1, np.ptp(columns) + 1)) ** 2
        assert seen.mean() == pytest.approx(share, abs=0.05)
        assert shown[seen].mean(axis=0) == pytest.approx(picture[mask].mean(axis=0), abs=12)


def small(folder, **change):
    folder.mkdir(exist_ok=True)
    shutil.copytree(demo_data_dir() / "densedemo", folder / "densedemo", dirs_exist_ok=True)
    plan = {"of": "densedemo", "split": "val", "least_pixels": 300, "side": 32, **change}
    (folder / "mine.scene_views.json").write_text(json.dumps(plan))
    return f"scene-views:{folder}/mine.scene_views.json"


def test_another_split_and_what_is_wrong(tmp_path):
    val = open_dataset(small(tmp_path))
    assert val.name == "mine" and val.num_classes > 20
    with pytest.raises(DataError, match="mine has no split 'val': got one of test"):
        val.split("val")
    for change, says in (
        ({"split": "night"}, r"mine\.scene_views\.json names the split 'night' of densedemo: got train, test, val"),
        ({"least_pixels": 40_000}, "describes 0 objects that are seen twice with 40000 pixels: expected at least 2"),
        ({"side": 513}, r"mine\.scene_views\.json: side: Input should be less than or equal to 512"),
        ({"side": 0}, r"mine\.scene_views\.json: side: Input should be greater than 0"),
        ({"of": "../x"}, "outside"),
        ({"of": "empty"}, r"scenes\.json is missing"),
    ):
        with pytest.raises(DataError, match=says):
            open_dataset(small(tmp_path, **change)).split("test").scan()
