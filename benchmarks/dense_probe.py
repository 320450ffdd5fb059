"""seg_linear's exact fit against the recipe of gradient steps that papers train the same layer by, on the same patches.

python benchmarks/dense_probe.py [STEPS]     400 images of 14 x 14 patches of 384 dimensions, 20 classes

The recipe is seg_linear's dialect dinov3: 40,000 steps on the pixels of 16 images, hours of a core. Here STEPS of them
(2,000 by default, with a schedule as long) take 4 x 4 points of a patch; a few take all pixels, and their time is
multiplied. Times are of the processor, since the machine may be busy.
"""

import sys
import time

import numpy as np
import torch
from scipy import ndimage

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.metrics.dense import DENSE
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.segmentation.maps import linear, overlaps_of
from mlcd_eval.protocols.segmentation.recipe import train_layer
from mlcd_eval.protocols.segmentation.recipe_settings import RecipeSettings
from mlcd_eval.protocols.segmentation.seg_linear import SegLinearSettings, _segmented
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.protocols.shared.pixels import FINE

TRAIN, TEST, GRID, SIDE, SIZE, CLASSES = 320, 80, (14, 14), 224, 384, 20
RECIPE, TIMED = RecipeSettings(), 20


def images(count, seed):
    """Images of blobs of classes, and patches that hold the shares of their classes among much else."""
    chance, codes = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(CLASSES, SIZE)) / 4
    scales = np.geomspace(1, 1e-3, SIZE)  # features of towers have such spectra
    turn = np.linalg.qr(np.random.default_rng(98).normal(size=(SIZE, SIZE)))[0]
    maps, array = [], np.empty((count, *GRID, SIZE), np.float32)
    for number in range(count):
        few = chance.choice(CLASSES, 5, replace=False)
        heights = ndimage.zoom(chance.normal(size=(5, 7, 7)), (1, SIDE / 7, SIDE / 7), order=1)
        classes = few[heights.argmax(axis=0)].astype(np.int16)
        shares = (classes[..., None] == np.arange(CLASSES)).reshape(*[GRID[0], SIDE // GRID[0]] * 2, CLASSES)
        noise = (chance.normal(size=(*GRID, SIZE)) * scales) @ turn
        array[number] = shares.mean(axis=(1, 3)) @ (codes * scales) @ turn + 0.5 * noise
        key = f"{seed}_{number}"
        maps.append(ClassMap(key, (SIDE, SIDE), key, key, lambda classes=classes: classes, lambda: None))
    return PatchImages(array, maps)


def exact(train, test):
    """Our classifier: its columns of the test images, and seconds of the processor for the fits alone and in all."""
    begin = time.process_time()
    columns, details = _segmented(SegLinearSettings(), {"train": train, "test": test}, CLASSES, Inputs({}), False)
    return columns, details, time.process_time() - begin


def by_steps(train, test, steps):
    """The recipe's classifier after so many steps of points: its columns, seconds of the processor, and those of a step
    of all pixels."""
    points = RECIPE.at_most(steps)
    begin = time.process_time()
    weight, bias, _ = train_layer(points, train, CLASSES, FINE * GRID[0], 0, "cpu")
    of_points = time.process_time() - begin
    columns = overlaps_of(test, linear(weight, bias), CLASSES, "cpu", lambda _: None, boundaries=False)
    begin = time.process_time()
    train_layer(RecipeSettings(steps=TIMED, warmup=1), train, CLASSES, SIDE, 0, "cpu")
    return columns, of_points, (time.process_time() - begin) / TIMED


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    train, test = images(TRAIN, 0), images(TEST, 1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {TRAIN} + {TEST} images, {CLASSES} classes")
    columns, details, seconds = exact(train, test)
    scores = {name: metric_value(name, columns) for name in DENSE if "boundary" not in name}
    print(f"exact, with {len(details['search'])} fits that search lambda, and test: {seconds:.1f} s; {shown(scores)}")
    print(f"  lambda {details['lambda']:.3g}, {details['num_train_patches']:,} patches", flush=True)
    columns, of_points, of_pixels = by_steps(train, test, steps)
    scores = {name: metric_value(name, columns) for name in DENSE if "boundary" not in name}
    print(f"recipe, {steps:,} steps of points: {of_points:.1f} s; {shown(scores)}")
    whole, faster = RECIPE.steps * of_pixels, RECIPE.steps * of_points / steps / seconds
    print(
        f"recipe, a step of all pixels: {of_pixels:.3f} s; {RECIPE.steps:,} are {whole:,.0f} s, "
        f"{whole / seconds:,.0f} x ours; {RECIPE.steps:,} steps of points {faster:,.0f} x"
    )


def shown(scores):
    """Metrics in words."""
    return ", ".join(f"{name} {100 * value:.2f}" for name, value in scores.items())


if __name__ == "__main__":
    main()
