"""Pairs of images that share points, and patches by which these can be found."""

import numpy as np
from PIL import Image

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.protocols.base import Features, Inputs

SIZE, GRID = (48, 64), (8, 8)  # so that a patch is 8 x 8 pixels, and the last two rows are padding
CATEGORIES = ("cat", "dog")


def corresponding(count=12, noise=0.3, seed=0):
    """Inputs whose second images show the patches of the first ones in other places."""
    chance = np.random.default_rng(seed)
    array, keys, pairs = [], [], []
    for number in range(count):
        one = chance.normal(size=(*GRID, 16))
        shift = chance.integers(-2, 3, 2)
        other = np.roll(one, shift, axis=(0, 1)) + noise * chance.normal(size=one.shape)
        array += [one, other]
        keys += [f"{number}a", f"{number}b"]
        cells = chance.permutation(np.stack(np.meshgrid(np.arange(2, 6), np.arange(2, 4)), -1).reshape(-1, 2))[
            : 3 + number % 4
        ]
        source = [(8.0 * x + 3.5, 8.0 * y + 3.5) for x, y in cells.tolist()]
        target = [(x + 8.0 * shift[1], y + 8.0 * shift[0]) for x, y in source]
        blank = Image.new("RGB", SIZE[::-1], (90, 90, 90))
        pairs.append(
            PointPair(
                f"pair{number}",
                (keys[-2], keys[-1]),
                (SIZE, SIZE),
                tuple(source),
                tuple(target),
                (0.0, 0.0, 40.0, 30.0),
                CATEGORIES[number % 2],
                f"unit{number // 2}",
                None if number == 0 else 25.0 * (number % 4),
                (lambda blank=blank: blank, lambda blank=blank: blank),
            )
        )
    features = Features(np.array(array, np.float32), keys)
    return Inputs({"test": features}, annotations={"test": pairs})
