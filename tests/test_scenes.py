"""benchmarks/scenes.py: objects cut from white, boxes and masks of what is seen, the same scenes again."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

PATH = Path(__file__).parents[1] / "benchmarks" / "scenes.py"
SPEC = importlib.util.spec_from_file_location("scenes", PATH)
scenes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(scenes)


def picture(colour, hole=False):
    """A square of 20 x 12 pixels on white, perhaps with a white hole, which belongs to it."""
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[5:17, 10:30] = colour
    if hole:
        pixels[8:10, 15:18] = 255
    return Image.fromarray(pixels)


def test_an_object_is_cut_out_with_its_holes():
    pixels, mask = scenes.cut_out(picture((200, 0, 0), hole=True))
    assert mask.shape == (12, 20) and mask.all() and pixels[0, 0].tolist() == [200, 0, 0]
    assert scenes.cut_out(Image.new("RGB", (9, 9), "white")) is None


def test_a_scene_shows_what_its_masks_say():
    """Each object's pixels have its colour, at least half of it is seen, and the same seed makes the same scene."""
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 0, 250)]
    objects = [scenes.cut_out(picture(colour)) for colour in colours]
    for seed in range(10):
        scene, owner, placed = scenes.compose(np.random.default_rng(seed), 64, objects)
        again = scenes.compose(np.random.default_rng(seed), 64, objects)
        assert (scene == again[0]).all() and (owner == again[1]).all() and placed == again[2]
        assert set(np.unique(owner)) == set(range(len(placed) + 1))
        for n, number in enumerate(placed, start=1):
            left, top, width, height = scenes.box_of(owner == n)
            own = owner[top : top + height, left : left + width] == n
            assert own.sum() == (owner == n).sum() and own.any(axis=0).all() == own.any(axis=0)[[0, -1]].all()
            assert np.abs(scene[owner == n].astype(int) - colours[number]).max() <= 10
