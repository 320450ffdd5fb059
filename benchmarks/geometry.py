"""What depth_linear and normals_linear say of three encoders on the bundled scenes, and what the exact fit costs.

python benchmarks/geometry.py [STEPS]     random weights, tiny_clip and EfficientNet-Lite0; then the exact fit and STEPS
                                          (200 by default) of DINOv3's recipe on patches of 384 dimensions

Position and colour: the same fit on patches that hold nothing else, in the encoder's grid. Differences are paired, by a
permutation test of scenes. Times are of the processor, since the machine may be busy.
"""

import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlcd_eval import evaluate
from mlcd_eval.data import open_dataset
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.protocols.geometry.bins_head import train_bins
from mlcd_eval.protocols.geometry.bins_settings import BinsSettings
from mlcd_eval.protocols.geometry.patch_ridge import fit_ridge
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.records import read_files, read_outcomes
from mlcd_eval.support.bundled import demo_data_dir

CLIP = "open_clip:local-dir:../shared/models/tiny_clip"
MODELS = {
    "random": f"{CLIP}?init=random",
    "tiny_clip": CLIP,
    "EfficientNet-Lite0": "python:mlcd_eval.extras.efficientnet_lite:encoder",
}
TASKS = ("depth_linear/demo", "normals_linear/demo")
GRID, SIZE, RECIPE = (14, 14), 384, 38_400


def measured(name, spec, folder):
    """Print what the tasks say of a model; return task -> record and its columns."""
    evaluate(spec, list(TASKS), output=f"{folder}/{name}", cache=f"{folder}/cache")
    records = {}
    for path, result in read_files([Path(folder) / name]):
        records[result.task.name] = result, read_outcomes(path, result).columns
    return {task: records[task] for task in TASKS}


def shown(value, ends, unit):
    """A value and its interval; fractions in per cent."""
    times, decimals = (100, 1) if unit == "fraction" else (1, 2)
    low, high = ends
    return f"{times * value:.{decimals}f} [{times * low:.{decimals}f}, {times * high:.{decimals}f}]"


def report(name, result):
    """Print the metrics of a record, and those of its baselines."""
    values = [f"{each.name} {shown(each.value, each.ci95, each.unit)}" for each in result.metrics]
    grid = " x ".join(map(str, result.details["grid"]))
    print(f"{name}, {grid} patches, lambda {result.details['lambda']:.3g}: {', '.join(values)}")
    for plain, metrics in result.details["baselines"].items():
        units = {each.name: each.unit for each in result.metrics}
        words = [f"{metric} {shown(each['value'], each['ci95'], units[metric])}" for metric, each in metrics.items()]
        print(f"    {plain} alone: {', '.join(words)}")


def compared(names, of, task):
    """Print the paired difference of neighbours in the ranking by the primary metric."""
    for one, other in pairwise(names):
        result, a = of[one][task]
        kind = metric_kind(result.primary_metric)
        (part_a, groups), (part_b, _) = kind.selected(a), kind.selected(of[other][task][1])
        paired = kind.statistic.paired(part_a, part_b, groups, generator(0, result.primary_metric))
        low, high = paired.ci95
        print(f"    {other} less {one}: {paired.b - paired.a:+.3f} [{low:+.3f}, {high:+.3f}], p = {paired.p:.4f}")


def patches_of(values, seed):
    """Patches whose numbers hold depth among much else, with a spectrum as features of towers have."""
    chance = np.random.default_rng(seed)
    side = values[0].size[0] // GRID[0]
    depth = np.stack([np.log(each.values()[..., 0]) for each in values])
    means = depth.reshape(len(values), GRID[0], side, GRID[1], side).mean(axis=(2, 4))
    scales = np.geomspace(1, 1e-3, SIZE)
    turn = np.linalg.qr(np.random.default_rng(98).normal(size=(SIZE, SIZE)))[0]
    array = means[..., None] * 0.3 * np.random.default_rng(99).normal(size=SIZE) * scales @ turn
    array += (chance.normal(size=array.shape) * scales) @ turn
    return PatchImages(array.astype(np.float32), values)


def costs(steps):
    """Print seconds of both fits on the same 120 images."""
    data = open_dataset(f"depth:{demo_data_dir() / 'densedemo'}")
    images = {split: patches_of(data.annotations(split), n) for n, split in enumerate(("train", "val"))}
    begin = time.process_time()
    _, details = fit_ridge(images, np.log, None, 0.2, np.random.default_rng(0), "cpu", lambda _: None)
    exact = time.process_time() - begin
    begin = time.process_time()
    train_bins(images["train"], lambda depth: depth, BinsSettings(steps=steps), (1e-3, 12.0), 0, "cpu")
    step = (time.process_time() - begin) / steps
    print(
        f"exact fit: {details['num_train_images']} images, 14 x 14 patches of {SIZE}, {len(details['search'])} values "
        f"of lambda: {exact:.1f} s; a step of the recipe {step:.3f} s, {RECIPE:,} of them {RECIPE * step:,.0f} s, "
        f"{RECIPE * step / exact:,.0f} x"
    )


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    costs(steps)
    with tempfile.TemporaryDirectory() as folder:
        of = {name: measured(name, spec, folder) for name, spec in MODELS.items()}
    for task in TASKS:
        print(task)
        for name in MODELS:
            report(name, of[name][task][0])
        compared(list(MODELS), of, task)


if __name__ == "__main__":
    main()
