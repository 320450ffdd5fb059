"""Bundled pictures from other sides."""

import io
import json
from itertools import islice

import numpy as np
import pytest
from opened import samples
from PIL import Image
from search_files import write

from mlcd_eval.data import open_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.support.bundled import demo_data_dir

VIEWS = f"views:{demo_data_dir()}/clipart_views.views.json"


def test_bundled_views_are_of_different_pictures_and_always_the_same():
    dataset = open_dataset(VIEWS)
    (shard,) = dataset.split("test").shards
    views, again = (list(islice(shard.samples(), 9)) for _ in range(2))
    assert (dataset.name, dataset.num_classes, [view.label for view in views]) == (
        "clipart_views",
        60,
        [0] * 4 + [1] * 4 + [2],
    )
    assert [view.image for view in again] == [view.image for view in views] and len({view.image for view in views}) == 9
    assert Image.open(io.BytesIO(views[0].image)).size == (96, 96)
    with pytest.raises(DataError, match=r"clipart_views has no split 'train': got one of test$"):
        dataset.split("train")
    plan = json.loads((demo_data_dir() / "clipart_views.views.json").read_text())
    pictures = {sample.key: sample for sample in samples(open_dataset(f"wds:{demo_data_dir()}/{plan['of']}"), "test")}
    small = [
        np.asarray(Image.open(io.BytesIO(pictures[key].image)).convert("RGB").resize((16, 16)).convert("L")).ravel()
        for key in plan["pictures"]
    ]
    assert np.abs(np.corrcoef(small) - np.eye(60)).max() < 0.7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pictures": ["s0000000", "gone"]}, r"mine\.views\.json lists the picture 'gone': expected one of wds_demo"),
        ({"pictures": ["\ud800", "s0000001"]}, r"mine\.views\.json lists the picture '\\ud800': expected one"),
        ({"views": 1}, r"mine\.views\.json: views: Input should be greater than or equal to 2"),
        ({"views": 1001}, r"mine\.views\.json: views: Input should be less than or equal to 1000"),
        ({"side": 2049}, r"mine\.views\.json: side: Input should be less than or equal to 2048"),
        ({"of": "a" * 300}, r"mine\.views\.json has the name 'a+'\.\.\., expected names of at most 255 bytes"),
        ({"of": "/etc"}, "has the image '/etc', which is outside"),
    ],
)
def test_what_is_wrong_with_views(tmp_path, change, says):
    (tmp_path / "wds_demo_clipart").symlink_to(demo_data_dir() / "wds_demo_clipart")
    plan = {"of": "wds_demo_clipart", "pictures": ["s0000000", "s0000001"], "views": 2, "side": 16, **change}
    file = write(tmp_path / "mine.views.json", json.dumps(plan))
    with pytest.raises(DataError, match=says):
        open_dataset(f"views:{file}").split("test").scan()
