"""Clips of drawings that move, and patches by which these can be followed."""

import numpy as np
from PIL import Image

from mlcd_eval.data.annotations import ClassMap, Clip
from mlcd_eval.protocols.base import Features, Inputs

SIZE, GRID, STEP = (48, 64), (8, 8), 8  # so that the last two rows of patches are padding


def drawn(frame, speed, late=False):
    """A mask of two objects that move by whole patches; and, if late, of a third in the last frames."""
    mask = np.zeros(SIZE, np.int16)
    left = STEP * (1 + speed * frame)
    mask[8:24, left : left + 16] = 1
    mask[32:40, 48 - STEP * (frame // 2) : 64 - STEP * (frame // 2)] = 2
    if late and frame > 2:
        mask[0:8, 0:8] = 3
    return mask


def moving(frames=5, noise=0.2, seed=0):
    """Inputs of three clips whose patches say which object their pixels show; the speed of the first one is 0."""
    chance = np.random.default_rng(seed)
    codes, array, clips = 4 * chance.normal(size=(4, 12)), [], []
    for speed in range(3):
        maps = []
        for frame in range(frames):
            mask, key = drawn(frame, min(speed, 1), late=speed == 2), f"clip{speed}/{frame:05}"
            shown = np.pad(mask, ((0, SIZE[1] - SIZE[0]), (0, 0)))[STEP // 2 :: STEP, STEP // 2 :: STEP]
            array.append(codes[shown] + noise * chance.normal(size=(*GRID, 12)))
            picture = Image.fromarray(np.full((*SIZE, 3), 80 + speed, np.uint8))
            maps.append(ClassMap(key, SIZE, key, "", lambda mask=mask: mask, lambda picture=picture: picture))
        clips.append(Clip(f"clip{speed}", tuple(each.image for each in maps), SIZE, f"clip{speed}", 2, tuple(maps)))
    keys = [key for clip in clips for key in clip.images]
    return Inputs({"test": Features(np.array(array, np.float32), keys)}, annotations={"test": clips})
